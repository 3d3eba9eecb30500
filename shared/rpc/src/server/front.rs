//! What stands before the calls of the edge, and behind them.

use std::pin::Pin;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;

use crate::Message;

/// Sees every request of the edge's main port first, makes gRPC of what is gRPC in another dress, and passes the calls on.
pub trait Front: Send + Sync + 'static {
    /// What becomes of `request`.
    fn enter(&self, request: Request<Incoming>) -> Entry;

    /// The answer to a call of one of the suite's methods, whose message is here in full. It runs in the call's context.
    fn pass_on(&self, call: Request<Message>) -> Answering<'_>;
}

/// An answer that is on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

/// Puts the dress of a call on its answer.
pub type Dress = Box<dyn FnOnce(Response<Body>) -> Response<Body> + Send>;

/// What becomes of a request.
pub enum Entry {
    /// It goes on as it is.
    AsIs(Request<Incoming>),
    /// It is a gRPC call, by now; its answer goes out in a dress.
    Call(Request<Body>, Dress),
    /// It is answered, and goes no further.
    Answered(Response<Body>),
    /// The same, when the answer is there. It takes no place: whoever gives it sees to its time, and to what a crowd of them costs.
    Answering(Answering<'static>),
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AsIs(_) => "AsIs",
            Self::Call(..) => "Call",
            Self::Answered(_) => "Answered",
            Self::Answering(_) => "Answering",
        })
    }
}
