//! Usernames: a second name to sign in with. What one may be, and the use case of choosing it.
//!
//! A username is ASCII and kept in lower case. What NFKC or an eye would take for another name is refused and not folded, so that no two
//! accounts have names that people take for one. It belongs to an ACTIVE account alone, as an address does: a registration asks for one, and has
//! it once its own address is proved.
//!
//! Deliberately absent: holding a name back after it was given up. It is no name for other services to keep: they keep the id of the user.
//! Source: RFC 8265 (PRECIS), section 3.2, of which this is the ASCII part.

use db::Tx;
use rpc::Caller;
use runtime::OrganizationId;

use super::ops::Ops;
use super::{Seen, store};
use crate::error::Error;
use crate::events;

/// The least and the largest number of characters.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=32;

/// Names by which people would take somebody for the suite itself or for whoever runs it. Source: RFC 2142 for the mailboxes.
const RESERVED: [&str; 34] = [
    "abuse",
    "account",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "billing",
    "everyone",
    "ftp",
    "guest",
    "help",
    "hostmaster",
    "info",
    "mail",
    "moderator",
    "muster",
    "news",
    "no-reply",
    "nobody",
    "noc",
    "noreply",
    "null",
    "operator",
    "owner",
    "postmaster",
    "root",
    "sales",
    "security",
    "staff",
    "support",
    "system",
    "undefined",
    "webmaster",
    "www",
];

/// A username, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// The username that `text` is a spelling of.
    ///
    /// # Errors
    /// `FIELD_VIOLATION` for what can be none, `USERNAME_RESERVED`.
    pub fn chosen(text: &str) -> Result<Self, Error> {
        let mut bytes = text.bytes();
        let begins = bytes.next().is_some_and(|first| first.is_ascii_alphabetic());
        let goes_on = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !(begins && goes_on && LENGTH.contains(&text.len())) {
            let rule = "must be 3 to 32 ASCII letters, digits, dots, underscores and hyphens, a letter first";
            return Err(rpc::Error::invalid_field("username", "username.form", rule).into());
        }
        let name = text.to_ascii_lowercase();
        // Signs between the letters make it no other name to a reader.
        let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        if RESERVED.iter().any(|reserved| *reserved == name || *reserved == bare) {
            return Err(Error::UsernameReserved);
        }
        Ok(Username(name))
    }

    /// A username as it was stored.
    pub(super) fn stored(text: String) -> Self {
        Username(text)
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Username> for String {
    fn from(username: Username) -> Self {
        username.0
    }
}

/// The username in a field that may be empty.
pub(super) fn optional(text: &str) -> Result<Option<Username>, Error> {
    if text.is_empty() { Ok(None) } else { Username::chosen(text).map(Some) }
}

impl Ops {
    /// Gives the caller's account `username` in place of the one it has; `None` gives the name up. The one it has already changes nothing.
    ///
    /// # Errors
    /// `USERNAME_TAKEN`, `USER_NOT_FOUND`.
    /// # Emits
    /// `UsernameChanged`, same transaction, in no organization: an account belongs to none.
    pub async fn set_username(&self, caller: &Caller, username: Option<Username>) -> Result<Seen, Error> {
        let id = caller.user_id()?;
        self.db
            .write_unrecorded(&caller.with_organization(OrganizationId::SYSTEM), async |tx: &mut Tx| {
                store::hold(tx, id).await?;
                let before = store::find(tx, &self.sealed, id).await?.ok_or(Error::UserNotFound)?;
                if before.user.username == username {
                    return Ok(before);
                }
                let after = before.user.named(username, tx.now());
                store::set_username(tx, &self.sealed, &after).await?;
                tx.emit(events::username_changed(&before.user, &after));
                Ok(Seen { user: after, ..before })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use rpc::Fault;

    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        Username::chosen(text).map_or_else(|error| error.violations().into_iter().map(|violation| violation.rule).collect(), |_| Vec::new())
    }

    #[test]
    fn a_name_begins_with_a_letter_and_is_kept_in_lower_case() {
        for (text, name) in [("ana", "ana"), ("Ana.B_c-9", "ana.b_c-9"), (&"z".repeat(32), &"z".repeat(32))] {
            assert_eq!(Username::chosen(text).unwrap().as_str(), name);
        }
        for text in ["", "an", "9ana", ".ana", "-ana", "ana b", "ana@b", "ana\0", "ana\n", &"z".repeat(33)] {
            assert_eq!(rules(text), ["username.form"], "{text:?}");
        }
    }

    #[test]
    fn what_looks_like_a_letter_is_refused_and_not_folded() {
        // A Cyrillic a, a full-width a, a ligature, a long s, a Kelvin sign, a letter with a mark, an override of direction, a zero width joiner.
        for text in ["\u{430}na", "\u{ff41}na", "o\u{fb01}ce", "mu\u{17f}ter", "\u{212a}im", "an\u{e4}", "an\u{202e}a", "an\u{200d}a"] {
            assert_eq!(rules(text), ["username.form"], "{text:?}");
        }
    }

    #[test]
    fn nobody_is_named_like_the_suite_itself() {
        for text in ["admin", "ADMIN", "Root", "no-reply", "no.reply", "a-d-m-i-n", "post_master"] {
            assert_eq!(rules(text), ["username.reserved"], "{text}");
        }
        for text in ["adminton", "rooty", "supporter"] {
            Username::chosen(text).unwrap();
        }
        assert!(RESERVED.is_sorted());
    }
}
