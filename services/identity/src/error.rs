//! What can go wrong, and how it is told: one match to code and reason.

use std::time::Duration;

use contract::Violation;
use contract::common::v1::Reason as Common;
use contract::identity::v1::IdentityReason;
use rpc::{Code, Fault, Reason};

use crate::factor::picture::NoPicture;
use crate::factor::totp::BadSecret;
use crate::hashing::Refused;
use crate::key::pair::BadKey;
use crate::password::{Rule, Weakness};
use crate::sealed::Unopened;

/// Why a call to the identity service failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Address, password or state of the account: which one is not said.
    #[error("the address or username and the password do not open a session")]
    SignInRefused,
    /// `RECIPIENT_NOT_FOUND`.
    #[error("nobody is reached there")]
    RecipientNotFound,
    /// No such user, or none the caller may know of.
    #[error("no such user")]
    UserNotFound,
    /// A new password breaks a rule.
    #[error("the password is too weak")]
    PasswordTooWeak(#[from] Weakness),
    /// Another account has the username.
    #[error("this username is taken")]
    UsernameTaken,
    /// The username could be taken for one of the suite's own.
    #[error("this username is reserved")]
    UsernameReserved,
    /// The verification token is forged, used or past its time, or the password is not that of its registration.
    #[error("the verification token and password prove no address")]
    VerificationTokenInvalid,
    /// The token of a password reset is forged, used or past its time.
    #[error("the token resets no password")]
    PasswordResetTokenInvalid,
    /// The password given once more is not the caller's.
    #[error("the password is not the one in force")]
    PasswordIncorrect,
    /// The token of a change of address is forged, used, void or past its time, or the address is somebody's by now.
    #[error("the token changes no address")]
    EmailChangeTokenInvalid,
    /// The refresh token is forged, or its session is over.
    #[error("the refresh token is not good")]
    RefreshTokenInvalid,
    /// The refresh token was used before; its session has been revoked.
    #[error("the refresh token was used before; sign in again")]
    RefreshTokenReused,
    /// The caller has no such session.
    #[error("no such session")]
    SessionNotFound,
    /// Another organization, or another workspace of it, has the slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// No such member.
    #[error("no such member")]
    MemberNotFound,
    /// The user is a member already.
    #[error("the user is a member already")]
    MemberAlreadyExists,
    /// The organization would be left without an owner.
    #[error("an organization keeps at least one owner")]
    LastOwner,
    /// The role given or taken is above the caller's own.
    #[error("nobody gives or takes a role above their own")]
    RoleAboveOwn,
    /// Only members of the organization join its workspaces. Whether somebody else has an account is not said.
    #[error("the user is not a member of the organization")]
    NotOrganizationMember,
    /// The organization has no such invitation.
    #[error("no such invitation")]
    InvitationNotFound,
    /// The address has an invitation that waits.
    #[error("the address is invited already")]
    InvitationAlreadyPending,
    /// It was answered, taken back, or its time is over.
    #[error("the invitation does not wait for an answer")]
    InvitationNotPending,
    /// The organization has as many invitations that wait as it may.
    #[error("too many invitations wait for an answer")]
    TooManyInvitations,
    /// The token of the invitation is forged, replaced or past its time.
    #[error("the token names no invitation")]
    InvitationTokenInvalid,
    /// Another address was invited than the caller's account proved.
    #[error("the invitation is for another address than the account's")]
    InvitedAddressDiffers,
    /// The invited address has an account, which can accept.
    #[error("the address has an account; sign in to accept")]
    AccountAlreadyExists,
    /// Too many sign-ins failed.
    #[error("too many sign-ins failed; try again later")]
    SignInThrottled {
        /// When the next attempt may be made.
        retry_after: Duration,
    },
    /// Too many attempts failed, or too many mails were asked for, from where the caller is.
    #[error("too many attempts; try again later")]
    AttemptsThrottled {
        /// When the next one may be made.
        retry_after: Duration,
    },
    /// The caller has no such factor, or it waited too long.
    #[error("no such factor")]
    FactorNotFound,
    /// The caller has as many factors as may be.
    #[error("too many factors")]
    TooManyFactors,
    /// A code is wrong, used, or past its time.
    #[error("the code is not good")]
    FactorCodeRefused,
    /// The challenge is forged, answered, past its time, or saw too many wrong codes.
    #[error("the challenge is not good; sign in again")]
    ChallengeInvalid,
    /// The password or the code of a step-up: which one is not said.
    #[error("the password or the code is wrong")]
    StepUpRefused,
    /// Who has a second factor steps up by it.
    #[error("a code of the second factor is needed")]
    FactorCodeRequired,
    /// The organization asks for aal 2, and the caller has a factor to step up by.
    #[error("the organization asks for a second factor; step up with a code")]
    MfaRequired,
    /// The organization asks for aal 2, and the caller has no factor.
    #[error("the organization asks for a second factor; enrol one")]
    FactorEnrollmentRequired,
    /// The sign-in queue is longer than the call's time.
    #[error("too many sign-ins at once")]
    HashingOverloaded {
        /// When the same call would fit.
        retry_after: Duration,
    },
    /// A hashing thread panicked over this call.
    #[error("internal error")]
    HashingFailed,
    /// The key that would sign next was published too short a time ago.
    #[error("verifiers may not have the next key yet")]
    SigningKeyTooYoung {
        /// When they have it.
        retry_after: Duration,
    },
    /// A stored hash or key can't be used.
    #[error("internal error")]
    Stored(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The event log.
    #[error(transparent)]
    Events(#[from] events::Error),
    /// Credentials, permission, a field or an etag.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// The database, a page token or a filter.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Error {
    /// Whether it tells that a password is or was somebody's, so that who is told pays for an attempt.
    pub(crate) fn tells_a_password(&self) -> bool {
        matches!(self, Error::PasswordTooWeak(weakness) if weakness.rule == Rule::Reused)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Error::Db(error.into())
    }
}

impl From<Unopened> for Error {
    fn from(error: Unopened) -> Self {
        Error::Stored(error.into())
    }
}

impl From<BadKey> for Error {
    fn from(error: BadKey) -> Self {
        Error::Stored(error.into())
    }
}

impl From<BadSecret> for Error {
    fn from(error: BadSecret) -> Self {
        Error::Stored(error.into())
    }
}

impl From<NoPicture> for Error {
    fn from(error: NoPicture) -> Self {
        Error::Stored(error.into())
    }
}

impl From<Refused> for Error {
    fn from(error: Refused) -> Self {
        match error {
            Refused::Overloaded { retry_after } => Error::HashingOverloaded { retry_after },
            Refused::Unreadable(error) => Error::Stored(error.into()),
            Refused::Panicked => Error::HashingFailed,
        }
    }
}

impl Fault for Error {
    fn status(&self) -> (Code, Reason) {
        let (code, reason) = match self {
            Error::SignInRefused => (Code::Unauthenticated, IdentityReason::SignInRefused),
            Error::UserNotFound => (Code::NotFound, IdentityReason::UserNotFound),
            Error::RecipientNotFound => (Code::NotFound, IdentityReason::RecipientNotFound),
            Error::PasswordTooWeak(_) => (Code::InvalidArgument, IdentityReason::PasswordTooWeak),
            Error::UsernameTaken => (Code::AlreadyExists, IdentityReason::UsernameTaken),
            Error::UsernameReserved => (Code::InvalidArgument, IdentityReason::UsernameReserved),
            Error::VerificationTokenInvalid => (Code::InvalidArgument, IdentityReason::VerificationTokenInvalid),
            Error::PasswordResetTokenInvalid => (Code::InvalidArgument, IdentityReason::PasswordResetTokenInvalid),
            Error::PasswordIncorrect => (Code::PermissionDenied, IdentityReason::PasswordIncorrect),
            Error::EmailChangeTokenInvalid => (Code::InvalidArgument, IdentityReason::EmailChangeTokenInvalid),
            Error::RefreshTokenInvalid => (Code::Unauthenticated, IdentityReason::RefreshTokenInvalid),
            Error::RefreshTokenReused => (Code::Unauthenticated, IdentityReason::RefreshTokenReused),
            Error::SessionNotFound => (Code::NotFound, IdentityReason::SessionNotFound),
            Error::SlugTaken => (Code::AlreadyExists, IdentityReason::SlugTaken),
            Error::MemberNotFound => (Code::NotFound, IdentityReason::MemberNotFound),
            Error::MemberAlreadyExists => (Code::AlreadyExists, IdentityReason::MemberAlreadyExists),
            Error::LastOwner => (Code::FailedPrecondition, IdentityReason::LastOwner),
            Error::RoleAboveOwn => (Code::PermissionDenied, IdentityReason::RoleAboveOwn),
            Error::NotOrganizationMember => (Code::FailedPrecondition, IdentityReason::NotOrganizationMember),
            Error::InvitationNotFound => (Code::NotFound, IdentityReason::InvitationNotFound),
            Error::InvitationAlreadyPending => (Code::AlreadyExists, IdentityReason::InvitationAlreadyPending),
            Error::InvitationNotPending => (Code::FailedPrecondition, IdentityReason::InvitationNotPending),
            Error::TooManyInvitations => (Code::ResourceExhausted, IdentityReason::TooManyInvitations),
            Error::InvitationTokenInvalid => (Code::InvalidArgument, IdentityReason::InvitationTokenInvalid),
            Error::InvitedAddressDiffers => (Code::PermissionDenied, IdentityReason::InvitedAddressDiffers),
            Error::AccountAlreadyExists => (Code::AlreadyExists, IdentityReason::AccountAlreadyExists),
            Error::SignInThrottled { .. } => (Code::ResourceExhausted, IdentityReason::SignInThrottled),
            Error::AttemptsThrottled { .. } => (Code::ResourceExhausted, IdentityReason::AttemptsThrottled),
            Error::HashingOverloaded { .. } => (Code::ResourceExhausted, IdentityReason::HashingOverloaded),
            Error::SigningKeyTooYoung { .. } => (Code::FailedPrecondition, IdentityReason::SigningKeyTooYoung),
            Error::FactorNotFound => (Code::NotFound, IdentityReason::FactorNotFound),
            Error::TooManyFactors => (Code::ResourceExhausted, IdentityReason::TooManyFactors),
            Error::FactorCodeRefused => (Code::Unauthenticated, IdentityReason::FactorCodeRefused),
            Error::ChallengeInvalid => (Code::Unauthenticated, IdentityReason::ChallengeInvalid),
            Error::StepUpRefused => (Code::Unauthenticated, IdentityReason::StepUpRefused),
            Error::FactorCodeRequired => (Code::FailedPrecondition, IdentityReason::FactorCodeRequired),
            Error::MfaRequired => (Code::FailedPrecondition, IdentityReason::MfaRequired),
            Error::FactorEnrollmentRequired => (Code::FailedPrecondition, IdentityReason::FactorEnrollmentRequired),
            Error::HashingFailed | Error::Stored(_) => return (Code::Internal, Common::Internal.into()),
            Error::Events(error) => return error.status(),
            Error::Rpc(error) => return error.status(),
            Error::Db(error) => return error.status(),
        };
        (code, reason.into())
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Error::PasswordTooWeak(weakness) => {
                vec![Violation { field: "password".to_owned(), rule: weakness.rule.name(), description: weakness.to_string() }]
            }
            Error::UsernameReserved => {
                let (field, description) = ("username".to_owned(), "could be taken for one of the suite's own".to_owned());
                vec![Violation { field, rule: "username.reserved", description }]
            }
            Error::Events(error) => error.violations(),
            Error::Rpc(error) => error.violations(),
            Error::Db(error) => error.violations(),
            _ => Vec::new(),
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Error::PasswordTooWeak(weakness) => vec![("rule", weakness.rule.name().to_owned())],
            Error::Events(error) => error.metadata(),
            Error::Rpc(error) => error.metadata(),
            Error::Db(error) => error.metadata(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::HashingOverloaded { retry_after }
            | Error::SigningKeyTooYoung { retry_after }
            | Error::SignInThrottled { retry_after }
            | Error::AttemptsThrottled { retry_after } => Some(*retry_after),
            Error::Events(error) => error.retry_after(),
            Error::Rpc(error) => error.retry_after(),
            Error::Db(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        rpc::status(&error)
    }
}
