//! What a request must look like: its rules (`buf.validate`) and how its text is brought into form.
//!
//! The rules are compiled into straight code by the build script; a rule it has no code for fails the build. On top of the stated rules,
//! text holds no control character but tab, line feed and carriage return, and no character that overrides the direction of what follows.
//! Fields marked SECRET or `exact` are taken byte for byte: neither normalised nor looked into.
//!
//! Deliberately absent: rules that need the state of a service.

mod field;
mod text;

use std::sync::LazyLock;

use regex::Regex;

use field::Check;

/// A rule that a request breaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Violation {
    /// The field: `question.assignee_ids[3]`.
    pub field: String,
    /// The rule's id, as protovalidate has it (`string.uuid`); ours are `string.control` and `string.bidi`.
    pub rule: &'static str,
    /// What the field must be, in words; never what it is.
    pub description: String,
}

/// The request of one RPC.
///
/// The trait can't be implemented outside the contract.
pub trait RequestMessage: prost::Message + Default + Checked {
    /// Brings text into form: surrounding white space goes, the rest becomes Unicode NFC. Fields that are SECRET or `exact` stay.
    fn normalize(&mut self) {
        self.normalize_text();
    }

    /// Every rule that the message breaks; empty when it is valid. Call it after [`normalize`](RequestMessage::normalize).
    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        self.check(&mut Check::of(&mut violations));
        violations
    }

    /// The value of the field that names the scope of the call (`scope_field` of its policy); `None` when the policy names no field.
    fn scope_id(&self) -> Option<&str> {
        None
    }

    /// The caller's key for a safe repeat; `None` when the message has no such field or it is empty.
    fn request_id(&self) -> Option<&str> {
        None
    }
}

/// A message that a request is, or holds.
pub trait Checked {
    /// Normalises its text.
    fn normalize_text(&mut self) {}
    /// Looks at its fields.
    fn check(&self, _check: &mut Check<'_>) {}
}

include!(concat!(env!("OUT_DIR"), "/requests.rs"));
