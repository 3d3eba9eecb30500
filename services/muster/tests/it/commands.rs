//! The commands that are clients of a running suite, as a person types them.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use contract::{
    identity::v1::{
        CreateOrganizationRequest, CreateWorkspaceRequest, organization_service_client::OrganizationServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    tasks::v1::{CreateProductRequest, product_service_client::ProductServiceClient},
};
use muster::{seed, serve::SERVICES};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request};

use crate::suite::{AT_MOST, PERIOD, Suite};
use crate::up::alone;

const PLAN: &str = "# Plan\n\n- [ ] Engine\n  - [x] Pump\n- [ ] Hull\n";

/// What `muster` says to `arguments`, with variables of `environment`, and nothing on standard input.
fn muster(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).stdin(Stdio::null()).env_clear().envs(environment.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What the command says when it goes well.
#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

/// What it says when it does not.
#[track_caller]
fn complained(output: &Output) -> String {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    assert_eq!(text(&output.stdout), "", "a failure says nothing on standard output");
    text(&output.stderr).trim_end().to_owned()
}

fn signed<M>(message: M, token: &str) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// An organization `acme` of ana's with a workspace `main` and a product `MUST` in it.
async fn acme(suite: &Suite, token: impl Fn(&[&str]) -> String) {
    let channel = suite.channel(gateway::NAME);
    let organization = CreateOrganizationRequest { slug: "acme".into(), display_name: "Acme".into(), ..Default::default() };
    OrganizationServiceClient::new(channel.clone()).create_organization(signed(organization, &token(&[]))).await.unwrap();
    let inside = token(&["--organization", "acme"]);
    let workspace = CreateWorkspaceRequest { slug: "main".into(), display_name: "Main".into(), ..Default::default() };
    let began = Instant::now();
    let workspace = loop {
        match WorkspaceServiceClient::new(channel.clone()).create_workspace(signed(workspace.clone(), &inside)).await {
            Ok(made) => break made.into_inner().workspace.unwrap(),
            // The role is on its way.
            Err(status) => assert!(status.code() == Code::NotFound && began.elapsed() < AT_MOST, "{status}"),
        }
        sleep(PERIOD).await;
    };
    let product = CreateProductRequest {
        workspace_id: workspace.workspace_id,
        key: "MUST".into(),
        display_name: "Muster".into(),
        ..Default::default()
    };
    while let Err(status) = ProductServiceClient::new(channel.clone()).create_product(signed(product.clone(), &inside)).await {
        assert!(status.code() == Code::NotFound && began.elapsed() < AT_MOST, "{status}");
        sleep(PERIOD).await;
    }
}

#[test]
fn a_person_signs_in_imports_a_plan_and_sows_a_seed_from_a_shell() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let suite = Suite::new().await;
        let mut process = suite.start(&SERVICES, &[]);
        for service in SERVICES {
            suite.ready(&mut process, service).await;
        }
        suite.seed().await;
        let url = suite.address(gateway::NAME);
        let at = [("MUSTER_URL", url.as_str()), ("MUSTER_PASSWORD", seed::PASSWORD)];
        let token = |more: &[&str]| said(&muster(&[&["token", "ana@muster.example"], more].concat(), &at));
        acme(&suite, token).await;

        let plan = suite.file("PLAN.md");
        fs::write(&plan, PLAN).unwrap();
        let inside = token(&["--organization", "acme", "--workspace", "main"]);
        let at = [("MUSTER_URL", url.as_str()), ("MUSTER_TOKEN", inside.as_str())];
        let import =
            |more: &[&str]| muster(&[&["import", plan.to_str().unwrap(), "--workspace", "main", "--product", "MUST"], more].concat(), &at);
        assert!(said(&import(&["--dry-run"])).ends_with("3 would be created, 0 would be updated, 0 unchanged"));
        let imported = said(&import(&[]));
        assert!(imported.contains("MUST-2  created    Pump"), "a child stands below its parent: {imported}");
        assert!(imported.ends_with("3 created, 0 updated, 0 unchanged"), "{imported}");
        let again: serde_json::Value = said(&import(&["--json"])).parse().unwrap();
        assert_eq!(again["unchangedCount"], 3, "{again}");

        let nowhere = complained(&muster(&["import", plan.to_str().unwrap(), "--workspace", "attic", "--product", "MUST"], &at));
        assert_eq!(nowhere, "muster: the organization has no workspace attic, or you don't reach it");
        fs::write(&plan, "no checkbox").unwrap();
        assert!(complained(&import(&[])).starts_with("muster: PLAN_EMPTY: "));
        let wrong = [("MUSTER_URL", url.as_str()), ("MUSTER_PASSWORD", "wrong")];
        assert!(complained(&muster(&["token", "ana@muster.example"], &wrong)).starts_with("muster: SIGN_IN_REFUSED: "));
        let seed = || said(&suite.muster(&["seed", "--url", &url]));
        let sown = seed();
        assert!(sown.contains("acme          main       SHOP     Web shop     11"), "{sown}");
        assert_eq!(seed(), sown, "what is there stays as it is");
        let unsaid = complained(&muster(&["token", "ana@muster.example"], &[("MUSTER_URL", &url)]));
        assert_eq!(unsaid, "muster: there is no password on standard input");
        drop(process);
        suite.stop().await;
    });
}

#[test]
fn a_suite_that_is_not_there_is_named() {
    let nobody = [("MUSTER_URL", "http://127.0.0.1:9"), ("MUSTER_PASSWORD", "any")];
    let complaint = complained(&muster(&["token", "ana@muster.example"], &nobody));
    assert!(complaint.starts_with("muster: nobody answers at http://127.0.0.1:9; `muster up` serves there"), "{complaint}");
}

#[test]
fn a_shell_learns_the_commands() {
    let script = said(&muster(&["completions", "bash"], &[]));
    assert!(script.contains("complete -F _muster") && script.contains("import"), "{}", &script[..200]);
}
