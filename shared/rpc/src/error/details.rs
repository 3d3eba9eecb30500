//! The google.rpc details of a status.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::{Code, Fault, Reason};

/// At most so many violations are told; a request with more has been told enough.
const VIOLATIONS_MAX: usize = 32;

pub(super) fn status<F: Fault>(code: Code, message: String, reason: Reason, fault: &F, request_id: Option<&str>) -> Status {
    let mut details = ErrorDetails::new();
    let metadata: HashMap<String, String> = fault.metadata().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    details.set_error_info(reason.wire, reason.domain, metadata);
    let violations = fault.violations();
    if !violations.is_empty() {
        let told = violations.into_iter().take(VIOLATIONS_MAX);
        details.set_bad_request(told.map(|violation| FieldViolation::new(violation.field, violation.description)).collect::<Vec<_>>());
    }
    if let Some(wait) = fault.retry_after() {
        details.set_retry_info(Some(wait));
    }
    if let Some(request_id) = request_id {
        details.set_request_info(request_id, "");
    }
    Status::with_error_details(code.into(), message, details)
}
