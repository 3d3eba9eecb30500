//! The errors that any call may meet, whatever the service.

use std::time::Duration;

use contract::Violation;
use contract::common::v1::Reason as Common;
use rand::Rng;

use super::{Code, Fault, Reason};

/// An error that any method may answer (`muster.common.v1.Reason`).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `FIELD_VIOLATION`.
    #[error("the request breaks the rules of its fields")]
    InvalidFields(Vec<Violation>),
    /// `MALFORMED_REQUEST`; says what can't be read.
    #[error("{0}")]
    MalformedRequest(&'static str),
    /// `MESSAGE_TOO_LARGE`; the limit in bytes.
    #[error("the message is larger than {limit_bytes} bytes")]
    MessageTooLarge {
        /// What this server takes, in bytes.
        limit_bytes: usize,
    },
    /// `CREDENTIALS_MISSING`.
    #[error("credentials are missing")]
    CredentialsMissing,
    /// `TOKEN_INVALID`. Why is not said: it would tell a forger how far he got.
    #[error("the access token is not valid")]
    TokenInvalid,
    /// `TOKEN_EXPIRED`.
    #[error("the access token has expired")]
    TokenExpired,
    /// `TOKEN_REVOKED`.
    #[error("the access token was revoked")]
    TokenRevoked,
    /// `PEER_TOKEN_INVALID`.
    #[error("the peer token is missing or not valid")]
    PeerTokenInvalid,
    /// `PERMISSION_DENIED`.
    #[error("permission denied")]
    Denied,
    /// `STEP_UP_REQUIRED`; says how the session must have been authenticated. Source: RFC 9470.
    #[error("the session must be authenticated anew")]
    StepUpRequired {
        /// The least authenticator assurance level.
        aal: u8,
        /// The greatest age of the last authentication.
        max_age: Duration,
    },
    /// `ORGANIZATION_NOT_FOUND`.
    #[error("no such organization")]
    OrganizationNotFound,
    /// `WORKSPACE_NOT_FOUND`.
    #[error("no such workspace")]
    WorkspaceNotFound,
    /// `ETAG_MISMATCH`.
    #[error("the resource was changed since it was read")]
    EtagMismatch,
    /// `OVERLOADED`.
    #[error("too many calls at once")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// `DEADLINE_EXCEEDED`.
    #[error("the time of the call ran out")]
    DeadlineExceeded,
    /// `DEPENDENCY_UNAVAILABLE`; names what is away (`postgres`, `identity`).
    #[error("{name} is not available")]
    Unavailable {
        /// What is away.
        name: &'static str,
        /// Why, for the log.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// `NOT_READY`.
    #[error("the service is starting or stopping")]
    NotReady,
    /// `AUTHORIZATION_STALE`.
    #[error("permissions can't be decided: what is known is too old")]
    AuthorizationStale,
    /// `REVOCATIONS_STALE`.
    #[error("tokens can't be taken: what is known of revoked ones is too old")]
    RevocationsStale,
    /// `RESUME_TOKEN_EXPIRED`.
    #[error("the resume token is older than the log")]
    ResumeTokenExpired,
    /// `RESUME_TOKEN_INVALID`.
    #[error("the resume token is not one of this method and scope")]
    ResumeTokenInvalid,
    /// `METHOD_UNKNOWN`.
    #[error("no such method")]
    MethodUnknown,
    /// `INTERNAL`; says what went wrong, to the log alone.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A violation of one field that a rule of the contract can't state. `description` says what the field must be, never what it is.
    pub fn invalid_field(field: impl Into<String>, rule: &'static str, description: impl Into<String>) -> Self {
        Self::InvalidFields(vec![Violation { field: field.into(), rule, description: description.into() }])
    }

    /// Something this service needs is away: `name` is told to the client, `source` to the log.
    pub fn unavailable(name: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { name, source: Some(source.into()) }
    }

    /// One call too many. With jitter: those who were refused together must not come back together.
    pub fn overloaded() -> Self {
        Self::Overloaded { retry_after: Duration::from_millis(rand::rng().random_range(500..1500)) }
    }
}

impl Fault for Error {
    fn status(&self) -> (Code, Reason) {
        let (code, reason) = match self {
            Self::InvalidFields(_) => (Code::InvalidArgument, Common::FieldViolation),
            Self::MalformedRequest(_) => (Code::InvalidArgument, Common::MalformedRequest),
            Self::MessageTooLarge { .. } => (Code::ResourceExhausted, Common::MessageTooLarge),
            Self::CredentialsMissing => (Code::Unauthenticated, Common::CredentialsMissing),
            Self::TokenInvalid => (Code::Unauthenticated, Common::TokenInvalid),
            Self::TokenExpired => (Code::Unauthenticated, Common::TokenExpired),
            Self::TokenRevoked => (Code::Unauthenticated, Common::TokenRevoked),
            Self::PeerTokenInvalid => (Code::Unauthenticated, Common::PeerTokenInvalid),
            Self::StepUpRequired { .. } => (Code::Unauthenticated, Common::StepUpRequired),
            Self::Denied => (Code::PermissionDenied, Common::PermissionDenied),
            Self::OrganizationNotFound => (Code::NotFound, Common::OrganizationNotFound),
            Self::WorkspaceNotFound => (Code::NotFound, Common::WorkspaceNotFound),
            Self::EtagMismatch => (Code::Aborted, Common::EtagMismatch),
            Self::Overloaded { .. } => (Code::ResourceExhausted, Common::Overloaded),
            Self::DeadlineExceeded => (Code::DeadlineExceeded, Common::DeadlineExceeded),
            Self::Unavailable { .. } => (Code::Unavailable, Common::DependencyUnavailable),
            Self::NotReady => (Code::Unavailable, Common::NotReady),
            Self::AuthorizationStale => (Code::Unavailable, Common::AuthorizationStale),
            Self::RevocationsStale => (Code::Unavailable, Common::RevocationsStale),
            Self::ResumeTokenExpired => (Code::OutOfRange, Common::ResumeTokenExpired),
            Self::ResumeTokenInvalid => (Code::InvalidArgument, Common::ResumeTokenInvalid),
            Self::MethodUnknown => (Code::Unimplemented, Common::MethodUnknown),
            Self::Internal(_) => (Code::Internal, Common::Internal),
        };
        (code, reason.into())
    }

    fn violations(&self) -> Vec<Violation> {
        if let Self::InvalidFields(violations) = self { violations.clone() } else { Vec::new() }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after } => Some(*retry_after),
            Self::Unavailable { .. } | Self::NotReady | Self::AuthorizationStale | Self::RevocationsStale => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::MessageTooLarge { limit_bytes } => vec![("limit_bytes", limit_bytes.to_string())],
            Self::StepUpRequired { aal, max_age } => vec![("aal", aal.to_string()), ("max_age_seconds", max_age.as_secs().to_string())],
            Self::Unavailable { name, .. } => vec![("dependency", (*name).to_owned())],
            _ => Vec::new(),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        super::status(&error)
    }
}
