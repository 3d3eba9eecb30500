//! Where the database is and how many connections a service takes of it.

use runtime::config::{Faults, Secret, Section};
use serde::{Deserialize, Serialize};

/// The database of a service. The logins are `<schema>_app`, `<schema>_worker` and `<schema>_migrator`, whatever user the URL names.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DbConfig {
    /// `postgres://host:port/database?sslmode=verify-full`; a socket's folder as `postgres:///database?host=/folder`.
    pub url: Secret,
    /// Password of `<schema>_app`.
    pub app_password: Secret,
    /// Password of `<schema>_worker`.
    pub worker_password: Secret,
    /// Password of `<schema>_migrator`; for migrations alone.
    pub migrator_password: Secret,
    /// The most connections for calls.
    pub app_connections: u32,
    /// Connections for calls that are open before the service is ready.
    pub app_connections_min: u32,
    /// The most connections for relay, snapshots and retention.
    pub worker_connections: u32,
    /// How long a call waits for a connection before it is UNAVAILABLE.
    pub acquire_timeout_ms: u64,
}

impl Default for DbConfig {
    fn default() -> Self {
        DbConfig {
            url: Secret::from("postgres://localhost/muster"),
            app_password: Secret::default(),
            worker_password: Secret::default(),
            migrator_password: Secret::default(),
            app_connections: 8,
            app_connections_min: 2,
            worker_connections: 4,
            acquire_timeout_ms: 250,
        }
    }
}

impl Section for DbConfig {
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            (
                "url",
                "postgres://host:port/database?sslmode=verify-full, or postgres:///database?host=/socket/folder; the user is not taken from it",
            ),
            ("app_password", "password of <schema>_app, which serves calls; empty when the server asks for none"),
            ("worker_password", "password of <schema>_worker: relay, snapshots, retention"),
            ("migrator_password", "password of <schema>_migrator, used by `muster migrate` alone"),
            ("app_connections", "the most connections for calls, 1..=200"),
            ("app_connections_min", "connections open before the service is ready, 0..=app_connections"),
            ("worker_connections", "the most connections for background work, 1..=50"),
            ("acquire_timeout_ms", "how long a call waits for a connection before it is UNAVAILABLE, 10..=5000"),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.not_empty("url", self.url.expose());
        faults.range("app_connections", self.app_connections, 1..=200);
        faults.range("app_connections_min", self.app_connections_min, 0..=self.app_connections);
        faults.range("worker_connections", self.worker_connections, 1..=50);
        faults.range("acquire_timeout_ms", self.acquire_timeout_ms, 10..=5000);
        faults.require("url", !self.url.is_set() || crate::connect::parses(&self.url), "must be a postgres:// URL");
    }
}
