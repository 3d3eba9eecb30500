//! `muster config`: every fault at once, nothing secret shown, and an example that can't drift.

use std::process::{Command, Output};

use muster::config::Config;
use runtime::config::{Sources, example, load, undocumented};

fn muster(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster")).args(arguments).env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_example_file_is_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/muster.example.toml");
    assert_eq!(std::fs::read_to_string(path).unwrap().trim_end(), example::<Config>().trim_end(), "run `make gen`");
}

#[test]
fn every_setting_is_documented_and_the_example_loads() {
    assert_eq!(undocumented::<Config>(), Vec::<String>::new());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/muster.example.toml").into();
    let loaded = load::<Config>(&Sources { file: Some(file), ..Sources::default() }).unwrap();
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.config.tasks.port, 7103);
}

#[test]
fn every_fault_is_told_at_once_and_the_values_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(
        &file,
        "[tasks]\nprot = 1\n[identity]\nport = \"hunter2\"\n[events]\nbatch_size = 0\n[audit]\nport = 7104\nadmin_port = 7104\n",
    )
    .unwrap();
    let output = muster(&["--config", file.to_str().unwrap(), "config", "check"]);
    let told = text(&output.stderr);
    assert!(!output.status.success());
    for fault in ["tasks.prot: unknown key; did you mean `port`?", "identity.port", "events.batch_size", "audit.admin_port"] {
        assert!(told.contains(fault), "{fault} is missing in: {told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn what_tells_that_an_event_was_told_outlives_the_event() {
    let check = |settings: &[&str]| muster(&[settings, &["config", "check"]].concat());
    let long = ["--set", "events.event_keep_days=366"];
    let told = text(&check(&long).stderr);
    for key in ["inbox_days", "delivery_days"] {
        assert!(told.contains(&format!("notifications.{key}: must be 366 or more, by events.event_keep_days")), "{told}");
    }
    let longer = ["--set", "notifications.inbox_days=366", "--set", "notifications.delivery_days=366"];
    assert!(check(&[&long[..], &longer].concat()).status.success());
}

#[test]
fn environment_is_over_the_file_and_flags_are_over_both() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .args(["--set", "tasks.port=7999", "config", "show"])
        .env_clear()
        .env("MUSTER__TASKS__PORT", "7998")
        .env("MUSTER__AUDIT__PORT", "7997");
    let shown = text(&command.output().unwrap().stdout);
    assert!(shown.contains("7999") && shown.contains("7997") && !shown.contains("7998"), "{shown}");
}

#[test]
fn a_secret_is_never_shown() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(["config", "show"]).env_clear().env("MUSTER__DATABASE__URL", "postgres://x:hunter2@localhost/muster");
    let shown = text(&command.output().unwrap().stdout);
    assert!(shown.contains("[redacted]") && !shown.contains("hunter2"), "{shown}");
    let shown: serde_json::Value = text(&command.arg("--json").output().unwrap().stdout).parse().unwrap();
    assert_eq!((&shown["database"]["url"], &shown["tasks"]["port"]), (&"[redacted]".into(), &7103.into()), "{shown}");
}

#[test]
fn keys_are_made_once_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let make = || assert!(muster(&["keys", folder.path().to_str().unwrap()]).status.success());
    make();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let names = ["tasks.key", "tasks.seal", "trust.json", "operator.key"];
    let first = names.map(read);
    make();
    assert_eq!(names.map(read), first);
}

#[test]
fn log_levels_are_read_anew_when_the_process_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("muster.toml"), folder.path().join("log"));
    std::fs::write(&file, "[telemetry]\nlevels = \"off\"\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.arg("--config").arg(&file).args(["bench-server", "bare", &address]).stdout(std::fs::File::create(&log).unwrap());
    let mut process = command.spawn().unwrap();
    until("it listens", || std::net::TcpStream::connect(&address).is_ok());
    std::fs::write(&file, "[telemetry]\nlevels = \"muster=info\"\n").unwrap();
    let pid = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    until("it says so", || std::fs::read_to_string(&log).unwrap().contains("log levels are read anew"));
    process.kill().unwrap();
    process.wait().unwrap();
}

fn until(what: &str, is: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is() {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
