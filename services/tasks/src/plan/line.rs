//! One line of a plan: how far it is indented and what it begins.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// A tab goes on to the next multiple of so many columns.
const TAB: usize = 4;

/// A line without its indentation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Columns of white space before the text.
    pub(super) indent: usize,
    /// The text, without white space around it.
    pub(super) text: &'a str,
}

/// What a line begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// `- [ ] title`, ticked or not.
    Checkbox { checked: bool, title: &'a str },
    /// Another item of a list.
    Bullet,
    /// `# …`.
    Heading,
    /// A fence of code: its character and its length.
    Fence(char, usize),
    /// `---`.
    Break,
    /// A quote or a comment: it ends the paragraph before it.
    Quote,
    /// A line of a paragraph, or of anything else.
    Text,
}

impl<'a> Line<'a> {
    /// Measures a line that was [cleaned](clean).
    pub(super) fn of(line: &'a str) -> Self {
        let text = line.trim_start_matches([' ', '\t']);
        let indent = line[..line.len() - text.len()].chars().fold(0, |column, space| match space {
            '\t' => (column / TAB + 1) * TAB,
            _ => column + 1,
        });
        Line { indent, text: text.trim_end() }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn kind(&self) -> Kind<'a> {
        if is_break(self.text) {
            return Kind::Break;
        }
        if let Some((character, length)) = fence(self.text) {
            return Kind::Fence(character, length);
        }
        if let Some(content) = after_marker(self.text) {
            return checkbox(content).unwrap_or(Kind::Bullet);
        }
        let after_hashes = self.text.trim_start_matches('#');
        let hashes = self.text.len() - after_hashes.len();
        if (1..=6).contains(&hashes) && (after_hashes.is_empty() || after_hashes.starts_with([' ', '\t'])) {
            return Kind::Heading;
        }
        if self.text.starts_with('>') || self.text.starts_with("<!--") { Kind::Quote } else { Kind::Text }
    }

    /// Whether this line ends a fence of `length` times `character`.
    pub(super) fn closes(&self, character: char, length: usize) -> bool {
        self.text.len() >= length && self.text.chars().all(|one| one == character)
    }
}

/// The line as it may be stored: NFC, without control characters but tabs, and without what overrides the direction of text.
pub(super) fn clean(line: &str) -> Cow<'_, str> {
    let fit = |c: char| (c == '\t' || !c.is_control()) && !matches!(c, '\u{FEFF}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    if line.is_ascii() && line.chars().all(fit) {
        return Cow::Borrowed(line);
    }
    let kept = line.chars().filter(|c| fit(*c));
    if is_nfc_quick(kept.clone()) == IsNormalized::Yes { Cow::Owned(kept.collect()) } else { Cow::Owned(kept.nfc().collect()) }
}

/// Three or more of one of `-`, `*`, `_`, with any white space between.
fn is_break(text: &str) -> bool {
    let Some(first) = text.chars().next().filter(|first| matches!(first, '-' | '*' | '_')) else { return false };
    let mut count = 0;
    for character in text.chars() {
        match character {
            ' ' | '\t' => {}
            other if other == first => count += 1,
            _ => return false,
        }
    }
    count >= 3
}

fn fence(text: &str) -> Option<(char, usize)> {
    let character = text.chars().next().filter(|first| matches!(first, '`' | '~'))?;
    let rest = text.trim_start_matches(character);
    let length = text.len() - rest.len();
    // Backquotes after backquotes are code within a line.
    (length >= 3 && !(character == '`' && rest.contains('`'))).then_some((character, length))
}

/// What stands after `-`, `*`, `+`, `1.` or `1)` and white space.
fn after_marker(text: &str) -> Option<&str> {
    let rest = match text.strip_prefix(['-', '*', '+']) {
        Some(rest) => rest,
        None => {
            let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = text.len() - rest.len();
            rest.strip_prefix(['.', ')']).filter(|_| (1..=9).contains(&digits))?
        }
    };
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| rest.trim_start_matches([' ', '\t']))
}

fn checkbox(content: &str) -> Option<Kind<'_>> {
    let (checked, rest) = match content.get(..3)? {
        "[ ]" => (false, &content[3..]),
        "[x]" | "[X]" => (true, &content[3..]),
        _ => return None,
    };
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| Kind::Checkbox { checked, title: rest.trim() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind<'_> {
        Line::of(text).kind()
    }

    #[test]
    fn every_marker_of_a_list_may_hold_a_box() {
        for text in ["- [ ] a", "* [ ] a", "+ [ ]\ta", "1. [ ] a", "23) [ ] a", "-   [ ]  a "] {
            assert_eq!(kind(text), Kind::Checkbox { checked: false, title: "a" }, "{text}");
        }
        for text in ["- [x] a", "- [X] a"] {
            assert_eq!(kind(text), Kind::Checkbox { checked: true, title: "a" }, "{text}");
        }
        assert_eq!(kind("- [ ]"), Kind::Checkbox { checked: false, title: "" });
    }

    #[test]
    fn what_only_looks_like_a_box_is_none() {
        for text in ["- [] a", "- [y] a", "- [ ]a", "- [x](link)", "- a [ ] b", "1. a", "-"] {
            assert_eq!(kind(text), Kind::Bullet, "{text}");
        }
        for text in ["-[ ] a", "[ ] a", "1234567890. [ ] a", "a - [ ] b", ". [ ] a"] {
            assert_eq!(kind(text), Kind::Text, "{text}");
        }
    }

    #[test]
    fn other_beginnings_are_told_apart() {
        assert_eq!(kind("## Next"), Kind::Heading);
        assert_eq!(kind("#"), Kind::Heading);
        assert_eq!(kind("#hashtag"), Kind::Text);
        assert_eq!(kind("####### seven"), Kind::Text);
        assert_eq!(kind("* * *"), Kind::Break);
        assert_eq!(kind("- -"), Kind::Bullet);
        assert_eq!(kind("```rust"), Kind::Fence('`', 3));
        assert_eq!(kind("~~~~"), Kind::Fence('~', 4));
        assert_eq!(kind("```a```"), Kind::Text);
        assert_eq!(kind("> quoted"), Kind::Quote);
    }

    #[test]
    fn a_tab_goes_on_to_the_next_fourth_column() {
        for (text, indent) in [("\ta", 4), ("  \ta", 4), ("\t\ta", 8), ("\t a", 5), ("a", 0), ("   \t", 4)] {
            assert_eq!(Line::of(text).indent, indent, "{text:?}");
        }
    }

    #[test]
    fn a_clean_line_holds_nothing_that_a_request_may_not() {
        assert_eq!(clean("a\0b\u{202E}c\u{7}\td\u{FEFF}"), "abc\td");
        assert_eq!(clean("e\u{301}"), "\u{e9}");
    }
}
