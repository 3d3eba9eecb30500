//! The rules a new password must meet: length, not one that everybody tries first, nothing of the person's own, and not easy to guess.
//!
//! How easy is estimated by zxcvbn, which knows words, names, dates, keyboards and how people bend them; it looks at a bounded number of
//! characters, on the hashing threads, so that no password costs more than another sign-in. What it advises is fixed text: nothing of the
//! password is in it.
//!
//! Deliberately absent: composition rules (they make passwords worse) and expiry. The maximum, 256 characters, stands in the contract. What a
//! person chose before is beside, in `user::history`.
//! Source: OWASP ASVS 5.0, 6.2.1, 6.2.4, 6.2.5, 6.2.11; NIST SP 800-63B, section 3.1.1; Wheeler, "zxcvbn", USENIX Security 2016.

use std::collections::HashSet;
use std::sync::LazyLock;

/// The least number of characters.
pub const LENGTH_MIN: usize = 8;
/// The least score, of 0 to 4: a million guesses do not find it. Throttled sign-ins leave a stranger some hundreds.
pub const SCORE_MIN: u8 = 2;
/// Characters that the estimate looks at; what is longer is no worse for it. Its work grows with the square of them.
const CHARACTERS_MAX: usize = 64;
/// What zxcvbn also reads as letters, in every way that they can be: six kinds of them make 36 readings, each looked up, all twenty 800.
const BENT: &str = "4@8({[<3691!|70$5+%2";
/// So many kinds of them are read in a password of any length.
const BENT_MAX: usize = 6;
/// How much is looked at of a password with more.
const BENT_CHARACTERS_MAX: usize = 16;
/// How many texts of the person's own are looked for in it.
const OWN_MAX: usize = 16;

/// Passwords that stand at the head of every published list, in lower case.
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("password/common.txt").split_whitespace().collect());

/// A rule that a new password can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At least [`LENGTH_MIN`] characters.
    TooShort,
    /// Not on the list of common ones.
    Common,
    /// Neither the address, nor the part of it before the `@`, nor a name of the person.
    Personal,
    /// At least [`SCORE_MIN`].
    Guessable,
    /// None of the last ones.
    Reused,
}

impl Rule {
    /// As `rule` in the ErrorInfo of a refusal: clients may act on it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::TooShort => "password.too_short",
            Rule::Common => "password.common",
            Rule::Personal => "password.personal",
            Rule::Guessable => "password.guessable",
            Rule::Reused => "password.reused",
        }
    }
}

/// Why a password is refused. The text is for the person who chose it and does not repeat it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{advice}")]
pub struct Weakness {
    /// The rule it breaks.
    pub rule: Rule,
    /// What to do about it.
    pub advice: String,
}

/// Of whom a password is: what a stranger would try first.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The address.
    pub email: String,
    /// The username, or empty.
    pub username: String,
    /// How the person is called, or empty.
    pub display_name: String,
}

/// How good a password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strength {
    /// 0 to 4, as zxcvbn has it.
    pub score: u8,
    /// The first rule that it breaks, if it breaks one.
    pub weakness: Option<Weakness>,
    /// What would make it better.
    pub suggestions: Vec<String>,
}

impl Weakness {
    fn of(rule: Rule, advice: &str) -> Self {
        Weakness { rule, advice: advice.to_owned() }
    }

    /// Of a password that the person had before.
    pub fn reused() -> Self {
        Weakness::of(Rule::Reused, "must not be one of your last passwords")
    }
}

impl Strength {
    /// Refuses a password that breaks a rule.
    ///
    /// # Errors
    /// The first rule it breaks: `PASSWORD_TOO_WEAK` on the wire.
    pub fn require(self) -> Result<(), Weakness> {
        self.weakness.map_or(Ok(()), Err)
    }
}

impl Person {
    /// Whose address alone is known.
    pub fn at(email: &str) -> Self {
        Person { email: email.to_owned(), ..Person::default() }
    }

    /// What belongs to the person, in lower case.
    fn own(&self) -> Vec<String> {
        let local = self.email.split('@').next().unwrap_or_default();
        let names = self.display_name.split_whitespace();
        let all = [self.email.as_str(), local, &self.username, &self.display_name].into_iter().chain(names);
        let cut = |text: &str| text.to_lowercase().chars().take(CHARACTERS_MAX).collect::<String>();
        all.filter(|text| !text.is_empty()).map(cut).take(OWN_MAX).collect()
    }
}

/// How good `password` is for `person`. Takes some milliseconds at most: on a hashing thread.
pub fn strength(password: &str, person: &Person) -> Strength {
    let own = person.own();
    let inputs: Vec<&str> = own.iter().map(String::as_str).collect();
    let seen: String = password.chars().take(seen_of(password)).collect();
    let estimate = zxcvbn::zxcvbn(&seen, &inputs);
    let score = u8::from(estimate.score());
    let feedback = estimate.feedback();
    let warning = feedback.and_then(|feedback| feedback.warning()).map(|warning| warning.to_string());
    let suggestions: Vec<String> =
        feedback.map(|feedback| feedback.suggestions().iter().map(ToString::to_string).collect()).unwrap_or_default();
    let weakness = plain_weakness(password, &own).or_else(|| {
        let advice = [Some("is too easy to guess.".to_owned()), warning].into_iter().flatten().chain(suggestions.iter().cloned());
        let advice = advice.collect::<Vec<_>>().join(" ");
        (score < SCORE_MIN).then_some(Weakness { rule: Rule::Guessable, advice })
    });
    Strength { score, weakness, suggestions }
}

