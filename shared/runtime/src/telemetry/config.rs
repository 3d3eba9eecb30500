//! The section `telemetry`.

use serde::{Deserialize, Serialize};

use super::levels;
use crate::config::{Faults, Section};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line, for machines.
    Json,
    /// Aligned text, for eyes.
    Pretty,
}

/// Logs and traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How a log line looks.
    pub format: Format,
    /// Which lines are written at the start.
    pub levels: String,
    /// Where traces go.
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that is exported.
    pub trace_ratio: f64,
}

impl Default for Config {
    fn default() -> Self {
        let levels = "info,async_nats=warn,h2=warn,hyper=warn,opentelemetry=warn,opentelemetry_sdk=warn,sqlx=warn,tonic=warn";
        Self { format: Format::Json, levels: levels.to_owned(), otlp_endpoint: None, trace_ratio: 1.0 }
    }
}

impl Section for Config {
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("format", "How a log line looks: json or pretty."),
            ("levels", "Which log lines are written: a level, then exceptions by module, e.g. info,tasks=debug. Read anew on SIGHUP."),
            ("otlp_endpoint", "Where traces go, by OTLP over gRPC, e.g. http://127.0.0.1:4317. Not set: nowhere."),
            ("trace_ratio", "The share of new traces that is exported, 0.0..=1.0. A caller's decision is followed."),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("trace_ratio", self.trace_ratio, 0.0..=1.0);
        if let Err(error) = levels::parse(&self.levels) {
            faults.push("levels", error.to_string());
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            let right = endpoint.starts_with("http://") || endpoint.starts_with("https://");
            faults.require("otlp_endpoint", right, "must begin with http:// or https://");
        }
    }
}
