//! Every RPC of the contract, called by whom it must refuse, then by whom it serves; and every rule of its fields, broken.
//!
//! The table at the end has an entry for each RPC. One without fails the guard.

use std::collections::BTreeSet;

use contract::{Authn, METHODS, MethodPolicy, Scope};
use muster::migrate::SCHEMAS;
use muster_tests::{
    Actor, Fault, Suite, dynamic, rules, short, telemetry, text,
    world::{World, done, refused},
};
use serde_json::{Value, json};
use tonic::Code;

mod repeats;
mod table;
mod wire;

use table::{Entry, entries};

fn policy(entry: &Entry) -> &'static MethodPolicy {
    METHODS.iter().find(|policy| short(policy) == entry.rpc).unwrap_or_else(|| panic!("the contract has no {}", entry.rpc))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_serves_whom_it_is_for_and_refuses_everybody_else() {
    let world = World::of(Suite::start().await).await;
    let entries = entries(&world).await;
    let named: BTreeSet<String> = entries.iter().map(|entry| entry.rpc.to_owned()).collect();
    assert_eq!(named, METHODS.iter().map(short).collect(), "every RPC has an entry in the table, and no other");
    let before = changes(&world).await;
    for entry in &entries {
        let policy = policy(entry);
        nobody_is_refused(&world, entry, policy).await;
        if policy.authn == Authn::ServiceOnly {
            other_services_are_refused(&world, entry, policy).await;
        }
        if entry.names_acme {
            strangers_are_refused(&world, entry, policy).await;
        }
    }
    assert_eq!(changes(&world).await, before, "whoever is refused changes nothing");
    for entry in &entries {
        let policy = policy(entry);
        if !entry.names_acme {
            strangers_are_refused(&world, entry, policy).await;
        }
        let owner = entry.who.of(&world, policy).await;
        let answer = owner.call(entry.rpc, entry.request("here")).await;
        answer.unwrap_or_else(|fault| panic!("{} refuses whom it is for: {fault}", entry.rpc));
    }
    world.suite.finish().await;
}

async fn nobody_is_refused(world: &World, entry: &Entry, policy: &MethodPolicy) {
    let reason = match policy.authn {
        Authn::Required => "CREDENTIALS_MISSING",
        Authn::ServiceOnly => "PEER_TOKEN_INVALID",
        Authn::Public | Authn::Unspecified => return,
    };
    let fault = turned_away(entry, world.suite.nobody().call(entry.rpc, entry.request("here"))).await;
    assert_eq!((fault.code, fault.reason.as_str()), (Code::Unauthenticated, reason), "{} without credentials", entry.rpc);
    if policy.authn == Authn::ServiceOnly {
        let fault = turned_away(entry, world.ana.call(entry.rpc, entry.request("here"))).await;
        assert_eq!((fault.code, fault.reason.as_str()), (Code::Unauthenticated, reason), "{} with a user's token", entry.rpc);
    }
}

