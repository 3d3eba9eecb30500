//! The stack from within: it starts, keeps its data, guards its folder, recovers, and can be hurt on purpose.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use devstack::{Error, Nats, Options, Postgres, Stack};

/// A folder under /var/tmp that the servers' user can enter, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/var/tmp/muster-it-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn only_postgres(dir: &Path) -> Options {
    Options { durable: false, nats: false, redis: false, ..Options::at(dir) }
}

fn psql(url: &str, sql: &str) -> Result<String, String> {
    let output =
        Command::new("psql").args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, url]).env("PGCONNECT_TIMEOUT", "5").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn query(postgres: &Postgres, sql: &str) -> String {
    psql(&postgres.url("postgres", "postgres"), sql).unwrap()
}

fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

fn owner(pid: u32) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}")).unwrap())
}

#[tokio::test]
async fn all_three_answer_without_roots_rights_and_are_gone_after_a_stop() {
    let stack = Stack::start(Options::temporary()).await.unwrap();
    let pids = stack.pids();
    assert_eq!(pids.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["postgres", "nats", "redis"]);
    assert_eq!(query(stack.postgres(), "SELECT 6 * 7"), "42");
    assert!(stack.nats_url().starts_with("nats://127.0.0.1:") && stack.redis_url().starts_with("redis+unix:///"));
    for (name, pid) in &pids {
        assert_ne!(owner(*pid), 0, "{name} runs as root");
        let group = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let group = group.rsplit_once(')').unwrap().1.split_whitespace().nth(2).unwrap().to_owned();
        assert_eq!(group, pid.to_string(), "{name} shares a process group");
    }
    let dir = stack.dir().to_path_buf();
    stack.stop().await;
    assert!(pids.iter().all(|(_, pid)| !alive(*pid)) && !dir.exists());
}

#[tokio::test]
async fn a_drop_ends_the_servers_too() {
    let stack = Stack::start(Options::temporary()).await.unwrap();
    let (pids, dir) = (stack.pids(), stack.dir().to_path_buf());
    drop(stack);
    assert!(pids.iter().all(|(_, pid)| !alive(*pid)) && !dir.exists());
}

#[test]
fn servers_outlive_the_thread_that_asked_for_them() {
    let stack = std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(Stack::start(Options { nats: false, ..Options::temporary() })).unwrap()
    });
    let stack = stack.join().unwrap();
    assert_eq!(query(stack.postgres(), "SELECT 1"), "1");
    assert_eq!(stack.pids().len(), 2);
}

#[tokio::test]
async fn a_second_start_finds_the_same_data() {
    let folder = Folder::new("data");
    let stack = Stack::start(only_postgres(&folder.0)).await.unwrap();
    query(stack.postgres(), "CREATE TABLE t AS SELECT 7 AS x");
    stack.stop().await;
    let stack = Stack::start(Options { durable: true, ..only_postgres(&folder.0) }).await.unwrap();
    assert_eq!(query(stack.postgres(), "SELECT x FROM t"), "7");
    assert_eq!(query(stack.postgres(), "SHOW fsync"), "on");
}

#[tokio::test]
async fn a_second_start_beside_the_first_is_told_its_pid_and_address() {
    let folder = Folder::new("lock");
    let options = Options { redis: true, postgres: false, address: "127.0.0.1:7103".into(), ..only_postgres(&folder.0) };
    let first = Stack::start(options.clone()).await.unwrap();
    let error = Stack::start(options.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Running { pid, address, .. } if *pid == std::process::id() && address == "127.0.0.1:7103"), "{error}");
    assert!(error.to_string().contains(&format!("in use by process {}, which answers on 127.0.0.1:7103", std::process::id())));
    first.set_address("127.0.0.1:9999").unwrap();
    assert!(Stack::start(options.clone()).await.unwrap_err().to_string().contains("127.0.0.1:9999"));
    first.stop().await;
    Stack::start(options).await.unwrap();
}

#[tokio::test]
async fn a_stale_lock_and_a_stale_postmaster_pid_are_no_obstacle() {
    let folder = Folder::new("stale");
    Stack::start(only_postgres(&folder.0)).await.unwrap().stop().await;
    std::fs::write(folder.0.join("lock"), "1\n127.0.0.1:1\n").unwrap();
    // A pid that lives and is no server of ours: PostgreSQL alone would refuse to start.
    let us = std::process::id();
    std::fs::write(folder.0.join("postgres/postmaster.pid"), format!("{us}\n/nowhere\n0\n5432\n/nowhere\n\n0 0\nready   \n")).unwrap();
    let stack = Stack::start(only_postgres(&folder.0)).await.unwrap();
    assert_eq!(query(stack.postgres(), "SELECT 1"), "1");
}

#[tokio::test]
async fn an_orphaned_server_is_ended_before_the_next_one_starts() {
    let folder = Folder::new("orphan");
    let stack = Stack::start(only_postgres(&folder.0)).await.unwrap();
    query(stack.postgres(), "CREATE TABLE t AS SELECT 7 AS x");
    stack.stop().await;
    // What a kill -9 would leave if the parent-death signal were lost: a server that nobody holds.
    let data = folder.0.join("postgres");
    let user = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&data).unwrap());
    let postgres = Command::new("sh").args(["-c", "ls -d /usr/lib/postgresql/*/bin/postgres | tail -1"]).output().unwrap();
    let postgres = String::from_utf8(postgres.stdout).unwrap();
    let mut orphan = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        orphan.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
    }
    let mut orphan = orphan.args([postgres.trim(), "-D"]).arg(&data).args(["-h", "", "-k"]).arg(folder.0.join("run")).spawn().unwrap();
    let status = || std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    while !status().contains("ready") {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let stack = Stack::start(only_postgres(&folder.0)).await.unwrap();
    assert!(orphan.try_wait().unwrap().is_some(), "the orphan still runs");
    assert_eq!(query(stack.postgres(), "SELECT x FROM t"), "7");
}

