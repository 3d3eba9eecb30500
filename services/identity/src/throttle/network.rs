//! The network that an address stands for: itself for IPv4, its /64 for IPv6, of which one subscriber has as many addresses as they like. And its
//! site, the /48 of IPv6, of which one subscriber may have all networks. Source: RFC 6177; RIPE-690, 4.2 (a /48 for a business, a /56 at home).

use std::net::{IpAddr, Ipv6Addr};

/// The network of `address`, as text. What is no address, or unknown, is one network too: it is throttled together.
pub(super) fn network(address: Option<&str>) -> String {
    match address.and_then(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => prefix(address, 64),
        None => "unknown".to_owned(),
    }
}

/// The site of `address`, as text; `None` where networks are not handed out by the thousand.
pub(super) fn site(address: Option<&str>) -> Option<String> {
    match address?.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(prefix(address, 48)),
    }
}

fn prefix(address: Ipv6Addr, bits: u32) -> String {
    let prefix = Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> bits));
    format!("{prefix}/{bits}")
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
    fn the_networks_of_a_48_are_one_site_and_an_ipv4_address_has_none() {
        assert_eq!(site(Some("2001:db8:1:2:3:4:5:6")).as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(site(Some("2001:db8:1:2::1")), site(Some("2001:db8:1:ffff::1")));
        assert_ne!(site(Some("2001:db8:1:2::1")), site(Some("2001:db8:2:2::1")));
        assert_eq!(
            [site(Some("203.0.113.7")), site(Some("::ffff:203.0.113.7")), site(Some("unix socket")), site(None)],
            [None, None, None, None]
        );
    }

    #[test]
    fn what_is_unknown_is_one_network() {
        assert_eq!(network(None), network(Some("unix socket")));
    }
}
