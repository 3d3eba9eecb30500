//! What a path is: looked up once a call, everything that depends on the method alone beside it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{Authn, Exposure, Idempotency, MethodPolicy, Scope};

use super::record::Meters;

/// What kind of method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// One of the suite's, with a policy of its own.
    Suite,
    /// grpc.health.v1: no credentials, never shed.
    Health,
    /// Server reflection: no credentials.
    Reflection,
    /// None.
    Unknown,
}

/// One method of a server.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) class: Class,
    pub(super) policy: &'static MethodPolicy,
    pub(super) request_bytes_max: usize,
    pub(super) meters: Meters,
}

/// The methods of a server, by path.
#[derive(Debug)]
pub(super) struct Table {
    routes: HashMap<&'static str, Arc<Route>>,
    unknown: Arc<Route>,
}

impl Table {
    /// The `exposed` methods of `services`, of health and of reflection. A request may be `request_bytes_max` long, or what `granted` says of its path.
    pub(super) fn new(
        service: &'static str,
        services: &[&'static str],
        exposed: fn(Exposure) -> bool,
        request_bytes_max: usize,
        granted: &[(&'static str, usize)],
    ) -> Self {
        let route = |class, policy: &'static MethodPolicy| {
            let more = granted.iter().find(|(path, _)| *path == policy.path).map(|(_, bytes)| *bytes);
            let meters = Meters::new(service, policy.path);
            Arc::new(Route { class, policy, request_bytes_max: more.unwrap_or(request_bytes_max), meters })
        };
        let suite = contract::METHODS
            .iter()
            .filter(|policy| services.contains(&policy.service) && exposed(policy.exposure))
            .map(|policy| route(Class::Suite, policy));
        let health = HEALTH.iter().map(|policy| route(Class::Health, policy));
        let reflection = REFLECTION.iter().map(|policy| route(Class::Reflection, policy));
        let routes = suite.chain(health).chain(reflection).map(|route| (route.policy.path, route)).collect();
        Self { routes, unknown: route(Class::Unknown, &UNKNOWN) }
    }

    pub(super) fn find(&self, path: &str) -> &Arc<Route> {
        self.routes.get(path).unwrap_or(&self.unknown)
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// How long one reflection stream lives: a tool asks a few questions and goes, and whoever leaves one open takes a place.
const REFLECTION_TIME: Duration = Duration::from_secs(60);

static HEALTH: [MethodPolicy; 3] = [
    standard("/grpc.health.v1.Health/Check", "grpc.health.v1.Health", "Check", Duration::from_secs(5), false),
    standard("/grpc.health.v1.Health/List", "grpc.health.v1.Health", "List", Duration::from_secs(5), false),
    standard("/grpc.health.v1.Health/Watch", "grpc.health.v1.Health", "Watch", HOUR, true),
];

static REFLECTION: [MethodPolicy; 2] = [
    standard(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1.ServerReflection",
        "ServerReflectionInfo",
        REFLECTION_TIME,
        true,
    ),
    standard(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection",
        "ServerReflectionInfo",
        REFLECTION_TIME,
        true,
    ),
];

static UNKNOWN: MethodPolicy = standard("unknown", "", "unknown", Duration::from_secs(5), false);

/// The policy of a method that carries none: anybody may call, for `time` at most, nothing is written.
const fn standard(path: &'static str, service: &'static str, name: &'static str, time: Duration, server_streaming: bool) -> MethodPolicy {
    MethodPolicy {
        path,
        service,
        name,
        owner: "",
        authn: Authn::Public,
        callers: &[],
        permission: None,
        scope: Scope::None,
        scope_field: None,
        audit_action: None,
        idempotency: Idempotency::NoSideEffects,
        deadline_default: time,
        deadline_max: time,
        exposure: Exposure::Internal,
        reasons: &[],
        server_streaming,
        step_up: None,
    }
}
