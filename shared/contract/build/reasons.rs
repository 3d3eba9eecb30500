//! The enums whose values name what went wrong: those whose name ends in `Reason`.

use std::fmt::Write;

use heck::ToShoutySnakeCase;
use prost_reflect::DescriptorPool;

use super::{header, is_ours, names, place::Refusals};

/// One enum of reasons.
#[derive(Debug)]
pub(crate) struct ReasonEnum {
    /// Where it stands: `muster.tasks.v1`.
    pub(crate) package: String,
    rust_type: String,
    domain: String,
    prefix: String,
    /// The wire names, but for the zero value.
    pub(crate) wire: Vec<String>,
}

pub(crate) fn read(pool: &DescriptorPool, refusals: &mut Refusals) -> Vec<ReasonEnum> {
    let mut reasons = Vec::new();
    for kind in pool.all_enums().filter(|kind| is_ours(kind.package_name()) && kind.name().ends_with("Reason")) {
        let prefix = format!("{}_", kind.name().to_shouty_snake_case());
        let mut wire = Vec::new();
        for value in kind.values() {
            match value.name().strip_prefix(&prefix) {
                Some(name) if value.number() != 0 => wire.push(name.to_owned()),
                Some(_) => {}
                None => refusals.add(&value, format_args!("a value of this enum begins with {prefix}")),
            }
        }
        let owner = names::owner(kind.package_name());
        let domain = if owner == "common" { "muster".to_owned() } else { format!("{owner}.muster") };
        reasons.push(ReasonEnum { package: kind.package_name().to_owned(), rust_type: names::enumeration(&kind), domain, prefix, wire });
    }
    reasons.sort_by(|a, b| a.rust_type.cmp(&b.rust_type));
    reasons
}

pub(crate) fn render(reasons: &[ReasonEnum]) -> String {
    let mut out = header("reasons");
    for ReasonEnum { rust_type, domain, prefix, .. } in reasons {
        let _ = write!(
            out,
            r#"impl WireReason for {rust_type} {{
    const DOMAIN: &'static str = "{domain}";

    fn wire(self) -> &'static str {{
        let name = self.as_str_name();
        name.strip_prefix("{prefix}").unwrap_or(name)
    }}
}}

"#
        );
    }
    out
}
