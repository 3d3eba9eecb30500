//! Where a person is reached, for the service that sends mail. It asks at the moment of sending and keeps nothing.
//!
//! Deliberately absent: mail itself (notifications), and any list of addresses.

pub mod grpc;
pub mod ops;
pub(crate) mod store;

use time::OffsetDateTime;
use uuid::Uuid;

/// What the link of a mail is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The mail holds no token.
    None,
    /// Proves the address of a registration.
    VerifyEmail,
    /// Lets the person choose another password: the reset that was asked for.
    ResetPassword(Uuid),
}

/// Where a person is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub email: String,
    /// How the person is called.
    pub display_name: String,
    /// The link's token and until when it is good.
    pub link_token: Option<(String, OffsetDateTime)>,
}
