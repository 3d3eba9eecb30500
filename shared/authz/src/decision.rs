//! Questions and answers, as values.
//!
//! Deliberately absent: how an answer is found, which is [`Snapshot`](crate::Snapshot)'s.

use contract::authorization::v1::{DecisionCause, RoleTier};
use contract::{BaseRole, Permission, Reach};
use runtime::{OrganizationId, UserId, WorkspaceId};

/// What matters of a resource to a decision. The service that holds the row passes it in; the engine stores no resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Who created it.
    pub owner: Option<UserId>,
    /// To whom it is assigned.
    pub assignees: &'a [UserId],
}

impl Resource<'static> {
    /// A resource that nobody owns: only a permission with reach ANY suffices.
    pub const NONE: Self = Self { owner: None, assignees: &[] };

    /// A resource that is `owner`'s and assigned to nobody.
    pub const fn of(owner: UserId) -> Self {
        Self { owner: Some(owner), assignees: &[] }
    }
}

/// One question: may `user` do what `permission` names, there, to `resource`?
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The subject.
    pub user: UserId,
    /// What is to be done.
    pub permission: Permission,
    /// The tenant: the organization of the caller's token.
    pub organization: OrganizationId,
    /// The workspace; `None` for the organization itself.
    pub workspace: Option<WorkspaceId>,
    /// To what.
    pub resource: &'a Resource<'a>,
}

/// Whether a permission is held at a scope, before a row is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is not.
    No {
        /// Whether some role of the user reaches the scope. If none does, the scope's existence must not be told either.
        knows_scope: bool,
    },
    /// It is.
    Yes {
        /// On which resources.
        reach: Reach,
        /// `ROLE` or `SYSTEM_ROLE`.
        cause: DecisionCause,
        /// The role that gives it.
        role: (RoleTier, BaseRole),
    },
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the user may.
    pub allowed: bool,
    /// Why.
    pub cause: DecisionCause,
    /// The role that decided; `None` when none did.
    pub role: Option<(RoleTier, BaseRole)>,
}

impl Decision {
    pub(crate) fn of(held: Held, user: UserId, resource: &Resource<'_>) -> Self {
        let (reach, cause, role) = match held {
            Held::No { knows_scope: true } => return Self::denied(DecisionCause::NotHeld),
            Held::No { knows_scope: false } => return Self::denied(DecisionCause::NoRole),
            Held::Yes { reach, cause, role } => (reach, cause, role),
        };
        let cause = match reach {
            Reach::Any => cause,
            Reach::Assigned | Reach::Own if resource.owner == Some(user) => DecisionCause::Own,
            Reach::Assigned if resource.assignees.contains(&user) => DecisionCause::Assigned,
            Reach::Assigned | Reach::Own | Reach::Unspecified => return Self::denied(DecisionCause::NotHeld),
        };
        Self { allowed: true, cause, role: Some(role) }
    }

    const fn denied(cause: DecisionCause) -> Self {
        Self { allowed: false, cause, role: None }
    }
}

/// The workspaces of an organization that a user's roles reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workspaces {
    /// Every one, also those that are not made yet: the user holds a role of the organization, or is a system admin.
    All,
    /// These alone, by id; none for an outsider.
    These(Vec<WorkspaceId>),
}
