//! Which workspaces there are: a role of an organization reaches those that are known as its own, and no other.
//!
//! Deliberately absent: names and everything else that identity keeps of a workspace.

pub mod ops;
pub mod store;
