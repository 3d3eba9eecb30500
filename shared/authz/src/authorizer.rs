//! The handle that a service asks: the newest snapshot, how new it is, and who waits for a newer one.
//!
//! Readers take no lock. There is one writer a process, the replication loop; a second one waits for its turn.
//!
//! Deliberately absent: any connection. `replicate` feeds it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::{BaseRole, Permission, Reach};
use runtime::{OrganizationId, UserId, WorkspaceId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{Decision, Delta, Held, Query, Snapshot, Workspaces};

/// How old what is known of roles may be before decisions are refused: the whole way from identity's events. Source: design.md section 3,
/// Decisions.
pub const STALENESS_MAX: Duration = Duration::from_secs(60);

/// How long authorization may not have been heard when a sensitive method is decided: four heartbeats, `events.bookmark_ms` by default, which are
/// there however old what they vouch for is. Source: design.md section 3, Decisions.
pub const SENSITIVE_STALENESS_MAX: Duration = Duration::from_secs(2);

/// Answers who may do what. Cheap to clone; clones share one state. Before the first snapshot every answer is no.
#[derive(Clone)]
pub struct Authorizer(Arc<Inner>);

struct Inner {
    snapshot: ArcSwap<Snapshot>,
    /// Held by whoever makes the next snapshot.
    writer: Mutex<()>,
    /// The revision; `None` before the first snapshot.
    revisions: watch::Sender<Option<i64>>,
    /// Until when it is known to be current; `None` before anybody vouched for it.
    vouched: Mutex<Option<Instant>>,
    /// When authorization was heard last; `None` while nobody keeps it current.
    heard: Mutex<Option<Instant>>,
    /// Organizations in which nothing is decided; the nil id stands for all.
    blocked: ArcSwap<BTreeSet<OrganizationId>>,
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer").field("revision", &*self.0.revisions.borrow()).finish_non_exhaustive()
    }
}

impl Default for Authorizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Authorizer {
    /// An authorizer that knows nobody yet.
    pub fn new() -> Self {
        Authorizer(Arc::new(Inner {
            snapshot: ArcSwap::default(),
            writer: Mutex::new(()),
            revisions: watch::Sender::new(None),
            vouched: Mutex::new(None),
            heard: Mutex::new(None),
            blocked: ArcSwap::default(),
        }))
    }

    /// Waits for the first snapshot.
    pub async fn ready(&self) {
        // An error would say that the sender is gone, and it is held here.
        let _ = self.0.revisions.subscribe().wait_for(Option::is_some).await;
    }

    /// Whether a first snapshot is installed. It stays so; ask [`staleness`](Self::staleness) for the rest.
    pub fn is_ready(&self) -> bool {
        self.0.revisions.borrow().is_some()
    }

    /// The revision of the newest snapshot; 0 before the first.
    pub fn revision(&self) -> i64 {
        self.0.snapshot.load().revision()
    }

    /// How old what is known is at most; [`Duration::MAX`] before the first snapshot, and before authorization vouched for one.
    pub fn staleness(&self) -> Duration {
        if !self.is_ready() {
            return Duration::MAX;
        }
        self.vouched().map_or(Duration::MAX, |until| until.elapsed())
    }

    /// Whether decisions may be given in `organization` (the system organization: by the system tier): a snapshot is there, it is not older than
    /// [`STALENESS_MAX`], and nothing that was told of the organization is missing from it.
    pub fn is_current(&self, organization: OrganizationId) -> bool {
        let blocked = self.0.blocked.load();
        let blocked = !blocked.is_empty() && (blocked.contains(&organization) || blocked.contains(&OrganizationId::SYSTEM));
        !blocked && self.staleness() <= STALENESS_MAX
    }

    /// Whether authorization was heard within [`SENSITIVE_STALENESS_MAX`]; as good as that before it was heard at all. It is asked beside
    /// [`is_current`](Self::is_current), for a sensitive method.
    pub fn is_current_to_the_second(&self) -> bool {
        self.last_heard().is_none_or(|heard| heard.elapsed() <= SENSITIVE_STALENESS_MAX)
    }

    /// Waits until decisions may be given, in organizations that are not blocked.
    pub async fn current(&self) {
        let mut revisions = self.0.revisions.subscribe();
        while self.staleness() > STALENESS_MAX {
            // An error would say that the sender is gone, and it is held here.
            let _ = revisions.changed().await;
        }
    }

