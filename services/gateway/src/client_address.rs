//! Where a call really comes from: the socket's address, or what a proxy that we trust says it heard.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

/// The header in which each proxy adds, on the right, whom it heard.
pub(crate) const FORWARDED_FOR: &str = "x-forwarded-for";
/// The most proxies that are looked behind.
const HOPS_MAX: usize = 32;

/// Addresses with a common beginning: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a network (10.0.0.0/8)")]
pub struct NotANetwork;

/// The proxies whose word is taken. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Arc<[Network]>);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| NotANetwork)?;
        if bits <= most { Ok(Self { address, bits }) } else { Err(NotANetwork) }
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        format!("{}/{}", network.address, network.bits)
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => begin_alike(own.to_bits().into(), other.to_bits().into(), 32, self.bits),
            (IpAddr::V6(own), IpAddr::V6(other)) => begin_alike(own.to_bits(), other.to_bits(), 128, self.bits),
            _ => false,
        }
    }
}

/// Whether two numbers of `width` bits have their first `bits` in common.
fn begin_alike(a: u128, b: u128, width: u8, bits: u8) -> bool {
    (a ^ b).checked_shr(u32::from(width - bits)).unwrap_or(0) == 0
}

impl FromIterator<Network> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client of a call that `peer` brought. Read from the right: each trusted proxy names the next, the first that is not trusted is the
    /// client. What a proxy says that is no address ends the walk at that proxy.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let told = headers.get_all(FORWARDED_FOR).iter().rev().flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        let mut client = peer.to_canonical();
        for text in told.take(HOPS_MAX) {
            let Some(next) = self.trusts(client).then(|| text.trim().parse::<IpAddr>().ok()).flatten() else {
                return client;
            };
            client = next.to_canonical();
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, told: &[&'static str]) -> String {
        let proxies: TrustedProxies = ["10.0.0.0/8", "::1"].into_iter().map(|text| text.parse::<Network>().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in told {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_s_word_counts_for_nothing() {
        assert_eq!(client("192.0.2.7", &["203.0.113.1"]), "192.0.2.7");
        assert_eq!(client("11.0.0.1", &["203.0.113.1"]), "11.0.0.1");
    }

    #[test]
    fn a_trusted_proxy_names_the_client_and_what_the_client_made_up_is_not_read() {
        assert_eq!(client("10.1.2.3", &["6.6.6.6, 203.0.113.1"]), "203.0.113.1");
        assert_eq!(client("10.1.2.3", &["6.6.6.6", "203.0.113.1, 10.9.9.9"]), "203.0.113.1");
        assert_eq!(client("::ffff:10.1.2.3", &["2001:db8::5"]), "2001:db8::5");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        assert_eq!(client("10.1.2.3", &["203.0.113.1, nonsense"]), "10.1.2.3");
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn a_network_is_an_address_with_at_most_all_its_bits() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "example.com"] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains([1, 2, 3, 4].into()));
        assert!("::/0".parse::<Network>().unwrap().contains("2001:db8::1".parse().unwrap()));
    }
}
