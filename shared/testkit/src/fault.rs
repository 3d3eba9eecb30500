//! What a refused call says.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Asserts that a call was refused with a code and a reason, and gives its `Status` for further looks.
///
/// `assert_fault!(ana.get_product(id).await, NotFound, "PRODUCT_NOT_FOUND")`. The first is any `Result<_, tonic::Status>`, the second a variant of
/// [`tonic::Code`], the third the reason of the ErrorInfo by its wire name.
#[macro_export]
macro_rules! assert_fault {
    ($result:expr, $code:ident, $reason:expr $(,)?) => {
        $crate::fault::assert_fault($result, ::tonic::Code::$code, $reason)
    };
}

/// What [`assert_fault!`](crate::assert_fault!) does.
///
/// # Panics
/// When the call was answered, or refused otherwise; prints what came.
#[track_caller]
pub fn assert_fault<T: Debug>(result: Result<T, Status>, code: Code, reason: &str) -> Status {
    match result {
        Ok(answer) => panic!("wanted {code:?} {reason}, but the call was answered: {answer:?}"),
        Err(status) if status.code() == code && self::reason(&status) == reason => status,
        Err(status) => {
            panic!(
                "wanted {code:?} {reason}, but it was {:?} {}: {}{}",
                status.code(),
                self::reason(&status),
                status.message(),
                told(&status)
            )
        }
    }
}

/// The reason of a status by its wire name; empty when it has none.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Whose reason it is: `tasks.muster`; empty when it has none.
pub fn domain(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.domain.clone()).unwrap_or_default()
}

/// What its ErrorInfo says beside the reason, by name.
pub fn metadata(status: &Status) -> HashMap<String, String> {
    status.get_error_details().error_info().map(|info| info.metadata.clone()).unwrap_or_default()
}

/// When to try again, by its RetryInfo; `None` without one.
pub fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// The fields that break a rule, as the status lists them.
pub fn violated_fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    details.bad_request().map(|bad| bad.field_violations.iter().map(|violation| violation.field.clone()).collect()).unwrap_or_default()
}

fn told(status: &Status) -> String {
    let fields = violated_fields(status);
    if fields.is_empty() { String::new() } else { format!(" (fields: {})", fields.join(", ")) }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn refused() -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info("PRODUCT_NOT_FOUND", "tasks.muster", std::collections::HashMap::default());
        details.add_bad_request_violation("product_id", "must be a UUID");
        Status::with_error_details(Code::NotFound, "no such product", details)
    }

    #[test]
    fn a_refusal_with_code_and_reason_is_what_was_wanted() {
        let status = assert_fault!(Err::<(), _>(refused()), NotFound, "PRODUCT_NOT_FOUND");
        assert_eq!((domain(&status).as_str(), violated_fields(&status)), ("tasks.muster", vec!["product_id".to_owned()]));
    }

    #[test]
    #[should_panic(expected = "but it was NotFound PRODUCT_NOT_FOUND: no such product (fields: product_id)")]
    fn another_reason_is_told() {
        assert_fault!(Err::<(), _>(refused()), NotFound, "WORK_ITEM_NOT_FOUND");
    }

    #[test]
    #[should_panic(expected = "but it was NotFound PRODUCT_NOT_FOUND")]
    fn another_code_is_told() {
        assert_fault!(Err::<(), _>(refused()), Aborted, "PRODUCT_NOT_FOUND");
    }

    #[test]
    #[should_panic(expected = "but the call was answered: 7")]
    fn an_answer_is_no_fault() {
        assert_fault!(Ok(7), NotFound, "PRODUCT_NOT_FOUND");
    }
}
