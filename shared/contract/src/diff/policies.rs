//! The policies of RPCs, before and after.

use super::{
    Pair, is_ours,
    options::{Grant, Policy},
};

/// The built-in roles from the lowest to the highest, and the reaches from the shortest to the farthest, as the protos name them.
const ROLES: [&str; 4] = ["VIEWER", "MEMBER", "ADMIN", "OWNER"];
const REACHES: [&str; 3] = ["OWN", "ASSIGNED", "ANY"];
/// From the weakest to the strongest.
const AUTHN: [&str; 3] = ["PUBLIC", "REQUIRED", "SERVICE_ONLY"];

impl Pair<'_> {
    /// Compares every RPC that is on both sides.
    pub(super) fn methods(&mut self) {
        for service in self.released.services().filter(|service| is_ours(service.package_name())) {
            let Some(today) = self.today.get_service_by_name(service.full_name()) else { continue };
            for method in service.methods() {
                let Some(after) = today.methods().find(|after| after.name() == method.name()) else { continue };
                let Some(released) = self.released_options.policy(&method) else { continue };
                match self.today_options.policy(&after) {
                    Some(today) => compare(&released, &today).into_iter().for_each(|why| self.add(method.full_name(), why)),
                    None => self.add(method.full_name(), "its policy is gone"),
                }
            }
        }
    }
}

fn compare(released: &Policy, today: &Policy) -> Vec<String> {
    let mut found = Vec::new();
    for (name, was, is) in [
        ("permission", &released.permission, &today.permission),
        ("scope", &released.scope, &today.scope),
        ("scope_field", &released.scope_field, &today.scope_field),
        ("audit_action", &released.audit_action, &today.audit_action),
    ] {
        if !was.is_empty() && was != is {
            found.push(if is.is_empty() { format!("its {name} `{was}` is gone") } else { format!("its {name} `{was}` became `{is}`") });
        }
    }
    for role in ROLES.iter().filter(|role| reach(&today.grants, role) > reach(&released.grants, role)) {
        found.push(format!("its grants reach farther for {role}"));
    }
    if rank(&AUTHN, &today.authn) < rank(&AUTHN, &released.authn) {
        found.push(format!("its authn {} became {}", released.authn, today.authn));
    }
    let more = today.callers.iter().filter(|caller| !released.callers.contains(caller));
    for caller in more.filter(|_| released.authn == "SERVICE_ONLY") {
        found.push(format!("the peer {caller} may call it too"));
    }
    if released.exposure == "INTERNAL" && today.exposure != "INTERNAL" {
        found.push(format!("its exposure INTERNAL became {}", today.exposure));
    }
    if !keeps_promise(&released.idempotency, &today.idempotency) {
        found.push(format!("its idempotency {} became {}", released.idempotency, today.idempotency));
    }
    if today.deadline_default_ms < released.deadline_default_ms || today.deadline_max_ms < released.deadline_max_ms {
        found.push("its deadline became shorter".to_owned());
    }
    if let Some(released) = released.step_up {
        match today.step_up {
            None => found.push("its step_up is gone".to_owned()),
            Some(today) if today.aal < released.aal => found.push(format!("its step_up takes aal {} and not {}", today.aal, released.aal)),
            Some(today) if today.max_age_seconds > released.max_age_seconds => {
                found.push(format!("its step_up takes {} s and not {}", today.max_age_seconds, released.max_age_seconds));
            }
            Some(_) => {}
        }
    }
    let gone = released.reasons.iter().filter(|reason| !today.reasons.contains(reason));
    found.extend(gone.map(|reason| format!("it no longer states the reason {reason}")));
    found
}

/// Whether a caller that relied on the one may rely on the other. A stored answer is more than a repeat without effect.
fn keeps_promise(released: &str, today: &str) -> bool {
    released == today
        || released == "NONE"
        || (released == "NATURAL" && today != "NONE")
        || (released == "REQUEST_ID" && today == "NO_SIDE_EFFECTS")
}

/// How far the grants reach for a role, which holds what lower ones do; `None` when it holds nothing.
fn reach(grants: &[Grant], role: &str) -> Option<usize> {
    let held = grants.iter().filter(|grant| rank(&ROLES, &grant.role) <= rank(&ROLES, role));
    held.filter_map(|grant| rank(&REACHES, &grant.reach)).max()
}

fn rank(order: &[&str], name: &str) -> Option<usize> {
    order.iter().position(|known| *known == name)
}
