//! Settings of the edge beside those every service has. Where the services behind it are stands in `suite.peers`, as for any service.

use rpc::server::Limits;
use runtime::config::Faults;
use serde::{Deserialize, Serialize};

use crate::Network;

/// The section `gateway`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The proxies whose word on where a call comes from is taken.
    pub trusted_proxies: Vec<Network>,
    /// The origins whose pages may call.
    pub allowed_origins: Vec<String>,
    /// The largest request, in bytes. The service that owns the method may take less.
    pub request_bytes_max: usize,
    /// Connections that are open at once.
    pub connections_max: usize,
    /// Connections that one address, of IPv6 one /64, has open at once; behind a proxy, all of its connections are those of one.
    pub address_connections_max: usize,
    /// Answers, without streams, that one address, of IPv6 one /64, is sent at once of those that are too long to be read ahead, or find too much
    /// unread; one more read is refused, the answer to a change goes out.
    pub address_answers_max: usize,
    /// Calls that run at once, without streams.
    pub calls_max: usize,
    /// Streams that are open at once.
    pub streams_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            request_bytes_max: 4 * 1024 * 1024,
            connections_max: 4096,
            address_connections_max: 512,
            address_answers_max: 64,
            calls_max: 1024,
            streams_max: 4096,
        }
    }
}

impl Config {
    /// The limits of the edge's server: those of any server, `suite`, but for what only the edge sees.
    pub fn limits(&self, suite: &Limits) -> Limits {
        Limits {
            request_bytes_max: self.request_bytes_max,
            connections_max: self.connections_max,
            address_connections_max: self.address_connections_max,
            calls_max: self.calls_max,
            streams_max: self.streams_max,
            ..suite.clone()
        }
    }
}

impl host::ServiceConfig for Config {
    const PORT: u16 = 8080;
    const ADMIN_PORT: u16 = 8081;

    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("trusted_proxies", "the networks of proxies whose x-forwarded-for is believed, such as [\"10.0.0.0/8\"]"),
            ("allowed_origins", "the origins whose pages may call, as browsers write them, such as [\"https://console.example\"]"),
            ("request_bytes_max", "the largest request, 1024..=16777216 bytes; the service that owns the method may take less"),
            ("connections_max", "connections that are open at once, 1..=100000; keep it below the limit of file descriptors"),
            (
                "address_connections_max",
                "connections that one address, of IPv6 one /64, has open at once, 1..=100000; a proxy's are all of one address",
            ),
            (
                "address_answers_max",
                "answers of more than 64 KiB, or beyond answer_unread_bytes_max, that one address, of IPv6 one /64, has not read at once, 1..=100000; one more read is refused; a proxy's are all of one address",
            ),
            ("calls_max", "calls that run at once, without streams, 1..=100000"),
            ("streams_max", "streams that are open at once, 1..=100000"),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        let right = self.allowed_origins.iter().all(|origin| is_origin(origin));
        faults.require("allowed_origins", right, "must be origins: https://host, or with a port, and nothing after it");
        faults.range("request_bytes_max", self.request_bytes_max, 1_024..=16_777_216);
        faults.range("connections_max", self.connections_max, 1..=100_000);
        faults.range("address_connections_max", self.address_connections_max, 1..=100_000);
        faults.range("address_answers_max", self.address_answers_max, 1..=100_000);
        faults.range("calls_max", self.calls_max, 1..=100_000);
        faults.range("streams_max", self.streams_max, 1..=100_000);
    }
}

/// Whether browsers write an origin like that.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#', '@']) && !host.contains(char::is_uppercase))
}

#[cfg(test)]
mod tests {
    use host::ServiceConfig;

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let mut faults = Faults::default();
        Config::default().validate(&mut faults);
        assert!(faults.is_empty());
    }

    #[test]
    fn an_origin_is_what_a_browser_writes_and_nothing_more() {
        assert!(["https://console.example", "http://localhost:5173"].into_iter().all(is_origin));
        assert!(
            !["*", "null", "https://", "https://console.example/", "https://*.example", "HTTPS://x", "https://Console.example"]
                .into_iter()
                .any(is_origin)
        );
    }

    #[test]
    fn the_edge_has_limits_of_its_own_and_shares_the_others() {
        let (config, suite) = (Config { connections_max: 7, ..Config::default() }, Limits { drain_ms: 3, ..Limits::default() });
        let limits = config.limits(&suite);
        assert_eq!((limits.connections_max, limits.drain_ms), (7, 3));
    }
}
