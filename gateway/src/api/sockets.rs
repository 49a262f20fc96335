//! How many chat sockets there are: of each person, and of those who have not said yet who they are.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::error::ApiError;
use crate::{id::UserId, limiter::network};

/// Windows and devices of one person.
const MAX_SOCKETS_PER_USER: usize = 16;
/// Sockets from one network without a token yet. A page sends it within a round trip; an office may share an address.
const MAX_STRANGERS_PER_NETWORK: usize = 64;
/// All of them: each may cost a frame of memory until its ten seconds are over.
const MAX_STRANGERS: usize = 512;

/// Counts them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    users: Counts<UserId>,
    strangers: Counts<IpAddr>,
}

/// How many there are by key. The lock is held for a look and never while anything is awaited.
#[derive(Debug)]
pub(super) struct Counts<K>(Arc<Mutex<(usize, HashMap<K, usize>)>>);

/// One socket's place; dropping it makes room.
#[derive(Debug)]
pub struct Place<K: Hash + Eq + Copy> {
    counts: Counts<K>,
    key: K,
}

impl Sockets {
    /// Room for one more of a person's.
    ///
    /// # Errors
    /// When the user has as many as may be.
    pub fn enter(&self, user: UserId) -> Result<Place<UserId>, ApiError> {
        self.users.enter(user, MAX_SOCKETS_PER_USER, usize::MAX).ok_or(ApiError::TooManySockets)
    }

    /// Room for somebody who has not said yet who it is.
    ///
    /// # Errors
    /// When there are as many from that network, or in all, as may be.
    pub fn knock(&self, from: IpAddr) -> Result<Place<IpAddr>, ApiError> {
        let place = self.strangers.enter(network(from), MAX_STRANGERS_PER_NETWORK, MAX_STRANGERS);
        place.ok_or(ApiError::TooManySockets)
    }
}

impl<K: Hash + Eq + Copy> Counts<K> {
    pub(super) fn enter(&self, key: K, most: usize, most_in_all: usize) -> Option<Place<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, of_key) = (counts.0, counts.1.get(&key).copied().unwrap_or_default());
        if of_key >= most || all >= most_in_all {
            return None;
        }
        counts.0 += 1;
        counts.1.insert(key, of_key + 1);
        Some(Place { counts: self.clone(), key })
    }
}

impl<K> Clone for Counts<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((0, HashMap::new()))))
    }
}

impl<K: Hash + Eq + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0 -= 1;
        let Some(of_key) = counts.1.get_mut(&self.key) else { return };
        *of_key -= 1;
        if *of_key == 0 {
            counts.1.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_by_user() {
        let (sockets, a, b) = (Sockets::default(), UserId::generate(), UserId::generate());
        let mut places: Vec<_> = (0..16).map(|_| sockets.enter(a).unwrap()).collect();
        assert!(sockets.enter(a).is_err());
        assert!(sockets.enter(b).is_ok());
        places.pop();
        assert!(sockets.enter(a).is_ok());
        places.clear();
        assert!(sockets.users.0.lock().unwrap().1.is_empty());
    }

    #[test]
    fn strangers_are_counted_by_network_and_in_all() {
        let sockets = Sockets::default();
        let knock = |text: String| sockets.knock(text.parse().unwrap());
        let mut places: Vec<_> = (0..64).map(|host| knock(format!("2001:db8::{host:x}")).unwrap()).collect();
        assert!(knock("2001:db8::ffff".to_owned()).is_err(), "one network");
        places.extend((0..448).map(|host| knock(format!("10.0.{}.{}", host / 256, host % 256)).unwrap()));
        assert!(knock("192.0.2.1".to_owned()).is_err(), "in all");
        places.pop();
        assert!(knock("192.0.2.1".to_owned()).is_ok());
        places.clear();
        assert_eq!(sockets.strangers.0.lock().unwrap().0, 0);
    }
}
