//! Every reason of the contract, provoked, with the code that its comment in the proto promises.
//!
//! A reason that nobody here provokes fails the guard, but for those of [`ELSEWHERE`]; that list may only shrink.

use std::collections::BTreeMap;

use muster_tests::{
    Fault, Suite, dynamic,
    world::{World, refused},
};
use prost_reflect::EnumDescriptor;
use serde_json::Value;

mod common;
mod operated;
mod own;

/// Reasons that need more than a caller and an operator, and where they are tested.
const ELSEWHERE: [(&str, &str); 2] = [
    ("muster/AUTHORIZATION_STALE", "the permission feed must be silent: shared/rpc, and tests/it/revocation.rs"),
    ("muster/REVOCATIONS_STALE", "the revocation feed must be silent: shared/rpc, and tests/it/revocation.rs"),
];

/// The refusals that were seen.
#[derive(Default)]
struct Seen(BTreeMap<String, Fault>);

impl Seen {
    /// Notes a refusal, which must have the reason `reason`: `identity.muster/LAST_OWNER`.
    #[track_caller]
    fn note(&mut self, reason: &str, answer: Result<Value, Fault>) {
        self.keep(reason, refused(answer));
    }

    #[track_caller]
    fn keep(&mut self, reason: &str, fault: Fault) {
        assert_eq!(format!("{}/{}", fault.domain, fault.reason), reason, "{fault}");
        self.0.insert(reason.to_owned(), fault);
    }
}

/// Each reason of one enum with the code that its comment begins with.
fn promised(reasons: &EnumDescriptor) -> Vec<(String, String)> {
    let domain = match reasons.package_name() {
        "muster.common.v1" => "muster".to_owned(),
        package => format!("{}.muster", package.split('.').nth(1).unwrap_or_default()),
    };
    let file = reasons.parent_file().file_descriptor_proto().clone();
    let locations = file.source_code_info.map(|info| info.location).unwrap_or_default();
    let values = reasons.values().filter(|value| value.number() > 0);
    let named = values.map(|value| {
        let comment = locations.iter().find(|location| location.path == value.path()).map(|location| location.leading_comments().trim());
        let code = comment.and_then(|comment| comment.split_once(':')).map(|(code, _)| code.to_owned()).unwrap_or_default();
        (format!("{domain}/{}", value.name().split_once("REASON_").map_or("", |(_, name)| name)), code)
    });
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_is_provoked_and_has_the_code_it_promises() {
    let suite = Suite::start_with(|config| {
        config.identity.own.hashing.threads = 1;
        config.identity.own.hashing.queue_max = 1;
        config.identity.own.invitations_per_organization = 2;
        config.tasks.own.watch_buffer = 1;
        config.tasks.own.watch_slow_ms = 200;
        // The services among themselves have five at most on one server.
        config.limits.streams_max = 8;
    })
    .await;
    let world = World::of(suite).await;
    let mut seen = Seen::default();
    common::provoke(&world, &mut seen).await;
    own::provoke(&world, &mut seen).await;
    operated::provoke(&world, &mut seen).await;

    let enums = dynamic::pool().all_enums().filter(|kind| kind.package_name().starts_with("muster.") && kind.name().ends_with("Reason"));
    let promised: BTreeMap<String, String> = enums.flat_map(|kind| promised(&kind)).collect();
    assert!(promised.len() > 50, "{promised:?}");
    for (reason, code) in &promised {
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| name == reason);
        match seen.0.get(reason) {
            None => assert!(elsewhere, "nobody provokes {reason}"),
            Some(fault) => {
                assert!(!elsewhere, "{reason} is provoked here: take it off the list");
                let spelled = format!("{:?}", fault.code).to_uppercase();
                assert_eq!(spelled, code.replace('_', ""), "the code of {reason}");
                let passes = [
                    "OVERLOADED",
                    "HASHING_OVERLOADED",
                    "SIGN_IN_THROTTLED",
                    "ATTEMPTS_THROTTLED",
                    "CONFLICT",
                    "DEPENDENCY_UNAVAILABLE",
                    "NOT_READY",
                ];
                assert!(fault.retry || !passes.iter().any(|name| *name == fault.reason), "{reason} says when to try again: {fault}");
            }
        }
    }
    world.suite.finish().await;
}
