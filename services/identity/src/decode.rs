//! Ids of requests. `rpc::open` has checked their form already; what still can't be read is told as a violation of its field.

use std::str::FromStr;

/// The id in `field`.
pub(crate) fn id<T: FromStr>(field: &str, text: &str) -> Result<T, rpc::Error> {
    text.parse().map_err(|_| rpc::Error::invalid_field(field, "string.uuid", "must be a UUID"))
}

/// The id in `field`, which may be empty.
pub(crate) fn optional_id<T: FromStr>(field: &str, text: &str) -> Result<Option<T>, rpc::Error> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}