/// How many of the first characters are looked at: of what can be read in hundreds of ways, few.
fn seen_of(password: &str) -> usize {
    let bent = BENT.chars().filter(|character| password.contains(*character)).count();
    if bent > BENT_MAX { BENT_CHARACTERS_MAX } else { CHARACTERS_MAX }
}

/// The rule that it breaks by itself, without an estimate.
fn plain_weakness(password: &str, own: &[String]) -> Option<Weakness> {
    if password.chars().count() < LENGTH_MIN {
        return Some(Weakness::of(Rule::TooShort, "must have at least 8 characters"));
    }
    let lower = password.to_lowercase();
    if COMMON.contains(lower.as_str()) || is_one_character(&lower) {
        return Some(Weakness::of(Rule::Common, "is one of the most common passwords"));
    }
    own.contains(&lower).then(|| Weakness::of(Rule::Personal, "must not be your address or a name of yours"))
}

fn is_one_character(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| characters.all(|character| character == first))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn broken(password: &str, email: &str) -> Option<Rule> {
        strength(password, &Person::at(email)).weakness.map(|weakness| weakness.rule)
    }

    /// zxcvbn looks 800 readings up in this one, and in none of the pieces that are looked at more than it would otherwise.
    #[test]
    fn what_can_be_read_in_hundreds_of_ways_is_read_in_few() {
        let bomb: String = BENT.chars().cycle().take(64).collect();
        assert_eq!((seen_of(&bomb), seen_of("p4$$w0rd"), seen_of("qzjvkwxy")), (BENT_CHARACTERS_MAX, CHARACTERS_MAX, CHARACTERS_MAX));
        assert_eq!(strength(&bomb, &Person::default()).weakness, None, "it is a good one all the same");
    }

    proptest! {
        /// What the estimate is handed bounds its work: the characters of the password, and how many words of the person it looks for.
        #[test]
        fn the_estimate_is_handed_little_of_whatever_is_typed(
            password in "([a-z4@8({\\[<3691!|70$5+%2]|\\PC){0,300}", word in "\\PC{1,100}", words in 0..200_usize,
        ) {
            let person = Person { email: format!("{word}@example.com"), username: word.clone(), display_name: format!("{word} ").repeat(words) };
            let own = person.own();
            prop_assert!(own.len() <= OWN_MAX && own.iter().all(|text| text.chars().count() <= CHARACTERS_MAX));
            let bent = BENT.chars().filter(|character| password.contains(*character)).count();
            prop_assert_eq!(seen_of(&password), if bent > 6 { 16 } else { 64 });
        }
    }

    #[test]
    fn a_password_needs_eight_characters_and_no_more_than_that() {
        assert_eq!(broken("qzjvkwx", "ana@example.com"), Some(Rule::TooShort));
        assert_eq!(broken("ööööäää", "ana@example.com"), Some(Rule::TooShort), "characters, not bytes");
        assert_eq!(broken("qzjvkwxy", "ana@example.com"), None);
        assert_eq!(broken("q zj vk ", "ana@example.com"), None, "blanks are characters");
    }

    #[test]
    fn what_everybody_tries_first_is_refused_in_any_case() {
        for password in ["password", "PassWord1", "12345678", "qwertyuiop", "zzzzzzzzzz", "ÖÖÖÖÖÖÖÖ"] {
            assert_eq!(broken(password, "ana@example.com"), Some(Rule::Common), "{password}");
        }
    }

    #[test]
    fn what_is_bent_or_built_from_little_is_refused_with_advice_that_does_not_repeat_it() {
        for password in ["P4ssw0rd!", "monkey2019", "abcdefghij", "asdfghjkl;", "19871212", "ana@example.com1"] {
            let weakness = strength(password, &Person::at("ana@example.com")).weakness.unwrap();
            assert_eq!(weakness.rule, Rule::Guessable, "{password}");
            assert!(weakness.advice.len() > 30 && !weakness.advice.contains(password), "{}", weakness.advice);
        }
        for password in ["correct horse battery", "another good password", "Tr0ub4dor&3x"] {
            assert_eq!(broken(password, "ana@example.com"), None, "{password}");
        }
    }

    #[test]
    fn nothing_of_the_persons_own_is_a_password() {
        assert_eq!(broken("Ana@Example.com", "ana@example.com"), Some(Rule::Personal));
        assert_eq!(broken("anastasia", "anastasia@example.com"), Some(Rule::Personal));
        let person = Person { username: "quillfeather".into(), display_name: "Zsofia Wintergreen".into(), ..Person::at("z@example.com") };
        for password in ["Quillfeather", "wintergreen", "zsofia wintergreen"] {
            assert_eq!(strength(password, &person).weakness.unwrap().rule, Rule::Personal, "{password}");
        }
        assert_eq!(strength("wintergreen7", &person).weakness.unwrap().rule, Rule::Guessable);
        assert_eq!(broken("anastasia-and-her-seven-goats", "anastasia@example.com"), None);
    }

    #[test]
    fn a_long_password_is_looked_at_in_part_and_is_no_worse_for_it() {
        let long = "x9 Kd2 qLm4 ".repeat(20);
        assert_eq!(strength(&long, &Person::default()), strength(&long[..CHARACTERS_MAX], &Person::default()));
        assert!(strength("horse staple ladder fuse winter", &Person::default()).score >= 3);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_over(password in "\\PC{0,80}", name in "\\PC{0,40}") {
            let person = Person { display_name: name.clone(), username: name, ..Person::at("ana@example.com") };
            prop_assert!(strength(&password, &person).score <= 4);
        }
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
