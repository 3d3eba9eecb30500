//! The rules a new password must meet: length, and not one that everybody tries first.
//!
//! Deliberately absent: composition rules (they make passwords worse) and expiry. The maximum, 256 characters, stands in the contract.
//! Source: OWASP ASVS 5.0, 6.2.1, 6.2.4, 6.2.5, 6.2.11; NIST SP 800-63B, section 3.1.1.

use std::collections::HashSet;
use std::sync::LazyLock;

/// The least number of characters.
pub const LENGTH_MIN: usize = 8;

/// Passwords that stand at the head of every published list, in lower case.
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("password/common.txt").split_whitespace().collect());

/// Why a password is refused. The text is for the person who chose it and does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Fewer than [`LENGTH_MIN`] characters.
    #[error("must have at least 8 characters")]
    TooShort,
    /// On the list of common ones.
    #[error("is one of the most common passwords")]
    Common,
    /// The address, or the part of it before the `@`.
    #[error("must not be the address")]
    Address,
}

/// Checks `password` for an account with the address `email`.
///
/// # Errors
/// The first rule it breaks: `PASSWORD_TOO_WEAK` on the wire.
pub fn check(password: &str, email: &str) -> Result<(), Weakness> {
    if password.chars().count() < LENGTH_MIN {
        return Err(Weakness::TooShort);
    }
    let lower = password.to_lowercase();
    if COMMON.contains(lower.as_str()) || is_one_character(&lower) {
        return Err(Weakness::Common);
    }
    let email = email.to_lowercase();
    let local = email.split('@').next().unwrap_or_default();
    if lower == email || lower == local { Err(Weakness::Address) } else { Ok(()) }
}

fn is_one_character(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| characters.all(|character| character == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_needs_eight_characters_and_no_more_than_that() {
        assert_eq!(check("seven77", "ana@example.com"), Err(Weakness::TooShort));
        assert_eq!(check("ööööäää", "ana@example.com"), Err(Weakness::TooShort), "characters, not bytes");
        assert_eq!(check("qzjvkwxy", "ana@example.com"), Ok(()));
        assert_eq!(check("        x", "ana@example.com"), Ok(()), "blanks are characters");
    }

    #[test]
    fn what_everybody_tries_first_is_refused_in_any_case() {
        for password in ["password", "PassWord1", "12345678", "qwertyuiop", "zzzzzzzzzz", "ÖÖÖÖÖÖÖÖ"] {
            assert_eq!(check(password, "ana@example.com"), Err(Weakness::Common), "{password}");
        }
    }

    #[test]
    fn the_address_is_no_password() {
        assert_eq!(check("Ana@Example.com", "ana@example.com"), Err(Weakness::Address));
        assert_eq!(check("anastasia", "anastasia@example.com"), Err(Weakness::Address));
        assert_eq!(check("anastasia-and-more", "anastasia@example.com"), Ok(()));
    }

    #[test]
    fn the_list_holds_only_what_the_length_lets_through_in_lower_case_and_once() {
        let words: Vec<&str> = include_str!("password/common.txt").split_whitespace().collect();
        assert!(words.len() >= 100);
        assert_eq!(words.len(), COMMON.len(), "a word stands twice");
        for word in words {
            assert!(word.chars().count() >= LENGTH_MIN && word == word.to_lowercase(), "{word}");
        }
    }
}