/// A peer that is trusted for other methods is nobody for this one.
async fn other_services_are_refused(world: &World, entry: &Entry, policy: &MethodPolicy) {
    for name in ["audit", "authorization", "gateway", "identity", "notifications", "operator", "tasks"] {
        if !policy.callers.contains(&name) {
            let fault = turned_away(entry, world.suite.service(name).call(entry.rpc, entry.request("here"))).await;
            assert_eq!((fault.code, fault.reason.as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"), "{} by {name}", entry.rpc);
        }
    }
}

/// Somebody of another organization, and somebody of none.
async fn strangers_are_refused(world: &World, entry: &Entry, policy: &MethodPolicy) {
    if policy.authn != Authn::Required {
        return;
    }
    stranger_is_refused(world, entry, policy, &world.eve, "elsewhere").await;
    // A session of its own: what somebody does to their own sessions, this one does not meet.
    let outsider = world.suite.sign_in("eve").await;
    stranger_is_refused(world, entry, policy, &outsider, "nowhere").await;
}

/// The same request, with the ids of acme, by somebody who is not of acme.
async fn stranger_is_refused(world: &World, entry: &Entry, policy: &MethodPolicy, stranger: &Actor, whence: &str) {
    let counts = telemetry::metrics().render();
    match stranger.call(entry.rpc, entry.request(whence)).await {
        Err(fault) => {
            is_counted(entry, &fault, &counts);
            // Who is not sure enough for the method is told so, whatever the request names; and somebody else's link is none.
            let asked = policy.step_up.is_some() && fault.reason == "STEP_UP_REQUIRED" || fault.reason == "EMAIL_CHANGE_TOKEN_INVALID";
            let hidden = asked || matches!(fault.code, Code::NotFound | Code::PermissionDenied);
            assert!(hidden && !fault.reason.is_empty(), "{} by eve {whence}: {fault}", entry.rpc);
        }
        Ok(answer) => {
            assert!(!entry.names_acme, "{} by eve {whence} passes: {answer}", entry.rpc);
            assert_ne!(policy.scope, Scope::System, "{} by eve {whence} passes", entry.rpc);
            let shown = answer.to_string();
            for id in [&world.organization_id, &world.workspace_id, &world.product_id, &world.work_item_id] {
                assert!(!shown.contains(id.as_str()), "{} tells eve {whence} of acme: {shown}", entry.rpc);
            }
            assert_ne!(answer["decision"]["allowed"], json!(true), "{} by eve {whence}: {answer}", entry.rpc);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_rule_of_a_field_is_told_by_the_field_s_name() {
    let world = World::of(Suite::start().await).await;
    let (mut broken, mut in_lists) = (0, 0);
    let entries = entries(&world).await;
    let before = changes(&world).await;
    for entry in &entries {
        let owner = entry.who.of(&world, policy(entry)).await;
        let input = dynamic::method(dynamic::pool(), policy(entry).path).input();
        let all = rules::broken(&input, &entry.request("here"));
        let tells = !all.is_empty();
        for rules::Broken { rule, field, request } in all {
            let Err(fault) = owner.call(entry.rpc, request).await else { panic!("{} takes {field} in spite of {rule}", entry.rpc) };
            let told = (fault.code, fault.reason.as_str(), fault.fields.contains(&field));
            assert_eq!(told, (Code::InvalidArgument, "FIELD_VIOLATION", true), "{}: {field} breaks {rule}: {fault}", entry.rpc);
            broken += 1;
            in_lists += usize::from(field.contains("[0]."));
        }
        let counted = counted(&telemetry::metrics().render(), entry, Code::InvalidArgument);
        assert_eq!(counted > 0.0, tells, "{}: refusals are counted", entry.rpc);
    }
    assert!(broken > 200 && in_lists > 5, "only {broken} rules were broken, {in_lists} of them in lists of messages");
    assert_eq!(changes(&world).await, before, "a request that breaks a rule changes nothing");
    tidy(&world, &entries).await;
    world.suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_narrowed_to_one_workspace_reaches_no_other_and_all_that_is_of_the_organization() {
    let world = World::of(Suite::start().await).await;
    let other = json!({"slug": "other", "displayName": "Other"});
    let other = text(&done(world.ana.call("identity.WorkspaceService/CreateWorkspace", other).await), "workspace.workspaceId");
    world.suite.settle().await;
    let narrowed = json!({"organizationId": world.organization_id, "workspaceId": other});
    let narrowed = done(world.ana.call("identity.SessionService/SwitchContext", narrowed).await);
    let narrowed = world.ana.with_token(&text(&narrowed, "accessToken"));
    let mut tried = 0;
    let entries = entries(&world).await;
    let before = changes(&world).await;
    for entry in entries.iter().filter(|entry| policy(entry).scope == Scope::Workspace) {
        let fault = turned_away(entry, narrowed.call(entry.rpc, entry.request("here"))).await;
        assert_eq!((fault.code, fault.reason.as_str()), (Code::NotFound, "WORKSPACE_NOT_FOUND"), "{}", entry.rpc);
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
    assert_eq!(changes(&world).await, before, "who reaches for another workspace changes nothing");
    done(narrowed.call("tasks.ProductService/ListProducts", json!({"workspaceId": other})).await);
    // What is of the organization it opens all the same, and Check answers by roles: the token's workspace is left out of account.
    done(narrowed.call("identity.WorkspaceService/ListWorkspaces", json!({})).await);
    let elsewhere = json!({"workspaceId": world.workspace_id, "userId": world.ana.user_id, "permission": "tasks.work_item.get"});
    let answer = done(narrowed.call("authorization.AuthorizationService/Check", json!({"question": elsewhere})).await);
    assert_eq!(answer["decision"]["allowed"], json!(true), "{answer}");
    tidy(&world, &entries).await;
    world.suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_refuses_a_token_that_is_over() {
    let world = World::of(Suite::start().await).await;
    let over = world.ana_of_an_hour_ago().await;
    let mut tried = 0;
    let entries = entries(&world).await;
    let before = changes(&world).await;
    for entry in entries.iter().filter(|entry| policy(entry).authn == Authn::Required) {
        let fault = turned_away(entry, over.call(entry.rpc, entry.request("here"))).await;
        assert_eq!((fault.code, fault.reason.as_str()), (Code::Unauthenticated, "TOKEN_EXPIRED"), "{}: {fault}", entry.rpc);
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
    assert_eq!(changes(&world).await, before, "a token that is over changes nothing");
    tidy(&world, &entries).await;
    world.suite.finish().await;
}

/// What `call`, of the method of `entry`, is refused with; and that this is counted.
async fn turned_away(entry: &Entry, call: impl Future<Output = Result<Value, Fault>>) -> Fault {
    let counts = telemetry::metrics().render();
    let fault = refused(call.await);
    is_counted(entry, &fault, &counts);
    fault
}

/// That the method was answered with the fault's code more often than `counts` say.
fn is_counted(entry: &Entry, fault: &Fault, counts: &str) {
    let now = telemetry::metrics().render();
    assert!(counted(&now, entry, fault.code) > counted(counts, entry, fault.code), "{}: {:?} is counted", entry.rpc, fault.code);
}

/// How often the method was answered with `code`, by the counters that a scraper reads.
fn counted(counts: &str, entry: &Entry, code: Code) -> f64 {
    // NotFound is labelled NOT_FOUND.
    let words = |name: String| name.chars().flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain([c])).collect::<String>();
    let code = format!("\"{}\"", words(format!("{code:?}")).trim_start_matches('_').to_uppercase());
    let path = format!("\"{}\"", policy(entry).path.trim_start_matches('/'));
    let counters = counts.lines().filter(|line| line.starts_with("muster_rpc_requests_total"));
    let counters = counters.filter(|line| line.contains(&path) && line.contains(&code));
    counters.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>().expect("a count")).sum()
}

/// How many things were changed so far, in all services, but for the sessions that this guard opens and what is told of them.
async fn changes(world: &World) -> usize {
    world.suite.settle().await;
    let mut count = 0;
    for (service, ..) in SCHEMAS {
        let events = world.suite.events(service).await.into_iter().filter_map(|event| event.envelope);
        count += events.filter(|envelope| !opened_a_session(&envelope.r#type)).count();
    }
    count
}

fn opened_a_session(type_name: &str) -> bool {
    [".SessionCreated", ".InboxItemCreated", ".DeliverySent"].iter().any(|name| type_name.ends_with(name))
}

/// Drops the dead letter that the table is about.
async fn tidy(world: &World, entries: &[Entry]) {
    let last = entries.iter().find(|entry| entry.rpc.ends_with("/DropDeadLetter")).expect("an entry");
    done(last.who.of(world, policy(last)).await.call(last.rpc, last.request("here")).await);
}

/// A request to an RPC with a value put in place.
pub(crate) fn with(mut request: Value, more: Value) -> Value {
    if let (Some(request), Value::Object(more)) = (request.as_object_mut(), more) {
        request.extend(more);
    }
    request
}
