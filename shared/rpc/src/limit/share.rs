//! How many things each one has, so that no one of them can take all places: streams of a caller, connections and unread answers of an address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// What each one has that has any.
#[derive(Clone, Debug)]
pub struct Shares<K> {
    open: Arc<Mutex<HashMap<K, usize>>>,
    max: usize,
}

/// One thing of `owner`, until it is dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    shares: Shares<K>,
    owner: K,
}

/// Whose `address` it is: itself for IPv4; for IPv6 its /64, of which one subscriber has as many addresses as they like.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// At most `max` for each.
    pub fn new(max: usize) -> Self {
        Self { open: Arc::default(), max }
    }

    /// One more for `owner`; none when that were too many.
    pub fn take(&self, owner: &K) -> Option<Share<K>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = open.entry(owner.clone()).or_insert(0);
        if *held >= self.max {
            return None;
        }
        *held += 1;
        Some(Share { shares: self.clone(), owner: owner.clone() })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut open = self.shares.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = open.get_mut(&self.owner) {
            *held -= 1;
            if *held == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;

    #[test]
    fn a_subscriber_is_an_address_of_ipv4_and_64_bits_of_one_of_ipv6() {
        let of = |text: &str| subscriber(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.2"), of("192.0.2.1"));
    }

    #[test]
    fn who_has_no_stream_is_not_remembered() {
        let (shares, caller) = (Shares::new(2), Subject::Service("tasks".into()));
        let (first, second) = (shares.take(&caller), shares.take(&caller));
        assert!(first.is_some() && second.is_some() && shares.take(&caller).is_none());
        drop(first);
        assert!(shares.take(&caller).is_some());
        drop(second);
        assert!(shares.open.lock().unwrap().is_empty());
    }
}
