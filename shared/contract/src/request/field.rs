//! The rules of `buf.validate` that the contract uses, one method each. Generated code chains them on the field they are stated for.
//!
//! Ids and meaning are protovalidate's; `tests/golden/` holds the answers of its reference implementation.

use std::{fmt::Display, sync::LazyLock};

use regex::Regex;

use super::{Checked, Violation, text};
use crate::path::Path;

/// The look at one message.
pub struct Check<'a> {
    within: Option<&'a Path<'a>>,
    found: &'a mut Vec<Violation>,
}

impl<'a> Check<'a> {
    pub(super) fn of(found: &'a mut Vec<Violation>) -> Self {
        Self { within: None, found }
    }

    /// Begins the rules of `field`.
    pub(super) fn field<T>(&mut self, field: &'static str, value: T) -> Field<'_, T> {
        Field { value, path: Path { within: self.within, field, index: None }, found: self.found, skipped: false }
    }

    /// Begins the rules of one element of the list `field`.
    pub(super) fn item<T>(&mut self, field: &'static str, index: usize, value: T) -> Field<'_, T> {
        Field { value, path: Path { within: self.within, field, index: Some(index) }, found: self.found, skipped: false }
    }

    /// Looks at the message in `field`.
    pub(super) fn message(&mut self, field: &'static str, message: &impl Checked) {
        self.inside(Path { within: self.within, field, index: None }, message);
    }

    /// Looks at one message of the list `field`.
    pub(super) fn message_item(&mut self, field: &'static str, index: usize, message: &impl Checked) {
        self.inside(Path { within: self.within, field, index: Some(index) }, message);
    }

    fn inside(&mut self, path: Path<'_>, message: &impl Checked) {
        message.check(&mut Check { within: Some(&path), found: &mut *self.found });
    }
}

/// The look at one field. Each rule adds a violation when it is broken.
pub(super) struct Field<'a, T> {
    value: T,
    path: Path<'a>,
    found: &'a mut Vec<Violation>,
    skipped: bool,
}

impl<T> Field<'_, T> {
    fn rule(self, id: &'static str, broken: impl FnOnce(&T) -> bool, description: impl FnOnce() -> String) -> Self {
        if !self.skipped && broken(&self.value) {
            self.found.push(Violation { field: self.path.to_string(), rule: id, description: description() });
        }
        self
    }
}

impl<T> Field<'_, Option<T>> {
    /// `required` on a message or a oneof.
    pub(super) fn required(self) -> Self {
        self.rule("required", Option::is_none, || "must be set".to_owned())
    }
}

impl Field<'_, &str> {
    /// `ignore: IGNORE_IF_ZERO_VALUE`: the rules after this one hold only for text that is there.
    pub(super) fn if_set(mut self) -> Self {
        self.skipped |= self.value.is_empty();
        self
    }

    /// Ours: no control characters, nothing that overrides the direction of text.
    pub(super) fn plain(self) -> Self {
        self.rule("string.control", |text| text::has_control(text), || "must not contain control characters".to_owned()).rule(
            "string.bidi",
            |text| text::has_bidi(text),
            || "must not contain characters that override text direction".to_owned(),
        )
    }

    /// `string.uuid`.
    pub(super) fn uuid(self) -> Self {
        self.rule("string.uuid_empty", |text| text.is_empty(), || "must not be empty: a UUID is wanted".to_owned()).rule(
            "string.uuid",
            |text| !text.is_empty() && !is_uuid(text),
            || "must be a UUID".to_owned(),
        )
    }

    /// `string.email`.
    pub(super) fn email(self) -> Self {
        self.rule("string.email_empty", |text| text.is_empty(), || "must not be empty: an email address is wanted".to_owned()).rule(
            "string.email",
            |text| !text.is_empty() && !EMAIL.is_match(text),
            || "must be an email address".to_owned(),
        )
    }

    /// `string.pattern`.
    pub(super) fn pattern(self, pattern: &LazyLock<Regex>) -> Self {
        self.rule("string.pattern", |text| !pattern.is_match(text), || format!("must match {}", pattern.as_str()))
    }

    /// `string.min_len`, in characters.
    pub(super) fn min_len(self, min: usize) -> Self {
        self.rule("string.min_len", |text| text.chars().take(min).count() < min, || format!("must have at least {min} characters"))
    }

    /// `string.max_len`, in characters.
    pub(super) fn max_len(self, max: usize) -> Self {
        self.rule("string.max_len", |text| text.len() > max && text.chars().count() > max, || format!("must have at most {max} characters"))
    }

    /// `string.max_bytes`.
    pub(super) fn max_bytes(self, max: usize) -> Self {
        self.rule("string.max_bytes", |text| text.len() > max, || format!("must have at most {max} bytes"))
    }
}

impl<T> Field<'_, &[T]> {
    /// `repeated.min_items`.
    pub(super) fn min_items(self, min: usize) -> Self {
        self.rule("repeated.min_items", |items| items.len() < min, || format!("must have at least {min} items"))
    }

    /// `repeated.max_items`.
    pub(super) fn max_items(self, max: usize) -> Self {
        self.rule("repeated.max_items", |items| items.len() > max, || format!("must have at most {max} items"))
    }
}

impl<N: PartialOrd + Display> Field<'_, N> {
    /// `gte` alone.
    pub(super) fn at_least(self, id: &'static str, min: N) -> Self {
        self.rule(id, |number| *number < min, || format!("must be at least {min}"))
    }

    /// `gte` and `lte` together.
    pub(super) fn between(self, id: &'static str, min: N, max: N) -> Self {
        self.rule(id, |number| *number < min || *number > max, || format!("must be between {min} and {max}"))
    }
}

impl Field<'_, i32> {
    /// `enum.defined_only`, for the enum whose generated `is_valid` is given.
    pub(super) fn defined(self, is_valid: fn(i32) -> bool) -> Self {
        self.rule("enum.defined_only", |number| !is_valid(*number), || "must be a value of the enum".to_owned())
    }

    /// `enum.not_in`.
    pub(super) fn not_in(self, values: &[i32]) -> Self {
        self.rule("enum.not_in", |number| values.contains(number), || "must be a value that is allowed here".to_owned())
    }
}

impl Field<'_, &prost_types::FieldMask> {
    /// `field_mask.in`: each path is one of `allowed` or goes on below one.
    pub(super) fn only(self, allowed: &[&str]) -> Self {
        let known = |path: &str| {
            allowed.iter().any(|allowed| path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        self.rule("field_mask.in", |mask| !mask.paths.iter().all(|path| known(path)), || format!("must name only {}", allowed.join(", ")))
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// Source: HTML Living Standard, "valid e-mail address", which protovalidate follows.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$",
    )
});

/// The expression of a `string.pattern` rule; the build script has compiled it before, so it can't fail.
pub(super) fn compiled(pattern: &'static str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("the build let {pattern} pass: {error}"))
}
