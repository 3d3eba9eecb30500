//! The first statement of a transaction: who it is for and how long it may last, in the round trip that BEGIN needs anyway.
//!
//! It goes as a simple query, which takes no parameters, so the text is built here from values that can't hold a quote: UUIDs, `*` and
//! numbers. `set_config(.., true)` ends with the transaction; nothing stays behind on the connection.

use std::fmt::Write;
use std::time::Duration;

use authz::Workspaces;
use rpc::{Caller, Subject};
use uuid::Uuid;

use crate::deadline::statement_timeout_ms;

/// How long a statement waits for a lock before it is ABORTED: a queue behind a lock must not eat the pool.
const LOCK_TIMEOUT_MS: u32 = 500;

/// Whether a transaction may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Access {
    fn begin(self) -> &'static str {
        match self {
            Access::Read => "BEGIN READ ONLY",
            Access::Write => "BEGIN",
        }
    }
}

/// For `caller`: its organization, its user if it is one, the workspaces it reaches.
pub(crate) fn for_caller(caller: &Caller, access: Access, limit: Duration) -> String {
    let user = match caller.subject() {
        Subject::User(user) => Some(user.uuid()),
        Subject::Service(_) | Subject::Anonymous => None,
    };
    let scope = Scope {
        organization: caller.organization_id().uuid(),
        user,
        workspaces: caller.workspaces(),
        system: caller.policy().scope == contract::Scope::System,
    };
    scope.begin(access, limit)
}

/// For the worker role, which stands in no organization.
pub(crate) fn for_worker(limit: Duration) -> String {
    format!("BEGIN; SELECT {}", timeouts(limit))
}

struct Scope {
    organization: Uuid,
    user: Option<Uuid>,
    workspaces: Workspaces,
    /// Whether the call has scope SYSTEM, which `rpc::open` lets system admins alone pass.
    system: bool,
}

impl Scope {
    fn begin(&self, access: Access, limit: Duration) -> String {
        let user = self.user.map(|user| user.to_string()).unwrap_or_default();
        let workspaces = match &self.workspaces {
            Workspaces::All => "*".to_owned(),
            Workspaces::These(workspaces) => listed(workspaces.iter().map(|workspace| workspace.uuid())),
        };
        format!(
            "{}; SELECT set_config('muster.organization','{}',true), set_config('muster.user','{user}',true), \
             set_config('muster.workspaces','{workspaces}',true), set_config('muster.system','{}',true), {}",
            access.begin(),
            self.organization,
            if self.system { "on" } else { "" },
            timeouts(limit),
        )
    }
}

fn timeouts(limit: Duration) -> String {
    let statement = statement_timeout_ms(limit);
    format!("set_config('statement_timeout','{statement}',true), set_config('lock_timeout','{LOCK_TIMEOUT_MS}',true)")
}

fn listed(ids: impl Iterator<Item = Uuid>) -> String {
    let mut text = String::new();
    for id in ids {
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{id}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(workspaces: Workspaces) -> Scope {
        Scope { organization: Uuid::nil(), user: None, workspaces, system: false }
    }

    #[test]
    fn everything_is_set_for_this_transaction_alone() {
        let text = scope(Workspaces::All).begin(Access::Read, Duration::from_millis(300));
        assert_eq!(
            text,
            "BEGIN READ ONLY; SELECT set_config('muster.organization','00000000-0000-0000-0000-000000000000',true), \
             set_config('muster.user','',true), set_config('muster.workspaces','*',true), set_config('muster.system','',true), set_config('statement_timeout','280',true), \
             set_config('lock_timeout','500',true)"
        );
    }

    #[test]
    fn a_call_of_scope_system_says_so() {
        let text = Scope { system: true, ..scope(Workspaces::All) }.begin(Access::Read, Duration::from_secs(1));
        assert!(text.contains("set_config('muster.system','on',true)"));
    }

    #[test]
    fn no_time_left_is_not_no_timeout() {
        assert!(for_worker(Duration::from_millis(1)).contains("'statement_timeout','1',"));
    }

    #[test]
    fn workspaces_are_listed_and_none_is_not_all() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let text = scope(Workspaces::These(vec![one.into(), two.into()])).begin(Access::Write, Duration::from_secs(1));
        assert!(text.contains(&format!("'muster.workspaces','{one},{two}',true")));
        assert!(scope(Workspaces::These(vec![])).begin(Access::Write, Duration::from_secs(1)).contains("'muster.workspaces','',true"));
    }
}
