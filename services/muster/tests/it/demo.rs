//! `muster demo` against a suite in one process and in six, and with a service that is away.

use std::fs;
use std::process::{Command, Output, Stdio};

use muster::serve::SERVICES;

use crate::suite::Suite;
use crate::up::alone;

const PLAN: &str = "# Moving house\n\n- [ ] Boxes\n  - [ ] Kitchen\n- [x] Van\n";

fn demo(suite: &Suite, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(["demo", "--url", &suite.address(gateway::NAME)]).args(more).stdin(Stdio::null()).env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn goes_well(suite: &Suite, more: &[&str]) {
    let output = demo(suite, more);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}{}", text(&output.stderr));
    assert!(told.contains("26 steps, all as they should be"), "{told}");
}

#[test]
fn the_story_is_told_by_one_process_and_by_six_and_a_service_that_is_away_is_named_by_its_step() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let suite = Suite::new().await;
        let together = suite.serve(&SERVICES, &[]).await;
        suite.seed().await;
        goes_well(&suite, &[]);
        drop(together);

        // All at once: identity is ready when authorization is.
        let mut processes: Vec<_> = SERVICES.map(|service| (service, suite.start(&[service], &[]))).into();
        for (service, process) in &mut processes {
            suite.ready(process, service).await;
        }
        let plan = suite.file("PLAN.md");
        fs::write(&plan, PLAN).unwrap();
        goes_well(&suite, &["--file", plan.to_str().unwrap()]);
        fs::write(&plan, "no checkbox").unwrap();
        let complaint = text(&demo(&suite, &["--file", plan.to_str().unwrap()]).stderr);
        assert!(complaint.contains("imports a plan: PLAN_EMPTY: "), "it is this file that is imported: {complaint}");
        processes.retain(|(service, _)| *service != audit::NAME);
        let output = demo(&suite, &[]);
        assert_eq!(output.status.code(), Some(24), "{}", text(&output.stdout));
        let complaint = text(&output.stderr);
        assert!(complaint.starts_with("muster: step 24, the owner reads who did what: DEPENDENCY_UNAVAILABLE: "), "{complaint}");
        let document: serde_json::Value = text(&demo(&suite, &["--json"]).stdout).parse().unwrap();
        assert_eq!((&document["passed"], document["steps"].as_array().unwrap().len()), (&false.into(), 24), "{document}");
        drop(processes);
        suite.stop().await;
    });
}
