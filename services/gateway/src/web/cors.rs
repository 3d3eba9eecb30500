//! Which pages may call, and what their browsers let them see.
//!
//! No credentials are allowed: a token travels in `authorization`, never in a cookie, so no page can call in another's name.

use std::collections::BTreeSet;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tonic::body::Body;

use super::empty;

/// What a page may send beside what every page may.
const ALLOWED: &str = "authorization, content-type, grpc-timeout, traceparent, tracestate, x-grpc-web, x-request-id, x-user-agent";
/// What a page may read of an answer's headers. A status without a message stands in them.
const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin, x-request-id";
/// How long a browser may remember this, in seconds. Source: Chromium's maximum.
const MAX_AGE: &str = "7200";

/// The origins whose pages may call, as browsers write them: `https://console.example`.
#[derive(Debug)]
pub(super) struct Origins(BTreeSet<String>);

impl Origins {
    pub(super) fn new(origins: &[String]) -> Self {
        Self(origins.iter().cloned().collect())
    }

    pub(super) fn allow(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.0.contains(origin))
    }

    /// What a browser is answered that asks whether a page may call.
    pub(super) fn preflight(&self, headers: &HeaderMap) -> Response<Body> {
        let Some(origin) = headers.get(ORIGIN).filter(|origin| self.allow(origin)) else {
            return empty(StatusCode::FORBIDDEN);
        };
        if headers.get(ACCESS_CONTROL_REQUEST_METHOD).is_none_or(|method| method != "POST") {
            return empty(StatusCode::FORBIDDEN);
        }
        let mut answer = empty(StatusCode::NO_CONTENT);
        let own = answer.headers_mut();
        own.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        own.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        own.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
        own.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        own.insert(VARY, HeaderValue::from_static("origin"));
        answer
    }
}

/// Lets a page of `origin`, which is allowed, read the answer with these headers.
pub(super) fn expose(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(VARY, HeaderValue::from_static("origin"));
}
