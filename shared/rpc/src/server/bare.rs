//! Statuses that carry no reason: those that tonic makes itself. None leaves the server as it is.
//!
//! Before `rpc::open` ran, such a status is about the message: it could not be decoded, or was too large. After it, an answer was too large or
//! something is wrong with us. A status of the suite carries details and passes, also one that a handler passes on from a peer.

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use crate::{CallContext, Error};

const STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";

/// The limits that a status may be about, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) request: usize,
    pub(super) response: usize,
}

/// The code in `headers`, if they end a call.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// Gives the status in `headers` a reason, if it is an error without; answers the code that goes out. Call it in the scope of `context`.
pub(super) fn dress(headers: &mut HeaderMap, context: &CallContext, sizes: Sizes) -> Option<Code> {
    let code = code(headers)?;
    if code == Code::Ok || headers.contains_key(DETAILS) {
        return Some(code);
    }
    let error = match (context.opened(), code) {
        (false, Code::OutOfRange | Code::ResourceExhausted) => Error::MessageTooLarge { limit_bytes: sizes.request },
        (false, Code::Unimplemented) => Error::MalformedRequest("the compression of the message is not supported"),
        (false, _) => Error::MalformedRequest("the message can't be decoded"),
        (true, Code::OutOfRange | Code::ResourceExhausted) => Error::MessageTooLarge { limit_bytes: sizes.response },
        (true, _) => Error::Internal(format!("a status without details: {code:?} {:?}", headers.get("grpc-message"))),
    };
    Some(write(headers, &Status::from(error)))
}

/// Puts `status` into `headers`, in place of any other.
pub(super) fn write(headers: &mut HeaderMap, status: &Status) -> Code {
    for name in [STATUS, DETAILS, "grpc-message"] {
        headers.remove(name);
    }
    if status.add_header(headers).is_err() {
        // Only metadata that breaks HTTP fails, and the suite's statuses have none.
        headers.insert(STATUS, HeaderValue::from(Code::Internal as i32));
        return Code::Internal;
    }
    status.code()
}