    /// The newest snapshot, for several questions at one revision.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// As [`Snapshot::reach`], of the newest.
    pub fn reach(&self, user: UserId, permission: Permission, organization: OrganizationId, workspace: Option<WorkspaceId>) -> Held {
        self.0.snapshot.load().reach(user, permission, organization, workspace)
    }

    /// As [`Snapshot::check`], of the newest.
    pub fn check(&self, query: &Query<'_>) -> Decision {
        self.0.snapshot.load().check(query)
    }

    /// As [`Snapshot::permissions`], of the newest.
    pub fn permissions(&self, user: UserId, organization: OrganizationId, workspace: Option<WorkspaceId>) -> Vec<(Permission, Reach)> {
        self.0.snapshot.load().permissions(user, organization, workspace)
    }

    /// As [`Snapshot::workspaces`], of the newest.
    pub fn workspaces(&self, user: UserId, organization: OrganizationId) -> Workspaces {
        self.0.snapshot.load().workspaces(user, organization)
    }

    /// As [`Snapshot::has_workspace`], of the newest.
    pub fn has_workspace(&self, organization: OrganizationId, workspace: WorkspaceId) -> bool {
        self.0.snapshot.load().has_workspace(organization, workspace)
    }

    /// As [`Snapshot::organization_role`], of the newest.
    pub fn organization_role(&self, user: UserId, organization: OrganizationId) -> Option<BaseRole> {
        self.0.snapshot.load().organization_role(user, organization)
    }

    /// As [`Snapshot::workspace_role`], of the newest.
    pub fn workspace_role(&self, user: UserId, organization: OrganizationId, workspace: WorkspaceId) -> Option<BaseRole> {
        self.0.snapshot.load().workspace_role(user, organization, workspace)
    }

    /// As [`Snapshot::is_system_admin`], of the newest.
    pub fn is_system_admin(&self, user: UserId) -> bool {
        self.0.snapshot.load().is_system_admin(user)
    }

    /// Waits until the user's role at the scope is known at `source_version` or later, at most `at_most`; tells whether it is. The version of a
    /// removal is that of the membership plus one.
    pub async fn wait_for(
        &self,
        user: UserId,
        organization: OrganizationId,
        workspace: Option<WorkspaceId>,
        source_version: i64,
        at_most: Duration,
    ) -> bool {
        let known = |_: &Option<i64>| self.0.snapshot.load().version(user, organization, workspace) >= source_version;
        let mut revisions = self.0.revisions.subscribe();
        tokio::time::timeout(at_most, revisions.wait_for(known)).await.is_ok()
    }

    /// Waits until `workspace` is known as one of `organization`, at most `at_most`; tells whether it is.
    pub async fn wait_for_workspace(&self, organization: OrganizationId, workspace: WorkspaceId, at_most: Duration) -> bool {
        let known = |_: &Option<i64>| self.has_workspace(organization, workspace);
        let mut revisions = self.0.revisions.subscribe();
        tokio::time::timeout(at_most, revisions.wait_for(known)).await.is_ok()
    }

    /// Puts `snapshot` in force, whatever was before.
    pub fn install(&self, snapshot: Snapshot) {
        let _writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.publish(snapshot);
    }

    /// Puts in force what `delta` makes of the newest snapshot.
    pub fn apply(&self, revision: i64, delta: &Delta) {
        let _writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.0.snapshot.load().after(revision, delta);
        self.publish(next);
    }

    /// Notes that the newest snapshot holds everything that was told `age` ago, except about the organizations `blocked`.
    pub fn vouch(&self, age: Duration, blocked: BTreeSet<OrganizationId>) {
        let until = Instant::now().checked_sub(age);
        {
            let mut vouched = self.vouched();
            *vouched = until.max(*vouched);
        }
        if blocked != **self.0.blocked.load() {
            self.0.blocked.store(Arc::new(blocked));
        }
        self.0.revisions.send_modify(|_| {});
    }

    /// Notes that authorization lives and nothing that it told is missing.
    pub fn heard(&self) {
        *self.last_heard() = Some(Instant::now());
    }

    fn last_heard(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vouched(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.vouched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, snapshot: Snapshot) {
        let revision = snapshot.revision();
        self.0.snapshot.store(Arc::new(snapshot));
        self.0.revisions.send_replace(Some(revision));
    }
}
