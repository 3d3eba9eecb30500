//! Whether the caller's session was authenticated as surely and as lately as the method asks for.
//!
//! The token says how it was (`aal`, `auth_time`); both are as the session stood when the token was issued. A session that falls has its tokens
//! revoked, so that none says more than is so. Source: RFC 9470.

use contract::StepUp;

use crate::{CallContext, Error};

/// Checks the call of `context` for what its method asks.
pub(crate) fn check(context: &CallContext) -> Result<(), Error> {
    context.policy.step_up.map_or(Ok(()), |step_up| require(context, step_up))
}

/// Checks the call of `context` for `step_up`.
pub(crate) fn require(context: &CallContext, step_up: StepUp) -> Result<(), Error> {
    let aal = context.token.as_ref().map_or(0, |token| token.aal);
    let is_fresh = context.auth_age.is_some_and(|age| age <= step_up.max_age);
    if aal >= step_up.aal && is_fresh { Ok(()) } else { Err(Error::StepUpRequired { aal: step_up.aal, max_age: step_up.max_age }) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::{OrganizationId, SessionId, UserId};
    use time::{Duration, OffsetDateTime};

    use super::*;
    use crate::authn::AccessToken;
    use crate::context::test_context;
    use crate::error::Fault;

    fn says(path: &str, aal: u8, age: Option<Duration>) -> Result<(), Error> {
        let mut context = test_context(path);
        let (issue_time, expire_time) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
        let (user_id, session_id, organization_id) = (UserId::nil(), SessionId::nil(), OrganizationId::SYSTEM);
        let key_id = "k1".into();
        let token =
            AccessToken { key_id, user_id, session_id, organization_id, workspace_id: None, aal, auth_time: None, issue_time, expire_time };
        context.token = Some(Arc::new(token));
        context.auth_age = age;
        check(&context)
    }

    #[test]
    fn a_method_takes_a_session_that_is_sure_and_fresh_enough_and_says_what_that_is() {
        let (enroll, delete) = ("/muster.identity.v1.FactorService/EnrollTotp", "/muster.identity.v1.FactorService/DeleteFactor");
        let (fresh, old) = (Some(Duration::seconds(600)), Some(Duration::milliseconds(600_001)));
        for (path, aal, age) in [(enroll, 1, fresh), (enroll, 2, fresh), (delete, 2, fresh), (delete, 2, Some(-Duration::SECOND))] {
            assert!(says(path, aal, age).is_ok(), "{path} at {aal}, {age:?}");
        }
        for (path, aal, age) in [(enroll, 1, old), (enroll, 1, None), (delete, 1, fresh), (delete, 2, old), (delete, 0, fresh)] {
            let refused = says(path, aal, age).unwrap_err();
            assert_eq!(refused.status().1.wire, "STEP_UP_REQUIRED", "{path} at {aal}, {age:?}");
            let wanted = if path == delete { "2" } else { "1" };
            assert_eq!(refused.metadata(), [("aal", wanted.to_owned()), ("max_age_seconds", "600".to_owned())]);
        }
        assert!(says("/muster.identity.v1.FactorService/ListFactors", 1, None).is_ok(), "what asks for nothing takes any");
    }
}
