//! What stands before the calls of the edge.

use std::pin::Pin;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;

/// Sees every request of the edge's main port first, and makes gRPC of what is gRPC in another dress.
pub trait Front: Send + Sync + 'static {
    /// What becomes of `request`.
    fn enter(&self, request: Request<Incoming>) -> Entry;
}

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
    Answering(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
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
