//! The network that an address stands for: itself for IPv4, its /64 for IPv6, of which one subscriber has as many addresses as they like.

use std::net::{IpAddr, Ipv6Addr};

/// The network of `address`, as text. What is no address, or unknown, is one network too: it is throttled together.
pub(super) fn network(address: Option<&str>) -> String {
    match address.and_then(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let prefix = Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 64));
            format!("{prefix}/64")
        }
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_for_its_64() {
        assert_eq!(network(Some("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
        assert_eq!(network(Some("2001:db8:1:2::1")), network(Some("2001:db8:1:2:ffff:ffff:ffff:ffff")));
        assert_ne!(network(Some("2001:db8:1:2::1")), network(Some("2001:db8:1:3::1")));
    }

    #[test]
    fn an_ipv4_address_is_one_however_it_is_written() {
        assert_eq!(network(Some("203.0.113.7")), "203.0.113.7");
        assert_eq!(network(Some("::ffff:203.0.113.7")), "203.0.113.7");
        assert_ne!(network(Some("203.0.113.7")), network(Some("203.0.113.8")));
    }

    #[test]
    fn what_is_unknown_is_one_network() {
        assert_eq!(network(None), network(Some("unix socket")));
    }
}
