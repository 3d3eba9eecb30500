//! The devices that a person was seen with, so that a sign-in is told of only when it comes from another one. Pure.
//!
//! A device is an agent on a network. What is kept of it is a keyed digest bound to the person: neither an address nor an agent can be read
//! from the table, and two people with the same device have nothing in common there. The first one is that of the registration: whoever
//! just made an account isn't told that they use it. A registration without an origin (the first admin, whom the configuration makes) leaves
//! none, so that its first sign-in is told.
//!
//! Deliberately absent: names of devices, places on a map, trust: a known device may do nothing more than another.

pub(crate) mod store;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use db::Sealer;
use runtime::UserId;

const LABEL: &str = "notifications.known_device.digest";

/// A device of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Whose.
    pub user_id: UserId,
    /// What is kept of agent and network.
    pub digest: [u8; 32],
}

/// What an event says of a person's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// The account was made: the device is known from now on, and nobody is told.
    Registered(UserId),
    /// A session was opened: somebody is told unless the device is known.
    SignedIn(UserId),
    /// The password is another one by a mailed link: whatever an intruder's device was, it is known no more.
    PasswordReset(UserId),
    /// The password is another one by who knew it: the device that they changed it from is known, and no other one any more.
    PasswordChanged(UserId),
}

impl Device {
    /// The device of a call from `client_address` by `user_agent`; `None` when neither is known, which is never a known device.
    pub(crate) fn of(sealer: &Sealer, user_id: UserId, client_address: &str, user_agent: &str) -> Option<Self> {
        if client_address.is_empty() && user_agent.is_empty() {
            return None;
        }
        let seen = format!("{user_id}\n{}\n{}", network(client_address), agent(user_agent));
        Some(Device { user_id, digest: sealer.blind_index(LABEL, &seen) })
    }
}

/// The network of an address: 24 bits of IPv4, 48 of IPv6, which is a site. A new lease of the same provider is no new device.
fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).to_string(),
        Ok(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).to_string(),
        Err(_) => address.to_owned(),
    }
}

/// An agent without its versions: an update is no new device.
fn agent(user_agent: &str) -> String {
    user_agent.chars().filter(|c| !c.is_ascii_digit() && !matches!(c, '.' | '_')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0";

    fn device(user: u128, address: &str, agent: &str) -> Option<Device> {
        Device::of(&Sealer::from_key(&[7; 32]), uuid::Uuid::from_u128(user).into(), address, agent)
    }

    #[test]
    fn an_update_and_another_address_of_the_same_network_are_the_same_device() {
        let known = device(1, "203.0.113.7", BROWSER);
        assert!(known.is_some());
        assert_eq!(device(1, "::ffff:203.0.113.200", &BROWSER.replace("141", "142")), known);
        assert_eq!(device(1, "2001:db8:1:2::3", BROWSER), device(1, "2001:db8:1:ffff:1::", BROWSER));
    }

    #[test]
    fn another_person_network_or_agent_is_another_device() {
        let known = device(1, "203.0.113.7", BROWSER);
        let others = [
            device(2, "203.0.113.7", BROWSER),
            device(1, "203.0.114.7", BROWSER),
            device(1, "2001:db8:1::", BROWSER),
            device(1, "203.0.113.7", "curl/8.1"),
            device(1, "203.0.113.7", ""),
            device(1, "", BROWSER),
        ];
        for other in others {
            assert!(other.is_some() && other != known);
        }
        assert_eq!(device(1, "", ""), None);
    }
}
