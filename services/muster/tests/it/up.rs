//! `muster up`: the same data again, one at a time, and nothing left behind however it ends.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::{
    CreateOrganizationRequest, CreateSessionRequest, ListOrganizationsRequest, organization_service_client::OrganizationServiceClient,
    session_service_client::SessionServiceClient,
};
use devstack::{Options, Stack};
use muster::serve::SERVICES;
use runtime::config::Secret;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use sqlx::{Connection, PgConnection};
use tonic::{Request, transport::Channel};

/// One suite at a time: two cores are all there are.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that does not outlive its test, however that ends.
struct Own(Child);

impl Drop for Own {
    fn drop(&mut self) {
        // It fails when it ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running `muster up`.
struct Up {
    child: Own,
    stdout: BufReader<ChildStdout>,
    /// What it printed up to "Ctrl-C stops everything".
    welcome: String,
    /// Where its errors go.
    errors: std::path::PathBuf,
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.arg("up").arg("--folder").arg(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["DATABASE_URL", "NATS_URL", "REDIS_URL"] {
        command.env_remove(variable);
    }
    for service in SERVICES {
        command.args(["--set", &format!("{service}.port=0"), "--set", &format!("{service}.admin_port=0")]);
    }
    command
}

impl Up {
    fn start(folder: &Path) -> Up {
        Up::start_with(folder, &[])
    }

    /// With `variables` in its environment.
    fn start_with(folder: &Path, variables: &[(&str, String)]) -> Up {
        let errors = folder.with_extension("errors");
        let environment = variables.iter().map(|(name, value)| (name, value));
        let mut child = Own(command(folder).envs(environment).stderr(File::create(&errors).unwrap()).spawn().unwrap());
        let stdout = BufReader::new(child.0.stdout.take().unwrap());
        let mut up = Up { child, stdout, welcome: String::new(), errors };
        while !up.welcome.contains("Ctrl-C stops everything") {
            assert_ne!(up.stdout.read_line(&mut up.welcome).unwrap(), 0, "it ended early: {}{}", up.welcome, up.told());
        }
        up
    }

    /// What it said of errors.
    fn told(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    /// Sends `sent` and waits for the end: whether it was a success.
    fn end(&mut self, sent: Signal) -> bool {
        signal(self.child.0.id(), sent);
        self.child.0.wait().unwrap().success()
    }

    /// Where `service` answers, by the table that it printed.
    fn address(&self, service: &str) -> String {
        let row = self.welcome.lines().find(|line| line.starts_with(service)).unwrap();
        row.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// Its children and theirs, by pid.
    fn descendants(&self) -> Vec<u32> {
        let mut found = vec![self.child.0.id()];
        let mut at = 0;
        while at < found.len() {
            for task in fs::read_dir(format!("/proc/{}/task", found[at])).into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                found.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
            }
            at += 1;
        }
        found.split_off(1)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.errors);
    }
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// The name of a process.
fn comm(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// Whether a process lives; a zombie counts as gone.
fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

fn assert_gone(pids: &[u32]) {
    let began = Instant::now();
    while pids.iter().any(|pid| lives(*pid)) {
        assert!(began.elapsed() < Duration::from_secs(2), "left behind: {:?}", pids.iter().filter(|pid| lives(**pid)).collect::<Vec<_>>());
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_says_where_everything_is_and_ctrl_c_leaves_nothing() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut up = Up::start(folder.path());
    for word in [
        "gateway",
        "identity",
        "authorization",
        "tasks",
        "audit",
        "notifications",
        "postgres://",
        "nats://",
        "admin@muster.example",
        "grpcurl",
    ] {
        assert!(up.welcome.contains(word), "{word} is missing in: {}", up.welcome);
    }
    let children = up.descendants();
    let names: BTreeSet<String> = children.iter().map(|pid| comm(*pid)).collect();
    for server in ["postgres", "nats-server", "redis-server"] {
        assert!(names.contains(server), "{server} does not run: {names:?}");
    }
    assert!(up.end(Signal::INT), "Ctrl-C is no failure");
    assert_gone(&children);
}

#[test]
fn ctrl_c_while_the_data_is_made_is_no_failure_either() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut process = Own(command(folder.path()).process_group(0).spawn().unwrap());
    let began = Instant::now();
    while !folder.path().join("postgres.making").exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "initdb begins");
        sleep(Duration::from_millis(5));
    }
    // As a terminal does: to all of the group.
    kill_process_group(Pid::from_child(&process.0), Signal::INT).unwrap();
    let (mut told, mut complained) = (String::new(), String::new());
    process.0.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    process.0.stderr.take().unwrap().read_to_string(&mut complained).unwrap();
    assert_eq!((process.0.wait().unwrap().code(), told, complained), (Some(0), String::new(), String::new()));
}

#[test]
fn a_kill_leaves_no_child_and_the_next_start_finds_the_same_data() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut first = Up::start(folder.path());
    let children = first.descendants();
    let made = runtime().block_on(create_organization(&first.address("identity")));
    first.end(Signal::KILL);
    assert_gone(&children);
    let mut again = Up::start(folder.path());
    let children = again.descendants();
    let found = runtime().block_on(organizations(&again.address("identity")));
    assert_eq!(found, [made], "what was answered before the kill is there");
    assert!(again.end(Signal::TERM), "SIGTERM is no failure");
    assert_gone(&children);
}

#[test]
fn servers_that_the_environment_names_are_used_and_none_is_started_in_their_place() {
    let (_alone, runtime) = (alone(), runtime());
    let given = runtime.block_on(Stack::start(Options { redis: false, ..Options::temporary() })).unwrap();
    let (admin, url) = (given.postgres_url("postgres", "postgres"), given.postgres_url("postgres", "muster"));
    runtime.block_on(muster::migrate::create_database(&Secret::from(admin.as_str()), "muster")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut up = Up::start_with(folder.path(), &[("DATABASE_URL", url.clone()), ("NATS_URL", given.nats_url())]);
    let names: BTreeSet<String> = up.descendants().iter().map(|pid| comm(*pid)).collect();
    assert_eq!(names, BTreeSet::from(["redis-server".to_owned()]), "what the environment does not name is started");
    assert_eq!(up.welcome.matches("as given in the environment").count(), 2, "{}", up.welcome);
    let made = runtime.block_on(create_organization(&up.address("identity")));
    let stored = async {
        let mut database = PgConnection::connect(&url).await.unwrap();
        sqlx::query_scalar::<_, String>("SELECT organization_id::text FROM identity.organization").fetch_all(&mut database).await.unwrap()
    };
    assert_eq!(runtime.block_on(stored), [made]);
    let servers = given.pids();
    assert!(up.end(Signal::TERM));
    assert_eq!(given.pids(), servers, "they run on");
    runtime.block_on(given.stop());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A channel to identity, and the header of somebody signed in there.
async fn signed_in(identity: &str) -> (Channel, String) {
    let channel = Channel::from_shared(format!("http://{identity}")).unwrap().connect().await.unwrap();
    let request = CreateSessionRequest {
        identifier: Some(Identifier::Email(muster::seed::PEOPLE[0].0.into())),
        password: muster::seed::PASSWORD.into(),
        device_token: String::new(),
    };
    let session = SessionServiceClient::new(channel.clone()).create_session(request).await.unwrap().into_inner();
    (channel, format!("Bearer {}", session.tokens.unwrap().access_token))
}

fn signed<M>(message: M, authorization: &str) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    request
}

async fn create_organization(identity: &str) -> String {
    let (channel, authorization) = signed_in(identity).await;
    let request = CreateOrganizationRequest { slug: "acme".into(), display_name: "Acme".into(), ..Default::default() };
    let made = OrganizationServiceClient::new(channel).create_organization(signed(request, &authorization)).await.unwrap();
    made.into_inner().organization.unwrap().organization_id
}

async fn organizations(identity: &str) -> Vec<String> {
    let (channel, authorization) = signed_in(identity).await;
    let request = signed(ListOrganizationsRequest::default(), &authorization);
    let listed = OrganizationServiceClient::new(channel).list_organizations(request).await.unwrap().into_inner();
    listed.organizations.into_iter().map(|organization| organization.organization_id).collect()
}

#[test]
fn a_second_one_beside_it_is_told_the_pid_and_the_address() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut first = Up::start(folder.path());
    let second = command(folder.path()).output().unwrap();
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success());
    assert!(told.contains(&first.child.0.id().to_string()) && told.contains("127.0.0.1:"), "{told}");
    assert!(first.end(Signal::TERM));
}

#[test]
fn a_server_that_dies_under_it_ends_it_by_name() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut up = Up::start(folder.path());
    let children = up.descendants();
    let nats = children.iter().find(|pid| comm(**pid) == "nats-server").unwrap();
    signal(*nats, Signal::KILL);
    assert!(!up.child.0.wait().unwrap().success());
    assert!(up.told().contains("nats-server failed: it ended by itself"), "{}", up.told());
    assert_gone(&children);
}
