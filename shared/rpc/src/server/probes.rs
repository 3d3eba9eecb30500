//! Plain HTTP for probes and scrapers: `/health`, `/livez`, `/readyz`, and on the admin port `/metrics`.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use runtime::telemetry::Metrics;
use tonic::body::Body;

use super::stack::empty;
use crate::health::{HealthHandle, READINESS, ServingStatus};

/// What a scraper and a probe are answered.
#[derive(Debug)]
pub(super) struct Probes {
    pub(super) health: HealthHandle,
    /// None where `/metrics` is not shown.
    pub(super) metrics: Option<Metrics>,
}

impl Probes {
    pub(super) fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        match path {
            "/metrics" => match &self.metrics {
                Some(metrics) => text(StatusCode::OK, metrics.render()),
                None => empty(StatusCode::NOT_FOUND),
            },
            "/health" => self.health(),
            "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if self.is_serving(READINESS) => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
            _ => empty(StatusCode::NOT_FOUND),
        }
    }

    /// Every name of health and its status, in JSON; the code is that of the server as a whole.
    fn health(&self) -> Response<Body> {
        let all = self.health.all().into_iter().map(|(name, status)| (name, status.as_str_name().into()));
        let code = if self.is_serving("") { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut answer = text(code, format!("{}\n", serde_json::Value::Object(all.collect())));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    fn is_serving(&self, name: &str) -> bool {
        self.health.get(name) == Some(ServingStatus::Serving)
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::new(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    answer
}
