//! Recovery codes: for the day the authenticator app is lost, each good once.
//!
//! A code has 120 bits, so what is stored of it is a keyed digest and no slow hash: a slow hash makes guessing dear where it could succeed, and
//! here it can't; and a dump of the database alone can't even be tried. Source: ASVS 5.0, 6.5.2 asks for a password hash below 112 bits.

use aws_lc_rs::rand;
use data_encoding::BASE32_NOPAD;

use super::totp::BadSecret;

/// Codes of one person.
pub const CODES: usize = 10;
/// 120 bits, which are 24 characters of base32 without a rest.
const CODE_BYTES: usize = 15;
/// Characters between two hyphens.
const GROUP: usize = 4;

/// Ten new codes, as they are shown: `abcd-efgh-…`, in letters and digits that are not taken for one another.
///
/// # Errors
/// The system has no randomness.
pub fn generate() -> Result<Vec<String>, BadSecret> {
    (0..CODES).map(|_| code()).collect()
}

fn code() -> Result<String, BadSecret> {
    let mut bytes = [0; CODE_BYTES];
    rand::fill(&mut bytes).map_err(|_| BadSecret)?;
    let text = BASE32_NOPAD.encode(&bytes).to_lowercase();
    let groups: Vec<&str> = (0..text.len()).step_by(GROUP).map(|at| &text[at..at + GROUP]).collect();
    Ok(groups.join("-"))
}

/// One form for all spellings of a code: without blanks and hyphens, in lower case.
pub fn normalized(typed: &str) -> String {
    typed
        .chars()
        .filter(|character| !character.is_whitespace() && *character != '-')
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ten_codes_of_a_hundred_and_twenty_bits_no_two_alike() {
        let codes = generate().unwrap();
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), CODES);
        for code in &codes {
            assert_eq!((code.len(), code.matches('-').count()), (29, 5), "{code}");
            assert_eq!(BASE32_NOPAD.decode(normalized(code).to_uppercase().as_bytes()).unwrap().len() * 8, 120);
        }
    }

    #[test]
    fn a_code_may_be_typed_as_people_type() {
        assert_eq!(normalized(" ABCD-efgh 2345\t"), "abcdefgh2345");
    }
}
