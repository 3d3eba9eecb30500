//! The first line of every handler.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use contract::{Idempotency, RequestMessage};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::{CallContext, Caller, Error, RequestKey, scope, step_up};

/// Opens a request: its text is normalised, its fields are checked, and the caller holds what the method's policy asks for at the scope it
/// declares; the caller's session was authenticated as surely and as lately as the method asks for. The credentials were verified by the server
/// stack already.
///
/// # Errors
/// `FIELD_VIOLATION` with every violation, `PERMISSION_DENIED`, `ORGANIZATION_NOT_FOUND`, `WORKSPACE_NOT_FOUND`, `NOT_READY`,
/// `AUTHORIZATION_STALE`, `STEP_UP_REQUIRED`.
pub fn open<M: RequestMessage>(request: Request<M>) -> Result<(Caller, M), Status> {
    opened(request).map_err(Status::from)
}

fn opened<M: RequestMessage>(request: Request<M>) -> Result<(Caller, M), Error> {
    let (_, mut extensions, mut message) = request.into_parts();
    let Some(context) = extensions.remove::<Arc<CallContext>>() else {
        return Err(Error::Internal("rpc::open was called outside of rpc::server".to_owned()));
    };
    context.set_opened();
    message.normalize();
    let violations = message.validate();
    if !violations.is_empty() {
        return Err(Error::InvalidFields(violations));
    }
    let found = scope::check(&context, message.scope_id())?;
    step_up::check(&context)?;
    let request = key(&context, &message)?;
    Ok((Caller::of_call(context, found.workspace, found.reach, request), message))
}

fn key<M: RequestMessage>(context: &CallContext, message: &M) -> Result<Option<RequestKey>, Error> {
    if context.policy.idempotency != Idempotency::RequestId {
        return Ok(None);
    }
    let Some(text) = message.request_id() else {
        return Ok(None);
    };
    let request_id = Uuid::try_parse(text).map_err(|_| Error::invalid_field("request_id", "string.uuid", "must be a UUID"))?;
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, &message.encode_to_vec()).as_ref());
    Ok(Some(RequestKey { request_id, body_sha256 }))
}
