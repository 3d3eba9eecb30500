//! Headers whose value is another one for each call: request id, trace, time.
//!
//! HTTP/2 keeps a table of the headers that a connection met, so that one which comes again is a byte. What never comes again costs both sides an
//! entry, and pushes out of the table what would. Source: RFC 7541, 2.3.2 and 6.2.3.

use http::HeaderValue;

/// `value`, kept out of the table. `http` has one word for that, "sensitive"; it says no more than this here.
pub(crate) fn fleeting(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
