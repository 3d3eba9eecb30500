//! The server stack every service runs on, and the client channel between them.
//!
//! A call passes three places, and each duty sits where it can be done: a layer sees headers and path ([`server`]), a handler sees the message
//! ([`open`]), a transaction sees the effect (shared/db). A handler's first line is `let (caller, req) = rpc::open(req)?;`: it is the only way
//! to a [`Caller`] for a call, and what comes out of it is validated, authenticated and permitted at the scope its policy declares.
//!
//! Deliberately absent: retries (only the edge retries, never a service), the name of any service, and every rule that needs a row.

pub mod authn;
pub mod client;
pub mod health;
pub mod reflection;
pub mod server;

mod background;
mod caller;
mod context;
mod deadline;
mod error;
mod fleeting;
mod limit;
mod open;
mod request_id;
mod scope;
mod step_up;
mod trace;

pub use caller::{Caller, RequestKey, Subject};
pub use context::CallContext;
pub use contract::Violation;
pub use deadline::{Deadline, deadline};
pub use error::{Code, Error, Fault, Reason, status};
pub use limit::answer::UnreadAnswers;
pub use limit::message::Message;
pub use limit::share::{Share, Shares, subscriber};
pub use open::open;

use fleeting::fleeting;
