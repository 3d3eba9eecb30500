//! The permission catalogue: what the policies of all methods name.

use std::{collections::BTreeMap, fmt::Write};

use super::{header, names, options::Grant, place::Refusals, policy::Method};

/// One permission, and what the methods that need it agree on.
#[derive(Debug)]
pub(crate) struct Permission {
    name: String,
    scope: String,
    grants: Vec<Grant>,
    /// The methods, for the documentation.
    methods: Vec<String>,
}

/// The permissions, sorted by name.
pub(crate) fn read(methods: &[Method], refusals: &mut Refusals) -> Vec<Permission> {
    let mut permissions = BTreeMap::<String, Permission>::new();
    for Method { descriptor, policy } in methods.iter().filter(|method| !method.policy.permission.is_empty()) {
        let label = format!("{}/{}", descriptor.parent_service().name(), descriptor.name());
        match permissions.get_mut(&policy.permission) {
            Some(known) if known.scope != policy.scope || sorted(&known.grants) != sorted(&policy.grants) => {
                let others = known.methods.join(", ");
                refusals.add(descriptor, format_args!("states another scope or other grants for `{}` than {others}", known.name));
            }
            Some(known) => known.methods.push(label),
            None => {
                let (name, scope, grants) = (policy.permission.clone(), policy.scope.clone(), policy.grants.clone());
                permissions.insert(name.clone(), Permission { name, scope, grants, methods: vec![label] });
            }
        }
    }
    permissions.into_values().collect()
}

fn sorted(grants: &[Grant]) -> Vec<&Grant> {
    let mut grants: Vec<_> = grants.iter().collect();
    grants.sort();
    grants
}

pub(crate) fn render(permissions: &[Permission]) -> String {
    let mut out = header("permissions");
    out.push_str(
        "/// What a caller may be asked to hold. In the order of their names.\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\n\
         #[repr(u16)]\n\
         pub enum Permission {\n",
    );
    for Permission { name, methods, .. } in permissions {
        let methods: Vec<_> = methods.iter().map(|method| format!("`{method}`")).collect();
        let _ = writeln!(out, "    /// `{name}`: needed by {}.\n    {},", methods.join(", "), names::variant(name));
    }
    out.push_str(
        "}\n\nimpl Permission {\n    /// Every permission, in the order of their names.\n    pub const ALL: &'static [Self] = &[\n",
    );
    for Permission { name, .. } in permissions {
        let _ = writeln!(out, "        Self::{},", names::variant(name));
    }
    out.push_str(
        "    ];\n\n    /// Its name: `tasks.work_item.create`.\n    pub const fn name(self) -> &'static str {\n        match self {\n",
    );
    for Permission { name, .. } in permissions {
        let _ = writeln!(out, "            Self::{} => {name:?},", names::variant(name));
    }
    out.push_str("        }\n    }\n\n    /// Where it is held.\n    pub const fn scope(self) -> Scope {\n        match self {\n");
    for Permission { name, scope, .. } in permissions {
        let _ = writeln!(out, "            Self::{} => Scope::{},", names::variant(name), names::variant(scope));
    }
    out.push_str(
        "        }\n    }\n\n    /// The lowest base roles that hold it, each with its reach; empty when only system admins do.\n    \
         pub const fn grants(self) -> &'static [(BaseRole, Reach)] {\n        match self {\n",
    );
    for Permission { name, grants, .. } in permissions {
        let grants: Vec<_> = grants
            .iter()
            .map(|grant| format!("(BaseRole::{}, Reach::{})", names::variant(&grant.role), names::variant(&grant.reach)))
            .collect();
        let _ = writeln!(out, "            Self::{} => &[{}],", names::variant(name), grants.join(", "));
    }
    out.push_str("        }\n    }\n}\n");
    out
}
