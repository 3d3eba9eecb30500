use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tasks {
    port: u16,
    host: String,
    label: Option<String>,
    peers: BTreeMap<String, String>,
    pool: Pool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Pool {
    size: u32,
    wait_ms: u64,
}

impl Default for Pool {
    fn default() -> Self {
        Self { size: 8, wait_ms: 250 }
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self { port: 7103, host: "127.0.0.1".into(), label: None, peers: BTreeMap::new(), pool: Pool::default() }
    }
}

impl Section for Tasks {
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("port", "The main port, 1..=65535."),
            ("host", "The address to listen on."),
            ("label", "What the operators call this one."),
            ("peers.*", "Addresses by service."),
            ("pool.size", "Connections, 1..=100."),
            ("pool.wait_ms", "How long a call waits for one, in milliseconds."),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("pool.size", self.pool.size, 1..=100);
        faults.range("pool.wait_ms", self.pool.wait_ms, 1..=10_000);
        faults.not_empty("host", &self.host);
    }

    fn retired() -> &'static [(&'static str, &'static str)] {
        &[("pool.idle", "connections are never idle now")]
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Database {
    url: String,
    password: Secret,
}

impl Section for Database {
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[("url", "Where it is."), ("password", "The password of the app role.")]
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Root {
    tasks: Tasks,
    database: Database,
}

impl Tree for Root {
    fn sections() -> Vec<SectionSpec> {
        vec![SectionSpec::of::<Tasks>("tasks", "Work items."), SectionSpec::of::<Database>("database", "Postgres.")]
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Keeps the file alive as long as the sources that name it.
struct Given {
    _directory: tempfile::TempDir,
    sources: Sources,
}

fn file(text: &str) -> Given {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("muster.toml");
    std::fs::write(&path, text).unwrap();
    Given { _directory: directory, sources: Sources { file: Some(path), ..Sources::default() } }
}

fn faults(sources: &Sources) -> Vec<String> {
    load::<Root>(sources).unwrap_err().faults.iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect()
}

#[test]
fn nothing_given_means_the_defaults() {
    let loaded = load::<Root>(&Sources::default()).unwrap();
    assert_eq!(loaded.config.tasks, Tasks::default());
    assert!(loaded.warnings.is_empty());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut given = file("[tasks]\nport = 1\nhost = \"file\"\nlabel = \"file\"\n");
    given.sources.environment = pairs(&[("MUSTER__TASKS__PORT", "2"), ("MUSTER__TASKS__HOST", "environment"), ("MUSTER_TEST_LOG", "x")]);
    given.sources.flags = pairs(&[("tasks.port", "3")]);
    let tasks = load::<Root>(&given.sources).unwrap().config.tasks;
    assert_eq!((tasks.port, tasks.host.as_str(), tasks.label.as_deref()), (3, "environment", Some("file")));
}

#[test]
fn every_fault_is_told_at_once_with_the_place_it_came_from() {
    let mut given = file("[tasks]\nprot = 1\npool.size = 0\npool.wait_ms = 0\n[database]\nurl = 5\nuser = \"x\"\n[orders]\nport = 1\n");
    given.sources.environment = pairs(&[("MUSTER__TASKS__HOST", ""), ("MUSTER__TASKS__POOL__SIZE", "101")]);
    let invalid = load::<Root>(&given.sources).unwrap_err();
    let told: Vec<(&str, &str)> = invalid.faults.iter().map(|fault| (fault.key.as_str(), fault.message.as_str())).collect();
    assert_eq!(
        told,
        [
            ("database.url", "must be a string, is a whole number"),
            ("database.user", "unknown key"),
            ("orders.port", "unknown key"),
            ("tasks.host", "must be set"),
            ("tasks.pool.size", "must be 1..=100, is 101"),
            ("tasks.pool.wait_ms", "must be 1..=10000, is 0"),
            ("tasks.prot", "unknown key; did you mean `port`?"),
        ]
    );
    assert_eq!(invalid.faults[4].origin.as_deref(), Some("MUSTER__TASKS__POOL__SIZE"));
    assert!(invalid.faults[5].origin.as_deref().unwrap().ends_with("muster.toml"));
    assert!(invalid.to_string().starts_with("the configuration has 7 faults:\n  - database.url: must be"));
}

#[test]
fn a_fault_never_prints_the_value() {
    let mut given = file("[database]\npassword = [\"canary-1\"]\n[tasks]\nport = \"canary-2\"\ncanary = \"canary-3\"\n");
    given.sources.environment = pairs(&[("MUSTER__TASKS__POOL__SIZE", "canary-4")]);
    let text = load::<Root>(&given.sources).unwrap_err().to_string();
    assert!(text.contains("database.password: must be"), "{text}");
    assert!(!text.contains("canary-"), "{text}");
    let broken = file("[database]\npassword = canary-5\n").sources;
    assert!(!load::<Root>(&broken).unwrap_err().to_string().contains("canary-"));
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    let given = file("[tasks]\nport = 1\nhost = \n");
    let text = load::<Root>(&given.sources).unwrap_err().to_string();
    assert!(text.contains("no TOML: line 3"), "{text}");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let sources = Sources { file: Some("/nowhere/muster.toml".into()), ..Sources::default() };
    assert!(faults(&sources)[0].contains("can't read the file"));
}

#[test]
fn digits_stay_text_where_text_is_wanted() {
    let environment =
        pairs(&[("MUSTER__DATABASE__PASSWORD", "007"), ("MUSTER__TASKS__LABEL", "042"), ("MUSTER__TASKS__PEERS__AUDIT", "1")]);
    let config = load::<Root>(&Sources { environment, ..Sources::default() }).unwrap().config;
    assert_eq!(config.database.password.expose(), "007");
    assert_eq!(config.tasks.label.as_deref(), Some("042"));
    assert_eq!(config.tasks.peers["audit"], "1");
}

#[test]
fn a_secret_comes_from_its_file_without_the_newline() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hunter2\n").unwrap();
    let given = file(&format!("[database]\npassword_file = \"{}\"\n", secret.path().display()));
    assert_eq!(load::<Root>(&given.sources).unwrap().config.database.password.expose(), "hunter2");
    let over = Sources { environment: pairs(&[("MUSTER__DATABASE__PASSWORD", "other")]), ..given.sources.clone() };
    assert_eq!(load::<Root>(&over).unwrap().config.database.password.expose(), "other", "a higher layer wins in either form");
}

#[test]
fn a_secret_given_twice_in_one_layer_or_missing_in_its_file_is_a_fault() {
    let twice = file("[database]\npassword = \"a\"\npassword_file = \"/nowhere\"\n");
    assert_eq!(
        faults(&twice.sources),
        [
            "database.password: given twice, also as `password_file`: keep one",
            "database.password_file: can't read /nowhere: No such file or directory (os error 2)"
        ]
    );
    let no_secret = file("[tasks]\nhost_file = \"/nowhere\"\n");
    assert_eq!(faults(&no_secret.sources), ["tasks.host_file: unknown key"]);
}

#[test]
fn an_old_file_with_a_retired_key_starts_with_a_warning() {
    let given = file("[tasks]\npool.idle = 5\npool.size = 9\n");
    let loaded = load::<Root>(&given.sources).unwrap();
    assert_eq!(loaded.config.tasks.pool.size, 9);
    assert_eq!(loaded.warnings[0].message, "no longer read: connections are never idle now");
}

#[test]
fn what_is_shown_holds_no_secret() {
    let mut config = Root::default();
    config.database.password = "canary-1".into();
    config.database.url = "postgres://app:canary-2@db/muster".into();
    config.tasks.peers.insert("api_token".into(), "canary-3".into());
    let shown = show(&config);
    assert!(shown.contains("password = \"[redacted]\""), "{shown}");
    assert!(shown.contains("url = \"postgres://app:[redacted]@db/muster\""), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!format!("{config:?}").contains("canary-1"));
}

#[test]
fn what_is_shown_can_not_be_mistaken_for_a_configuration() {
    let config = Root { database: Database { password: "x".into(), ..Database::default() }, ..Root::default() };
    let given = file(&show(&config));
    assert_eq!(faults(&given.sources), ["database.password: what `config show` prints in place of a secret is no secret"]);
}

#[test]
fn the_example_documents_every_key_and_loads_to_the_defaults() {
    let text = example::<Root>();
    assert!(text.starts_with("# Work items.\n[tasks]\n# The main port, 1..=65535.\nport = 7103\n"), "{text}");
    assert!(text.contains("# The password of the app role.\n# password = \"\"\n# password_file = \"\"\n"), "{text}");
    assert!(text.contains("[tasks.pool]\n# Connections, 1..=100.\nsize = 8\n"), "{text}");
    assert_eq!(load::<Root>(&file(&text).sources).unwrap().config.tasks, Tasks::default());
    assert_eq!(undocumented::<Root>(), Vec::<String>::new());
}

#[test]
fn a_section_that_is_no_table_is_a_type_fault() {
    assert_eq!(faults(&file("tasks = 5\n").sources), ["tasks: must be struct Tasks, is a whole number"]);
}
