//! Ladders between the domain and the contract.

use contract::identity::v1 as pb;

use super::Scope;

impl From<Scope> for pb::ThrottleScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Device => pb::ThrottleScope::Device,
            Scope::Network => pb::ThrottleScope::Network,
            Scope::Account => pb::ThrottleScope::Account,
            Scope::Address => pb::ThrottleScope::Address,
            Scope::Mail => pb::ThrottleScope::Mail,
            Scope::Code => pb::ThrottleScope::Code,
            Scope::Link => pb::ThrottleScope::Link,
            Scope::Password => pb::ThrottleScope::Password,
            Scope::Site => pb::ThrottleScope::Site,
        }
    }
}
