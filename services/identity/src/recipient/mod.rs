//! Where a person is reached, for the service that sends mail. It asks at the moment of sending and keeps nothing.
//!
//! Deliberately absent: mail itself (notifications), and any list of addresses.

pub mod grpc;
pub mod ops;
pub(crate) mod store;

use runtime::UserId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::invitation::InvitationId;

/// What the link of a mail is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The mail holds no token.
    None,
    /// Proves the address of a registration.
    VerifyEmail,
    /// Invites into an organization.
    AcceptInvitation,
    /// Lets the person choose another password: the reset that was asked for.
    ResetPassword(Uuid),
    /// Makes the address that the mail goes to the person's: the change that was asked for.
    ChangeEmail(Uuid),
    /// The mail holds no token, and goes to the address that the person gave up by the change.
    EmailChanged(Uuid),
}

/// Whom a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Somebody with an account or a registration.
    User(UserId),
    /// Whoever was invited.
    Invitation(InvitationId),
}

/// Where a person is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub email: String,
    /// How the person is called; empty for whoever was invited.
    pub display_name: String,
    /// How the organization that invites is called; empty without an invitation.
    pub organization_display_name: String,
    /// The link's token and until when it is good.
    pub link_token: Option<(String, OffsetDateTime)>,
}
