//! Arrows: services meet in `proto/` only, `shared/` names no service, and no service reads another's schema.

use std::{fs, path::Path};

use muster_tests::{files, root};

const SERVICES: [&str; 6] = ["audit", "authorization", "gateway", "identity", "notifications", "tasks"];

/// Every crate that the manifest names: for the code, its tests and its build.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = fs::read_to_string(root().join(manifest)).unwrap().parse().unwrap();
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"].map(|table| manifest.get(table).and_then(|d| d.as_table()));
    tables.into_iter().flatten().flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn no_service_depends_on_another() {
    for service in SERVICES {
        let dependencies = dependencies(&format!("services/{service}/Cargo.toml"));
        assert!(dependencies.contains(&"contract".to_owned()), "{service} meets the others in the contract");
        for other in SERVICES.into_iter().filter(|other| *other != service) {
            assert!(!dependencies.contains(&other.to_owned()), "{service} depends on {other}");
        }
    }
}

#[test]
fn nothing_shared_depends_on_a_service() {
    for entry in fs::read_dir(root().join("shared")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let dependencies = dependencies(&format!("shared/{name}/Cargo.toml"));
        for service in SERVICES.into_iter().chain(["muster"]) {
            assert!(!dependencies.contains(&service.to_owned()), "shared/{name} depends on {service}");
        }
    }
}

/// Where SQL stands beside `store.rs`, and why.
const STATEMENTS: [(&str, &str); 1] =
    [("services/tasks/src/work_item/list.rs", "a list's statement is put together from its filter and order")];

fn holds_sql(file: &Path) -> bool {
    file.ends_with("store.rs") || STATEMENTS.iter().any(|(path, _)| file.ends_with(path))
}

#[test]
fn sql_stands_in_stores() {
    for service in SERVICES {
        for file in files(&root().join("services").join(service).join("src"), ".rs").iter().filter(|file| !holds_sql(file)) {
            let text = fs::read_to_string(file).unwrap();
            for statement in ["sqlx::query", "sqlx::raw_sql", "QueryBuilder", ".look_up("] {
                assert!(!text.contains(statement), "{} has a statement", file.display());
            }
        }
    }
}

#[test]
fn no_service_names_a_foreign_schema_in_its_sql() {
    let schemas =
        [("audit", "audit"), ("authorization", "authz"), ("identity", "identity"), ("notifications", "notifications"), ("tasks", "tasks")];
    for (service, own) in schemas {
        let mut statements = 0;
        for file in files(&root().join("services").join(service).join("src"), ".rs").iter().filter(|file| holds_sql(file)) {
            let text = fs::read_to_string(file).unwrap();
            for keyword in ["FROM ", "JOIN ", "INTO ", "UPDATE "] {
                for rest in text.split(keyword).skip(1) {
                    statements += 1;
                    for (_, foreign) in schemas.iter().filter(|(_, schema)| *schema != own) {
                        assert!(!rest.starts_with(&format!("{foreign}.")), "{} reads {foreign}", file.display());
                    }
                }
            }
        }
        assert!(statements > 0, "{service} has no SQL where the guard looks");
    }
}
