//! The embedded decision engine: who may do what, answered in the process that asks.
//!
//! Every service holds an [`Authorizer`]: a copy of all role assignments, kept current by [`replicate`] over `authorization.v1.ReplicationService`.
//! A decision reads one immutable [`Snapshot`], takes no lock and allocates nothing; nothing is cached, since computing costs less than a look-up
//! in a cache and can't be out of date on its own account.
//!
//! Roles are held in three tiers. A system admin holds everything, in whichever organization the token names. A role of an organization reaches
//! all its workspaces; a role of a workspace stays there. What the built-in roles hold is stated in `proto/` and compiled once ([`role_grants`]).
//!
//! Deliberately absent: who is asking (`rpc` knows the caller), custom roles and conditions, and any default other than no.

mod assignment;
mod authorizer;
mod claim;
mod decision;
mod map;
mod replicate;
mod roles;
mod snapshot;

pub use assignment::{Assignment, Delta, Malformed, RoleScope, Workspace};
pub use authorizer::{Authorizer, SENSITIVE_STALENESS_MAX, STALENESS_MAX};
pub use claim::Claim;
pub use decision::{Decision, Held, Query, Resource, Workspaces};
pub use replicate::{Error, replicate};
pub use roles::{ROLES, grants as role_grants};
pub use snapshot::Snapshot;
