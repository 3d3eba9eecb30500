//! The id of a request, by which its log lines, events and audit records are found: the caller's when it is a UUID, else one of ours.

use http::HeaderMap;
use runtime::Ids;
use uuid::Uuid;

/// The header that carries it, both ways.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The id of the call with these headers, in lower case. What is no UUID is not taken over: it would reach logs and events unread.
pub(crate) fn of(headers: &HeaderMap, ids: &Ids) -> Box<str> {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let given = given.filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(text).ok());
    given.unwrap_or_else(|| ids.next()).to_string().into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn given(text: &'static str) -> Box<str> {
        of(&HeaderMap::from_iter([(http::HeaderName::from_static(REQUEST_ID), HeaderValue::from_static(text))]), &Ids::system())
    }

    #[test]
    fn a_uuid_is_taken_over_in_lower_case() {
        assert_eq!(&*given("01890A5D-AC96-774B-BCCE-B302099A8057"), "01890a5d-ac96-774b-bcce-b302099a8057");
    }

    #[test]
    fn anything_else_is_replaced() {
        for text in ["", "42", "'; DROP TABLE audit; --", "01890a5dac96774bbcceb302099a8057"] {
            let id = given(text);
            assert!(&*id != text && Uuid::try_parse(&id).is_ok(), "{text}");
        }
    }
}
