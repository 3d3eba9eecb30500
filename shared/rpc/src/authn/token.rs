//! What a verified access token says.

use std::sync::Arc;

use runtime::{OrganizationId, SessionId, UserId, WorkspaceId};
use serde::Deserialize;
use time::OffsetDateTime;

/// Who issues access tokens, and whom they are for.
pub(super) const ISSUER: &str = "muster";

/// The claims of an access token (RFC 9068), verified. The display roles in it are not read: no decision may depend on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The key that signed it: `kid`.
    pub key_id: Arc<str>,
    /// The user: `sub`.
    pub user_id: UserId,
    /// The session: `sid`.
    pub session_id: SessionId,
    /// The tenant: `org`.
    pub organization_id: OrganizationId,
    /// The workspace it is narrowed to: `ws`.
    pub workspace_id: Option<WorkspaceId>,
    /// How surely the session is its user's: `aal`, 1 or 2. A token without it says 1.
    pub aal: u8,
    /// When the session last was authenticated: `auth_time` (RFC 9068, 2.2.1). A token without it was never: whoever asks for a fresh one refuses.
    pub auth_time: Option<OffsetDateTime>,
    /// `iat`, to the microsecond when the issuer gave a fraction.
    pub issue_time: OffsetDateTime,
    /// `exp`.
    pub expire_time: OffsetDateTime,
}

/// The claims as they stand in the token. Numbers may have a fraction (RFC 7519, 2, NumericDate).
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    sub: UserId,
    sid: SessionId,
    org: OrganizationId,
    ws: Option<WorkspaceId>,
    aal: Option<u8>,
    auth_time: Option<f64>,
    iat: f64,
    exp: f64,
}

/// One audience or several (RFC 7519, 4.1.3).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(super) fn names(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Several(several) => several.iter().any(|one| one == wanted),
        }
    }
}

impl Claims {
    /// The token that the key named `key_id` signed, if it was issued by the suite for the suite. Time is not looked at here: it goes on after a
    /// token is verified.
    pub(super) fn accept(self, key_id: &str) -> Option<AccessToken> {
        let ours = self.iss == ISSUER && self.aud.names(ISSUER);
        let (issue_time, expire_time) = (moment(self.iat)?, moment(self.exp)?);
        let auth_time = match self.auth_time {
            Some(seconds) => Some(moment(seconds)?),
            None => None,
        };
        ours.then(|| AccessToken {
            key_id: key_id.into(),
            user_id: self.sub,
            session_id: self.sid,
            organization_id: self.org,
            workspace_id: self.ws,
            aal: self.aal.unwrap_or(1),
            auth_time,
            issue_time,
            expire_time,
        })
    }
}

/// Seconds since 1970, to the microsecond.
pub(super) fn moment(seconds: f64) -> Option<OffsetDateTime> {
    let micros = (seconds * 1e6).round();
    // Beyond 2^53 an f64 has no microseconds, and no token lives in the year 2255.
    if !micros.is_finite() || !(0.0..9e15).contains(&micros) {
        return None;
    }
    OffsetDateTime::from_unix_timestamp_nanos(micros as i128 * 1_000).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(more: &serde_json::Value) -> Option<AccessToken> {
        let id = "0192f0c1-2d3e-7abc-8def-0123456789ab";
        let mut claims = json!({"iss": "muster", "aud": "muster", "sub": id, "sid": id, "org": id, "iat": 1.0, "exp": 2.0});
        claims.as_object_mut()?.extend(more.as_object()?.clone());
        serde_json::from_value::<Claims>(claims).ok()?.accept("k1")
    }

    #[test]
    fn a_token_says_how_surely_its_session_is_its_users_and_since_when() {
        let told = token(&json!({"aal": 2, "auth_time": 1_800_000_000})).unwrap();
        assert_eq!((told.aal, told.auth_time.unwrap().unix_timestamp()), (2, 1_800_000_000));
        let silent = token(&json!({})).unwrap();
        assert_eq!((silent.aal, silent.auth_time), (1, None), "the least that can be meant");
        for odd in [json!({"auth_time": -1}), json!({"auth_time": 1e300}), json!({"aal": -1}), json!({"aal": "2"})] {
            assert_eq!(token(&odd), None, "{odd}");
        }
    }
}
