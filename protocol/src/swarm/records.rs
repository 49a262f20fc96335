//! What others may write into our part of the address book: a provider, under a key, with its addresses.
//!
//! Anybody may, so the bounds are tight: libp2p's own would keep a million lists of addresses of any length.
//! Values are none of our protocol and are not kept at all.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{PeerId, kad};
use tracing::debug;

use crate::limits::MAX_OFFERS;

/// Keys under which one peer may stand: its role, and each model it may offer.
const MAX_KEYS: usize = MAX_OFFERS + 1;
/// Entries of all peers together: a thousand nodes with a dozen models each. Some 20 MB at the worst.
const MAX_ENTRIES: usize = 16_384;
/// Addresses of one entry.
const MAX_ADDRESSES: usize = 16;
/// All of our keys are hashes.
const KEY_BYTES: usize = 32;

/// Who stands under which keys, and until when.
#[derive(Debug)]
pub(super) struct Records {
    lasts: Duration,
    peers: HashMap<PeerId, Vec<(kad::RecordKey, Instant)>>,
    entries: usize,
}

impl Records {
    /// Of a book whose entries last that long.
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, peers: HashMap::new(), entries: 0 }
    }

    /// Writes an entry into the book if there is room for it.
    pub(super) fn add(
        &mut self,
        mut record: kad::ProviderRecord,
        book: &mut impl kad::store::RecordStore,
        now: Instant,
    ) {
        if !self.has_room(record.provider, &record.key, now) {
            debug!(provider = %record.provider, "an entry for the address book was refused");
            return;
        }
        record.addresses.truncate(MAX_ADDRESSES);
        if let Err(error) = book.add_provider(record) {
            debug!(%error, "an entry for the address book was not kept");
        }
    }

    fn has_room(&mut self, peer: PeerId, key: &kad::RecordKey, now: Instant) -> bool {
        if self.entries >= MAX_ENTRIES {
            self.forget_old(now);
        }
        let until = now + self.lasts;
        let keys = self.peers.entry(peer).or_default();
        if let Some((_, lasts)) = keys.iter_mut().find(|(known, _)| known == key) {
            *lasts = until;
            return true;
        }
        let before = keys.len();
        keys.retain(|(_, until)| *until > now);
        self.entries -= before - keys.len();
        let room = self.entries < MAX_ENTRIES && keys.len() < MAX_KEYS && key.as_ref().len() == KEY_BYTES;
        if room {
            keys.push((key.clone(), until));
            self.entries += 1;
        } else if keys.is_empty() {
            self.peers.remove(&peer);
        }
        room
    }

    fn forget_old(&mut self, now: Instant) {
        for keys in self.peers.values_mut() {
            keys.retain(|(_, until)| *until > now);
        }
        self.peers.retain(|_, keys| !keys.is_empty());
        self.entries = self.peers.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use libp2p::kad::store::{MemoryStore, RecordStore};

    use super::*;

    const LASTS: Duration = Duration::from_secs(60);

    fn key(number: usize) -> kad::RecordKey {
        let mut bytes = [0; KEY_BYTES];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        kad::RecordKey::new(&bytes)
    }

    #[test]
    fn one_peer_stands_under_a_few_keys_and_makes_room_as_they_grow_old() {
        let (mut records, peer, now) = (Records::new(LASTS), PeerId::random(), Instant::now());
        for number in 0..MAX_KEYS {
            assert!(records.has_room(peer, &key(number), now));
        }
        assert!(!records.has_room(peer, &key(MAX_KEYS), now));
        assert!(records.has_room(peer, &key(0), now), "said again");
        assert!(records.has_room(PeerId::random(), &key(0), now), "others have room of their own");
        assert_eq!(records.entries, MAX_KEYS + 1);
        assert!(records.has_room(peer, &key(MAX_KEYS), now + LASTS));
        assert_eq!(records.entries, 2);
    }

    #[test]
    fn all_peers_together_fill_the_book_for_a_while_only() {
        let (mut records, now) = (Records::new(LASTS), Instant::now());
        for number in 0..MAX_ENTRIES {
            assert!(records.has_room(PeerId::random(), &key(number), now));
        }
        assert!(!records.has_room(PeerId::random(), &key(0), now));
        assert_eq!(records.peers.len(), MAX_ENTRIES, "who is refused leaves nothing");
        assert!(records.has_room(PeerId::random(), &key(0), now + LASTS));
        assert_eq!((records.peers.len(), records.entries), (1, 1));
    }

    #[test]
    fn an_entry_is_cut_to_size_and_a_strange_key_is_refused() {
        let (mut records, me, now) = (Records::new(LASTS), PeerId::random(), Instant::now());
        let mut book = MemoryStore::new(me);
        let addresses = (1..100).map(|port| format!("/ip4/203.0.113.1/tcp/{port}").parse().unwrap()).collect();
        let record = |key| kad::ProviderRecord { key, provider: PeerId::random(), expires: None, addresses };
        let long = record(key(1));
        let strange = kad::ProviderRecord { key: kad::RecordKey::new(b"/strange"), ..long.clone() };
        records.add(long, &mut book, now);
        assert_eq!(book.providers(&key(1))[0].addresses.len(), MAX_ADDRESSES);
        records.add(strange, &mut book, now);
        assert!(book.providers(&kad::RecordKey::new(b"/strange")).is_empty());
    }
}
