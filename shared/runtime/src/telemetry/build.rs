//! What was built, for `muster_build_info` and `muster version`.

/// The version of the suite.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, when the build said so in `MUSTER_COMMIT`.
pub const COMMIT: &str = match option_env!("MUSTER_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
