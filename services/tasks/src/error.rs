//! What can go wrong, and how it is told: one match to code and reason.

use std::time::Duration;

use contract::Violation;
use contract::tasks::v1::TasksReason as Wire;
use rpc::{Code, Fault, Reason};

use crate::work_item::{Kind, State};

/// Why a call to the tasks service failed. `Display` is for the client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `PRODUCT_NOT_FOUND`.
    #[error("no such product")]
    ProductNotFound,
    /// `PRODUCT_KEY_TAKEN`.
    #[error("another product of the workspace has this key")]
    ProductKeyTaken,
    /// `WORK_ITEM_NOT_FOUND`.
    #[error("no such work item")]
    WorkItemNotFound,
    /// `PARENT_NOT_FOUND`.
    #[error("the parent does not exist in the same product")]
    ParentNotFound,
    /// `PARENT_TYPE_NOT_ALLOWED`; a parent of `None` is the top.
    #[error("a {child} can't stand {}", under(*.parent))]
    ParentType {
        /// What was to be placed.
        child: Kind,
        /// Under what.
        parent: Option<Kind>,
    },
    /// `HIERARCHY_TOO_DEEP`.
    #[error("items nest at most ten deep, and none under itself")]
    TooDeep,
    /// `TRANSITION_NOT_ALLOWED`.
    #[error("a {from} item can't become {to}")]
    WrongState {
        /// Where it stands.
        from: State,
        /// Where it was to go.
        to: State,
    },
    /// `UPDATE_MASK_EMPTY`.
    #[error("the update mask names no field")]
    UpdateMaskEmpty,
    /// `PLAN_EMPTY`.
    #[error("the plan holds no checkbox list")]
    PlanEmpty,
    /// `PLAN_TOO_LARGE`.
    #[error("the plan holds more than 5,000 items, or changes more than 32 MiB of text at once")]
    PlanTooLarge,
    /// `ASSIGNEE_NOT_FOUND`.
    #[error("an assignee holds no role in the workspace")]
    AssigneeNotFound,
    /// `SLOW_CONSUMER`.
    #[error("the watcher reads too slowly; resume with the last token")]
    SlowConsumer,
    /// Credentials, a field or a permission.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// The event log.
    #[error(transparent)]
    Events(#[from] events::Error),
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
}

fn under(parent: Option<Kind>) -> String {
    parent.map_or_else(|| "at the top".to_owned(), |parent| format!("under a {parent}"))
}

impl Fault for Error {
    fn status(&self) -> (Code, Reason) {
        match self {
            Error::ProductNotFound => (Code::NotFound, Wire::ProductNotFound.into()),
            Error::ProductKeyTaken => (Code::AlreadyExists, Wire::ProductKeyTaken.into()),
            Error::WorkItemNotFound => (Code::NotFound, Wire::WorkItemNotFound.into()),
            Error::ParentNotFound => (Code::FailedPrecondition, Wire::ParentNotFound.into()),
            Error::ParentType { .. } => (Code::FailedPrecondition, Wire::ParentTypeNotAllowed.into()),
            Error::TooDeep => (Code::FailedPrecondition, Wire::HierarchyTooDeep.into()),
            Error::WrongState { .. } => (Code::FailedPrecondition, Wire::TransitionNotAllowed.into()),
            Error::UpdateMaskEmpty => (Code::InvalidArgument, Wire::UpdateMaskEmpty.into()),
            Error::PlanEmpty => (Code::InvalidArgument, Wire::PlanEmpty.into()),
            Error::PlanTooLarge => (Code::InvalidArgument, Wire::PlanTooLarge.into()),
            Error::AssigneeNotFound => (Code::FailedPrecondition, Wire::AssigneeNotFound.into()),
            Error::SlowConsumer => (Code::ResourceExhausted, Wire::SlowConsumer.into()),
            Error::Rpc(e) => e.status(),
            Error::Events(e) => e.status(),
            Error::Db(e) => e.status(),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        let (field, rule) = match self {
            Error::UpdateMaskEmpty => ("update_mask", "update_mask.empty"),
            Error::PlanEmpty => ("markdown", "plan.empty"),
            Error::PlanTooLarge => ("markdown", "plan.too_large"),
            Error::Rpc(e) => return e.violations(),
            Error::Events(e) => return e.violations(),
            Error::Db(e) => return e.violations(),
            _ => return Vec::new(),
        };
        vec![Violation { field: field.to_owned(), rule, description: self.to_string() }]
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Rpc(e) => e.retry_after(),
            Error::Events(e) => e.retry_after(),
            Error::Db(e) => e.retry_after(),
            _ => None,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Error::WrongState { from, to } => vec![("from", from.to_string()), ("to", to.to_string())],
            Error::Rpc(e) => e.metadata(),
            Error::Events(e) => e.metadata(),
            Error::Db(e) => e.metadata(),
            _ => Vec::new(),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        rpc::status(&error)
    }
}
