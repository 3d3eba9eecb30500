//! A path written in a document is code: it exists.

use std::fs;

use muster_tests::{files, root};

/// Text between backticks that looks like a path of this repository.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    const ENDINGS: [&str; 8] = [".rs", ".proto", ".toml", ".md", ".sql", ".sh", ".yaml", ".json"];
    const TOPS: [&str; 6] = ["proto/", "services/", "shared/", "tests/", "deploy/", "k8s/"];
    text.split('`').skip(1).step_by(2).filter(|word| {
        word.contains('/')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c))
            && (ENDINGS.iter().any(|end| word.ends_with(end)) || TOPS.iter().any(|top| word.starts_with(top)))
    })
}

#[test]
fn every_path_in_a_document_exists() {
    let root = root();
    let documents = files(&root, ".md");
    assert!(documents.iter().any(|d| d.ends_with("README.md")), "the walk finds the README");
    let mut checked = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for path in paths(&text) {
            checked += 1;
            let beside = document.parent().unwrap().join(path);
            assert!(root.join(path).exists() || beside.exists(), "{} names {path}, which does not exist", document.display());
        }
    }
    assert!(checked > 0, "no document names a path");
}

#[test]
fn a_path_is_told_from_other_code() {
    let text = "see `shared/db/src/lib.rs`, run `make up`, call `muster.tasks.v1.WorkItemService/ImportPlan`, or `a/b`";
    assert_eq!(paths(text).collect::<Vec<_>>(), ["shared/db/src/lib.rs"]);
}
