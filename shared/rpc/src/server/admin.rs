//! Plain HTTP on the admin port: `/metrics`, `/livez`, `/readyz`.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use runtime::telemetry::Metrics;
use tonic::body::Body;

use super::stack::empty;
use crate::health::{HealthHandle, READINESS, ServingStatus};

/// What the admin port answers to a scraper and to a probe.
#[derive(Debug)]
pub(super) struct AdminHttp {
    pub(super) health: HealthHandle,
    pub(super) metrics: Option<Metrics>,
}

impl AdminHttp {
    pub(super) fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        match path {
            "/metrics" => match &self.metrics {
                Some(metrics) => text(StatusCode::OK, metrics.render()),
                None => empty(StatusCode::NOT_FOUND),
            },
            "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if self.health.get(READINESS) == Some(ServingStatus::Serving) => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
            _ => empty(StatusCode::NOT_FOUND),
        }
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::new(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    answer
}
