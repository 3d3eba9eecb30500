//! The commands that are clients of a running suite, as a person types them.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Output, Stdio},
};

use contract::{
    BaseRole,
    identity::v1::{
        CreateOrganizationRequest, CreateWorkspaceRequest, ListOrganizationMembersRequest, Workspace,
        organization_member_service_client::OrganizationMemberServiceClient, organization_service_client::OrganizationServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    tasks::v1::{
        CreateProductRequest, ListWorkItemsRequest, product_service_client::ProductServiceClient,
        work_item_service_client::WorkItemServiceClient,
    },
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

/// An organization `acme` of ana's with a workspace `main`, which is answered, and a product `MUST` in it.
async fn acme(suite: &Suite, token: impl Fn(&[&str]) -> String) -> Workspace {
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
        workspace_id: workspace.workspace_id.clone(),
        key: "MUST".into(),
        display_name: "Muster".into(),
        ..Default::default()
    };
    while let Err(status) = ProductServiceClient::new(channel.clone()).create_product(signed(product.clone(), &inside)).await {
        assert!(status.code() == Code::NotFound && began.elapsed() < AT_MOST, "{status}");
        sleep(PERIOD).await;
    }
    workspace
}

/// The titles of the epics of a workspace, and the roles of its organization's members.
async fn sown_in(suite: &Suite, workspace: &Workspace, token: &str) -> (BTreeSet<String>, Vec<BaseRole>) {
    let channel = suite.channel(gateway::NAME);
    let workspace_id = workspace.workspace_id.clone();
    let list = ListWorkItemsRequest { workspace_id, filter: "type = EPIC".into(), ..Default::default() };
    let epics = WorkItemServiceClient::new(channel.clone()).list_work_items(signed(list, token)).await.unwrap().into_inner().work_items;
    let list = ListOrganizationMembersRequest { organization_id: workspace.organization_id.clone(), ..Default::default() };
    let members = OrganizationMemberServiceClient::new(channel).list_organization_members(signed(list, token)).await.unwrap();
    let mut roles: Vec<_> = members.into_inner().organization_members.iter().map(|member| member.role()).collect();
    roles.sort();
    (epics.into_iter().map(|epic| epic.title).collect(), roles)
}

#[test]
fn a_person_signs_in_imports_a_plan_and_sows_a_seed_from_a_shell() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let suite = Suite::new().await;
        let process = suite.serve(&SERVICES, &[]).await;
        suite.seed().await;
        let url = suite.address(gateway::NAME);
        let at = [("MUSTER_URL", url.as_str()), ("MUSTER_PASSWORD", seed::PASSWORD)];
        let token = |more: &[&str]| said(&muster(&[&["token", "ana@muster.example"], more].concat(), &at));
        let main = acme(&suite, token).await;

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
        let seed = |more: &[&str]| said(&suite.muster(&[&["seed", "--url", &url], more].concat()));
        let sown = seed(&[]);
        assert!(sown.contains("acme          main       SHOP     Web shop     11"), "{sown}");
        assert_eq!(seed(&[]), sown, "what is there stays as it is");
        let document: serde_json::Value = seed(&["--json"]).parse().unwrap();
        assert_eq!(document["products"][0]["key"], "SHOP");
        let person =
            |one: &serde_json::Value| format!("{} {}", one["organization"].as_str().unwrap_or("none"), one["role"].as_str().unwrap());
        let people: BTreeSet<String> = document["people"].as_array().unwrap().iter().map(person).collect();
        let everybody = ["acme admin", "acme member", "acme owner", "acme viewer", "globex owner", "globex viewer", "none system admin"];
        assert_eq!(people, everybody.map(str::to_owned).into());
        let (epics, roles) = sown_in(&suite, &main, &token(&["--organization", "acme"])).await;
        assert_eq!(epics, ["Catalogue", "Checkout", "Close the year", "Fast pages"].map(str::to_owned).into());
        assert_eq!(roles, [BaseRole::Viewer, BaseRole::Member, BaseRole::Admin, BaseRole::Owner]);
        let document: serde_json::Value = token(&["--json"]).parse().unwrap();
        assert!(document["access_token"].as_str().unwrap().starts_with("eyJ"));
        let migrated: serde_json::Value = said(&suite.muster(&["migrate", "status", "--json"])).parse().unwrap();
        assert_eq!((&migrated["migrations"][0]["service"], &migrated["migrations"][0]["applied"]), (&"identity".into(), &true.into()));
        let nothing: serde_json::Value = said(&suite.muster(&["migrate", "up", "tasks", "--json"])).parse().unwrap();
        assert_eq!(nothing, serde_json::json!({ "services": [{ "service": "tasks", "applied_count": 0 }] }));
        for unsaid in [vec![("MUSTER_URL", url.as_str())], vec![("MUSTER_URL", &url), ("MUSTER_PASSWORD", "")]] {
            let unsaid = complained(&muster(&["token", "ana@muster.example"], &unsaid));
            assert_eq!(unsaid, "muster: there is no password on standard input");
        }
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
fn what_is_missing_is_said_in_one_line_that_says_what_to_do() {
    let import = ["import", "PLAN.md", "--workspace", "main", "--product", "MUST"];
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().to_str().unwrap();
    for (arguments, told) in [
        (&import[..], "muster: PLAN.md: No such file or directory (os error 2)"),
        (&["token", "ana@muster.example", "--url", "muster"], "muster: `muster` is no address of a suite, such as http://127.0.0.1:8080"),
        (&["migrate", "bootstrap"], "muster: DATABASE_URL names the superuser's database and is not set"),
        (
            &["serve", "kitchen"],
            "muster: there is no service kitchen; there are gateway, identity, authorization, tasks, audit, notifications",
        ),
        (
            &["events", "dead", "--service", "gateway"],
            "muster: there is no service gateway with an event log; there are identity, authorization, tasks, audit, notifications",
        ),
    ] {
        let output = muster(arguments, &[("DATABASE_URL", ""), ("MUSTER_PASSWORD", "x")]);
        assert_eq!((complained(&output).as_str(), output.status.code()), (told, Some(1)));
    }
    fs::write(folder.path().join("PLAN.md"), PLAN).unwrap();
    let plan = folder.path().join("PLAN.md");
    let unsigned = complained(&muster(&[&["import", plan.to_str().unwrap()], &import[2..]].concat(), &[("MUSTER_TOKEN", "")]));
    assert_eq!(unsigned, "muster: no token: set MUSTER_TOKEN to what `muster token` prints, or give --token");
    let keyless = complained(&muster(&["events", "status", "--keys", keys], &[]));
    assert_eq!(keyless.matches("No such file").count(), 1, "{keyless}");
    assert!(keyless.contains(&format!("the keys of operator in {keys}")), "{keyless}");
    assert_eq!(muster(&["events", "list", "--count", "0"], &[]).status.code(), Some(2));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for arguments in ["completions bash", "config example", "help"] {
        let command = format!("{} {arguments} | head -n 1", env!("CARGO_BIN_EXE_muster"));
        let output = Command::new("bash").args(["-o", "pipefail", "-c", &command]).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments}");
    }
}

#[test]
fn an_answer_that_can_t_be_written_is_a_failure() {
    for arguments in [&["completions", "bash"][..], &["config", "example"], &["config", "show", "--json"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_muster")).args(arguments).env_clear().stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).starts_with("muster: the answer can't be written: No space left"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_shell_learns_the_commands() {
    let script = said(&muster(&["completions", "bash"], &[]));
    assert!(script.contains("complete -F _muster") && script.contains("import"), "{}", &script[..200]);
}
