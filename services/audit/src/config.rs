//! The settings of the audit service: none of its own today.

use serde::{Deserialize, Serialize};

/// Nothing to set.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Config {}

impl host::ServiceConfig for Config {
    const PORT: u16 = 7104;
}
