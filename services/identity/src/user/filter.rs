//! What accounts are filtered by. An address or username is found by its blind index: `email = "ana@example.com"` becomes a comparison with
//! that.
//!
//! Deliberately absent: parts of an address and names. Nothing can be compared with a sealed column but the whole of it.

use db::{Column, EnumValue, Kind, Order};

use crate::error::Error;
use crate::sealed::Sealed;

const STATES: &[(&str, EnumValue)] = &[("PENDING", EnumValue::Int(1)), ("ACTIVE", EnumValue::Int(2))];
const SYSTEM_ROLES: &[(&str, EnumValue)] = &[("USER", EnumValue::Int(1)), ("ADMIN", EnumValue::Int(2))];

/// The fields of an account that a filter may name.
pub(super) static COLUMNS: &[Column] = &[
    Column::new("state", "u.state", Kind::Enum(STATES)),
    Column::new("system_role", "u.system_role", Kind::Enum(SYSTEM_ROLES)),
    Column::new("create_time", "u.create_time", Kind::Time),
    Column::new("email", "u.email_index", Kind::Text),
    Column::new("username", "u.username_index", Kind::Text),
];

/// Oldest first.
pub(super) const ORDER: Order = Order::asc("u.create_time", Kind::Time, "u.user_id");

/// Puts the blind index in place of every value that the filter compares `email` or `username` with.
///
/// # Errors
/// `FILTER_INVALID` when one of them is compared by another operator than `=` or `!=`.
pub(super) fn blinded(filter: &str, sealed: &Sealed) -> Result<String, Error> {
    let characters: Vec<char> = filter.chars().collect();
    let mut out = String::with_capacity(filter.len() + 64);
    let mut at = 0;
    while at < characters.len() {
        let end = end_of_token(&characters, at);
        let token: String = characters[at..end].iter().collect();
        out += &token;
        at = match token.as_str() {
            "email" => blind_value(&characters, end, &mut out, |address| sealed.email_index(address))?,
            "username" => blind_value(&characters, end, &mut out, |name| sealed.username_index(name))?,
            _ => end,
        };
    }
    Ok(out)
}

/// Copies the operator after the field and writes the index in place of the value; gives the place after it.
fn blind_value(characters: &[char], at: usize, out: &mut String, index: impl Fn(&str) -> String) -> Result<usize, Error> {
    let refuse = |position: usize| db::Error::FilterInvalid {
        position: position + 1,
        problem: "it is compared by = or != with the whole of a value",
    };
    let operator = skip_blanks(characters, at);
    let after = match (characters.get(operator), characters.get(operator + 1)) {
        (Some('='), _) => operator + 1,
        (Some('!'), Some('=')) => operator + 2,
        _ => return Err(refuse(operator).into()),
    };
    let start = skip_blanks(characters, after);
    let end = end_of_token(characters, start);
    let value = unquoted(&characters[start..end]).ok_or_else(|| refuse(start))?;
    out.extend(&characters[operator..after]);
    *out += &format!("\"{}\"", index(&value));
    Ok(end)
}

/// The end of the word, quoted text or sign that begins at `at`.
fn end_of_token(characters: &[char], at: usize) -> usize {
    match characters.get(at) {
        Some(quote @ ('"' | '\'')) => end_of_quoted(characters, at + 1, *quote),
        Some(first) if is_word(*first) => at + characters[at..].iter().take_while(|c| is_word(**c)).count(),
        Some(_) => at + 1,
        None => at,
    }
}

fn end_of_quoted(characters: &[char], mut at: usize, quote: char) -> usize {
    while at < characters.len() {
        match characters[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    characters.len()
}

fn is_word(character: char) -> bool {
    !character.is_ascii_whitespace() && !matches!(character, '(' | ')' | '"' | '\'' | '=' | '!' | '<' | '>' | ':')
}

fn skip_blanks(characters: &[char], at: usize) -> usize {
    at + characters[at..].iter().take_while(|c| c.is_ascii_whitespace()).count()
}

/// The text of a value; `None` when there is none, or a quote is not closed.
fn unquoted(token: &[char]) -> Option<String> {
    match token {
        [] => None,
        [quote @ ('"' | '\''), inner @ .., last] if last == quote => {
            let mut text = String::new();
            let mut escaped = false;
            for character in inner {
                if *character == '\\' && !escaped {
                    escaped = true;
                } else {
                    text.push(*character);
                    escaped = false;
                }
            }
            (!escaped).then_some(text)
        }
        ['"' | '\'', ..] => None,
        word => word.iter().all(|c| is_word(*c)).then(|| word.iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use db::{Filter, Sealer};

    use super::*;

    fn sealed() -> Sealed {
        Sealed::new(Sealer::from_key(&[7; 32]))
    }

    fn blind(filter: &str) -> String {
        blinded(filter, &sealed()).unwrap()
    }

    #[test]
    fn an_address_becomes_its_blind_index_wherever_it_stands() {
        let index = sealed().email_index("ana@example.com");
        assert_eq!(blind("email = \"ana@example.com\""), format!("email=\"{index}\""));
        assert_eq!(blind("email='Ana@Example.com' AND state = \"ACTIVE\""), format!("email=\"{index}\" AND state = \"ACTIVE\""));
        assert_eq!(blind("(NOT email != ana@example.com)"), format!("(NOT email!=\"{index}\")"));
        for filter in ["email = \"ana@example.com\"", "(NOT email != ana@example.com)"] {
            Filter::parse(&blind(filter), COLUMNS).unwrap();
        }
    }

    #[test]
    fn so_does_a_username_in_any_case() {
        let index = sealed().username_index("ana.b");
        assert_eq!(blind("username = \"Ana.B\""), format!("username=\"{index}\""));
        assert_ne!(index, sealed().email_index("ana.b"), "the index of one column says nothing about another");
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for filter in ["", "state = \"email\"", "state = \"email = x\"", "system_role = 'a\\'email = 1'", "my_email = x"] {
            assert_eq!(blind(filter), filter);
        }
    }

    #[test]
    fn parts_of_an_address_are_not_searched_for() {
        for filter in ["email:\"ana\"", "email > \"a\"", "email", "email =", "email = \"ana", "email = (", "email = \"ana\\\""] {
            assert!(blinded(filter, &sealed()).is_err(), "{filter}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_fall_over(filter in "[a-z \"'\\\\()=!<>:é]{0,80}") {
            let _ = blinded(&filter, &sealed());
        }
    }
}
