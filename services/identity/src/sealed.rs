//! Personal data and secrets in columns: sealed under the service's key file, bound to table, column and row.
//!
//! Deliberately absent: which column holds what; each noun's store says that.

use contract::common::v1::Reason;
use db::{DoesNotOpen, Sealer};
use runtime::UserId;
use uuid::Uuid;

/// A column that is sealed. The name is part of what binds the value to its place.
#[derive(Clone, Copy, Debug)]
pub struct Column(&'static str);

impl Column {
    /// `user_account.email`.
    pub const EMAIL: Column = Column("identity.user_account.email");
    /// `user_account.username`.
    pub const USERNAME: Column = Column("identity.user_account.username");
    /// `user_account.display_name`.
    pub const DISPLAY_NAME: Column = Column("identity.user_account.display_name");
    /// `user_account.password_hash`.
    pub const PASSWORD_HASH: Column = Column("identity.user_account.password_hash");
    /// `email_change.email`.
    pub const EMAIL_CHANGE_EMAIL: Column = Column("identity.email_change.email");
    /// `factor.display_name`.
    pub const FACTOR_NAME: Column = Column("identity.factor.display_name");
    /// `factor.secret`.
    pub const FACTOR_SECRET: Column = Column("identity.factor.secret");
    /// `invitation.email`.
    pub const INVITATION_EMAIL: Column = Column("identity.invitation.email");
    /// `session.client_address`.
    pub const CLIENT_ADDRESS: Column = Column("identity.session.client_address");
    /// `session.user_agent`.
    pub const USER_AGENT: Column = Column("identity.session.user_agent");
}

/// A stored value that does not open: another key file, or a value moved to another row.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a sealed column does not open")]
pub struct Unopened;

impl From<DoesNotOpen> for Unopened {
    fn from(_: DoesNotOpen) -> Self {
        Unopened
    }
}

impl rpc::Fault for Unopened {
    fn status(&self) -> (rpc::Code, rpc::Reason) {
        (rpc::Code::Internal, Reason::Internal.into())
    }
}

/// Seals and opens columns. Cheap to clone.
#[derive(Clone)]
pub struct Sealed(Sealer);

impl Sealed {
    /// Under the keys of `sealer`.
    pub fn new(sealer: Sealer) -> Self {
        Sealed(sealer)
    }

    /// Seals `text` for `column` of the row `id`.
    pub fn seal(&self, column: Column, id: Uuid, text: &str) -> Vec<u8> {
        self.0.seal(column.0, id.as_bytes(), text.as_bytes())
    }

    /// Opens what [`seal`](Self::seal) gave for the same place.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn open(&self, column: Column, id: Uuid, sealed: &[u8]) -> Result<String, Unopened> {
        String::from_utf8(self.0.open(column.0, id.as_bytes(), sealed)?).map_err(|_| Unopened)
    }

    /// What is stored of a user's recovery code: a digest under a key of its own, bound to the user.
    pub fn recovery_digest(&self, user_id: UserId, code: &str) -> [u8; 32] {
        self.0.blind_index("identity.recovery_code.digest", &format!("{user_id} {code}"))
    }

    /// The blind index of an address, in hex: equal for addresses that differ in case or surrounding blanks alone.
    pub fn email_index(&self, email: &str) -> String {
        hex::encode(self.0.blind_index("identity.user_account.email_index", &normalized(email)))
    }

    /// What stands for whoever asks for a mail to the address with the index `email_index`: of another address it is another one.
    pub fn asker_index(&self, email_index: &str, asker: &str) -> String {
        hex::encode(self.0.blind_index("identity.mail_request.asker", &format!("{asker} {email_index}")))
    }

    /// The blind index of a username, in hex: equal for names that differ in ASCII case alone. Of what can be no username too, so that a
    /// sign-in by it costs the same.
    pub fn username_index(&self, username: &str) -> String {
        hex::encode(self.0.blind_index("identity.user_account.username_index", &username.to_ascii_lowercase()))
    }
}

/// The blind index that somebody signs in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Index {
    /// Of an address.
    Email(String),
    /// Of a username.
    Username(String),
}

impl Index {
    /// In hex: what stands for the address or name where it must not be told.
    pub fn as_str(&self) -> &str {
        match self {
            Index::Email(index) | Index::Username(index) => index,
        }
    }
}

/// One form for all spellings of an address. The local part is taken without regard to case, as every large provider does. No Unicode
/// folding: the contract lets in ASCII addresses alone, and folding would give two mailboxes one account.
fn normalized(email: &str) -> String {
    email.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Sealed {
        Sealed::new(Sealer::from_key(&[7; 32]))
    }

    #[test]
    fn a_value_opens_in_its_own_place_only() {
        let (ana, eve) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let value = sealed().seal(Column::EMAIL, ana, "ana@example.com");
        assert_eq!(sealed().open(Column::EMAIL, ana, &value).unwrap(), "ana@example.com");
        assert!(sealed().open(Column::EMAIL, eve, &value).is_err(), "moved to another row");
        assert!(sealed().open(Column::DISPLAY_NAME, ana, &value).is_err(), "moved to another column");
        assert!(!value.windows(3).any(|part| part == b"ana"), "nothing of it lies in the clear");
    }

    #[test]
    fn spellings_of_one_address_have_one_index() {
        let index = sealed().email_index("ana@example.com");
        for spelling in ["Ana@Example.COM", "  ana@example.com "] {
            assert_eq!(sealed().email_index(spelling), index, "{spelling}");
        }
        assert_ne!(sealed().email_index("ana@example.org"), index);
        assert_eq!(index.len(), 64);
    }
}
