//! A refusal as a client sees it: code, reason, fields.

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What a call was refused with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The status code.
    pub code: Code,
    /// `ErrorInfo.reason`; empty when there is none, which no method of the suite may answer.
    pub reason: String,
    /// `ErrorInfo.domain`: `identity.muster`.
    pub domain: String,
    /// The fields of BadRequest.
    pub fields: Vec<String>,
    /// Whether RetryInfo says when to try again.
    pub retry: bool,
    /// Every text in it: message, details.
    pub text: String,
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let fields = details.bad_request().map(|bad| bad.field_violations.iter().map(|violation| violation.field.clone()).collect());
        Fault {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            domain: info.map(|info| info.domain.clone()).unwrap_or_default(),
            fields: fields.unwrap_or_default(),
            retry: details.retry_info().is_some(),
            text: format!("{} {details:?}", status.message()),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {} {:?}: {}", self.code, self.reason, self.fields, self.text)
    }
}
