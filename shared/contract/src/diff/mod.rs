//! What a change of the contract takes away from those who rely on it, where buf does not look: in policies, events, reasons and rules.
//!
//! Deliberately absent: changes of shape (a field, message or RPC that is gone or of another type). `buf breaking` finds those.

#[path = "../../build/options.rs"]
mod options;
mod policies;
mod rules;

use std::fmt;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use options::Options;

/// Something that was released and holds no more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The full name of the RPC, message, field or enum.
    pub what: String,
    /// What became of it.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Both sides of a comparison, each with the readers of its options.
struct Pair<'a> {
    released: &'a DescriptorPool,
    released_options: Options,
    today: &'a DescriptorPool,
    today_options: Options,
    findings: Vec<Finding>,
}

impl Pair<'_> {
    fn add(&mut self, what: &str, why: impl fmt::Display) {
        self.findings.push(Finding { what: what.to_owned(), why: why.to_string() });
    }
}

/// Everything that `today` loosens of what was `released`, and every rule that it tightens for callers. Sorted; empty when nobody loses.
///
/// Loosened is a policy that asks less of a caller or promises it less: a permission, scope or audit action that is gone or another, wider
/// grants, weaker authn, wider exposure, lost idempotency, shorter deadlines, an event about something else, a reason or a sensitivity that
/// is gone. Tightened is a field of a request that refuses what it took.
pub fn loosened(released: &DescriptorPool, today: &DescriptorPool) -> Vec<Finding> {
    let mut pair =
        Pair { released, released_options: Options::of(released), today, today_options: Options::of(today), findings: Vec::new() };
    pair.methods();
    pair.events();
    pair.reasons();
    pair.sensitivities();
    pair.rules();
    pair.findings.sort();
    pair.findings
}

impl Pair<'_> {
    fn events(&mut self) {
        for (before, after) in self.messages() {
            let Some(released) = self.released_options.event(&before) else { continue };
            match self.today_options.event(&after) {
                None => self.add(after.full_name(), "is no event any more"),
                Some(today) if today.aggregate != released.aggregate => {
                    self.add(after.full_name(), format_args!("its aggregate `{}` became `{}`", released.aggregate, today.aggregate));
                }
                Some(today) if today.key_field != released.key_field => {
                    self.add(after.full_name(), format_args!("its key_field `{}` became `{}`", released.key_field, today.key_field));
                }
                Some(_) => {}
            }
        }
    }

    fn reasons(&mut self) {
        for before in self.released.all_enums().filter(|kind| is_ours(kind.package_name()) && kind.name().ends_with("Reason")) {
            let Some(after) = self.today.get_enum_by_name(before.full_name()) else { continue };
            for value in before.values().filter(|value| after.get_value_by_name(value.name()).is_none()) {
                self.add(before.full_name(), format_args!("the reason {} is gone", value.name()));
            }
        }
    }

    fn sensitivities(&mut self) {
        for (before, after) in self.messages() {
            for field in before.fields() {
                let Some(today) = after.get_field_by_name(field.name()) else { continue };
                let (was, is) = (self.released_options.sensitivity(&field), self.today_options.sensitivity(&today));
                if is < was {
                    self.add(today.full_name(), format_args!("its sensitivity {was:?} became {is:?}"));
                }
                if self.released_options.is_exact(&field) && !self.today_options.is_exact(&today) {
                    self.add(today.full_name(), "is no longer taken byte for byte");
                }
            }
        }
    }

    /// Our messages that are on both sides.
    fn messages(&self) -> Vec<(MessageDescriptor, MessageDescriptor)> {
        let ours = self.released.all_messages().filter(|message| is_ours(message.package_name()));
        ours.filter_map(|before| self.today.get_message_by_name(before.full_name()).map(|after| (before, after))).collect()
    }
}

fn is_ours(package: &str) -> bool {
    package.starts_with("muster.")
}