#[tokio::test]
async fn a_folder_that_can_not_serve_is_replaced_by_the_same_one_every_time() {
    let folder = Folder::new("long");
    let long = folder.0.join("x".repeat(90));
    let options = Options { redis: true, postgres: false, ..only_postgres(&long) };
    let stack = Stack::start(options.clone()).await.unwrap();
    let moved = stack.moved().unwrap().clone();
    assert!(moved.from == long && moved.to == stack.dir() && moved.why.contains("a socket's path allows"), "{moved:?}");
    assert!(moved.to.to_str().unwrap().starts_with("/var/tmp/muster-"));
    stack.stop().await;
    assert_eq!(Stack::start(options).await.unwrap().dir(), moved.to);
    std::fs::remove_dir_all(moved.to).unwrap();
}

#[tokio::test]
async fn a_folder_behind_a_closed_door_is_replaced_too() {
    if !rustix::process::geteuid().is_root() {
        return; // A plain user's servers pass where the user passes.
    }
    let folder = Folder::new("closed");
    std::fs::set_permissions(&folder.0, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let stack = Stack::start(Options { redis: true, postgres: false, ..only_postgres(&folder.0) }).await.unwrap();
    let moved = stack.moved().unwrap().clone();
    assert!(moved.why.contains("is closed to user id"), "{moved:?}");
    stack.stop().await;
    std::fs::remove_dir_all(moved.to).unwrap();
}

#[tokio::test]
async fn a_killed_postgres_keeps_what_it_answered_and_its_address() {
    let stack = Stack::start(Options { nats: false, redis: false, ..Options::temporary() }).await.unwrap();
    let (postgres, before) = (stack.postgres(), stack.postgres().pid());
    query(postgres, "CREATE TABLE t AS SELECT generate_series(1, 1000)");
    let url = postgres.url("postgres", "postgres");
    postgres.kill().await;
    assert!(postgres.pid().is_none() && psql(&url, "SELECT 1").is_err());
    postgres.restart().await.unwrap();
    assert_ne!(postgres.pid(), before);
    assert_eq!(psql(&url, "SELECT count(*) FROM t").unwrap(), "1000");
}

#[tokio::test]
async fn a_paused_postgres_answers_nothing_until_it_is_resumed() {
    let stack = Stack::start(Options { nats: false, redis: false, ..Options::temporary() }).await.unwrap();
    let url = stack.postgres_url("postgres", "postgres");
    stack.postgres().pause();
    let slow = Command::new("psql").args(["-XAtqc", "SELECT 1", &url]).env("PGCONNECT_TIMEOUT", "2").output().unwrap();
    assert!(!slow.status.success());
    stack.postgres().resume();
    assert_eq!(psql(&url, "SELECT 1").unwrap(), "1");
}

#[tokio::test]
async fn a_paused_stack_stops_all_the_same() {
    let stack = Stack::start(Options::temporary()).await.unwrap();
    let pids = stack.pids();
    stack.postgres().pause();
    stack.nats().pause();
    stack.redis().pause();
    stack.stop().await;
    assert!(pids.iter().all(|(_, pid)| !alive(*pid)));
}

#[tokio::test]
async fn nats_comes_back_on_the_port_it_chose() {
    let nats = Nats::temporary().await.unwrap();
    let (url, before) = (nats.url(), nats.pid());
    nats.kill().await;
    assert_eq!(nats.pid(), None);
    nats.restart().await.unwrap();
    let port: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap();
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_ne!(nats.pid(), before);
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_does_not_disturb_a_start() {
    let (one, other) = (Nats::temporary().await.unwrap(), Nats::temporary().await.unwrap());
    assert_ne!(one.url(), other.url());
}

#[tokio::test]
async fn the_tcp_port_asks_for_the_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = Options { nats: false, redis: false, postgres_port: Some(port), ..Options::temporary() };
    let stack = Stack::start(options).await.unwrap();
    let url = stack.postgres().tcp_url("postgres").unwrap();
    assert_eq!(psql(&url, "SELECT 1").unwrap(), "1");
    assert!(psql(&format!("postgres://postgres:wrong@127.0.0.1:{port}/postgres"), "SELECT 1").unwrap_err().contains("password"));
    assert_eq!(query(stack.postgres(), "SELECT 1"), "1", "the socket works beside it");
}

#[tokio::test]
async fn a_server_that_can_not_start_is_quoted() {
    let folder = Folder::new("broken");
    Stack::start(only_postgres(&folder.0)).await.unwrap().stop().await;
    std::fs::write(folder.0.join("postgres/postgresql.conf"), "nonsense = on\n").unwrap();
    let told = Stack::start(only_postgres(&folder.0)).await.unwrap_err().to_string();
    assert!(told.starts_with("PostgreSQL failed: it ended at once; its log ends") && told.contains("nonsense"), "{told}");
}
