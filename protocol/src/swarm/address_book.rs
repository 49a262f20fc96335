//! Peers worth meeting again, kept over restarts: a swarm finds itself again without its first bootstrap.
//!
//! Those that others begin with are kept, with addresses that have worked. The file is a help: one that
//! is damaged is an empty one, and one that cannot be written is said once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use minicbor::{Decode, Encode};
use tracing::warn;

/// Peers kept; the one met longest ago goes first.
const MAX_PEERS: usize = 64;
/// Addresses kept of each, the newest.
const MAX_ADDRESSES: usize = 8;
/// Between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(30);
/// Larger than any such file: 64 peers with 8 long addresses each.
const MAX_FILE: u64 = 256 << 10;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Entry {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    peer: Vec<u8>,
    #[n(1)]
    addresses: Vec<minicbor::bytes::ByteVec>,
}

/// The peers, the one met last at the end.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    path: Option<PathBuf>,
    peers: Vec<(PeerId, Vec<Multiaddr>)>,
    changed: bool,
    written: Option<Instant>,
    warned: bool,
}

impl AddressBook {
    /// Reads the book, or begins an empty one.
    pub(super) fn open(path: Option<PathBuf>) -> Self {
        let peers = path.as_deref().map(read).unwrap_or_default();
        Self { path, peers, ..Self::default() }
    }

    pub(super) fn peers(&self) -> &[(PeerId, Vec<Multiaddr>)] {
        &self.peers
    }

    /// A peer that others can begin with was reached there.
    pub(super) fn met(&mut self, peer: PeerId, address: &Multiaddr) {
        let known = self.peers.iter().position(|(known, _)| *known == peer);
        let mut addresses = known.map(|at| self.peers.remove(at).1).unwrap_or_default();
        let moved = known != Some(self.peers.len());
        if addresses.last() != Some(address) {
            addresses.retain(|known| known != address);
            addresses.push(address.clone());
            addresses.drain(..addresses.len().saturating_sub(MAX_ADDRESSES));
            self.changed = true;
        }
        self.peers.push((peer, addresses));
        self.peers.drain(..self.peers.len().saturating_sub(MAX_PEERS));
        self.changed |= moved;
    }

    /// Writes what has changed, from time to time.
    pub(super) fn on_tick(&mut self, now: Instant) {
        if self.written.is_none_or(|written| now >= written + WRITE_INTERVAL) {
            self.save();
            self.written = Some(now);
        }
    }

    /// Writes what has changed.
    pub(super) fn save(&mut self) {
        let Some(path) = self.path.as_deref().filter(|_| self.changed) else { return };
        self.changed = false;
        if let Err(error) = write(path, &self.peers)
            && !std::mem::replace(&mut self.warned, true)
        {
            warn!(path = %path.display(), %error, "the peers met cannot be kept");
        }
    }
}

fn read(path: &Path) -> Vec<(PeerId, Vec<Multiaddr>)> {
    let bytes =
        match fs::metadata(path).and_then(|file| if file.len() > MAX_FILE { Ok(vec![]) } else { fs::read(path) }) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return vec![],
            Err(error) => {
                warn!(path = %path.display(), %error, "the peers met before cannot be read");
                return vec![];
            }
        };
    parse(&bytes).unwrap_or_else(|| {
        warn!(path = %path.display(), "the list of peers met before is damaged; beginning a new one");
        vec![]
    })
}

fn parse(bytes: &[u8]) -> Option<Vec<(PeerId, Vec<Multiaddr>)>> {
    let entries: Vec<Entry> = minicbor::decode(bytes).ok()?;
    let one = |entry: Entry| {
        let peer = PeerId::from_bytes(&entry.peer).ok()?;
        let addresses = entry.addresses.into_iter().take(MAX_ADDRESSES);
        Some((peer, addresses.map(|bytes| Multiaddr::try_from(bytes.to_vec()).ok()).collect::<Option<_>>()?))
    };
    entries.into_iter().take(MAX_PEERS).map(one).collect()
}

/// Beside and renamed. It does not wait for the disk, since the swarm's own task writes it; a damaged book is an empty one.
fn write(path: &Path, peers: &[(PeerId, Vec<Multiaddr>)]) -> io::Result<()> {
    let entry = |(peer, addresses): &(PeerId, Vec<Multiaddr>)| Entry {
        peer: peer.to_bytes(),
        addresses: addresses.iter().map(|address| address.to_vec().into()).collect(),
    };
    let entries: Vec<_> = peers.iter().map(entry).collect();
    let bytes = minicbor::to_vec(&entries).map_err(io::Error::other)?;
    let beside = path.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/203.0.113.7/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn peers_met_are_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().join("peers.cbor"));
        let mut book = AddressBook::open(path.clone());
        let [first, second] = [PeerId::random(), PeerId::random()];
        book.met(first, &address(1));
        book.met(second, &address(2));
        book.met(first, &address(3));
        book.save();
        let expected = [(second, vec![address(2)]), (first, vec![address(1), address(3)])];
        assert_eq!(AddressBook::open(path).peers(), expected);
    }

    #[test]
    fn a_book_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().join("peers.cbor"));
        let mut book = AddressBook::open(path.clone());
        let last = PeerId::random();
        (0..MAX_PEERS * 2).for_each(|_| book.met(PeerId::random(), &address(1)));
        (0..MAX_ADDRESSES * 2).for_each(|port| book.met(last, &address(port)));
        book.save();
        let book = AddressBook::open(path);
        assert_eq!(book.peers().len(), MAX_PEERS);
        let (peer, addresses) = book.peers().last().unwrap();
        assert_eq!((*peer, addresses.len()), (last, MAX_ADDRESSES));
        assert_eq!(addresses.last(), Some(&address(MAX_ADDRESSES * 2 - 1)));
    }

    #[test]
    fn a_damaged_book_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers.cbor");
        let mut book = AddressBook::open(Some(path.clone()));
        book.met(PeerId::random(), &address(1));
        book.save();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(AddressBook::open(Some(path.clone())).peers().is_empty(), "{length} bytes");
        }
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        assert!(AddressBook::open(Some(path)).peers().is_empty());
    }

    #[test]
    fn it_is_written_when_something_is_new_and_not_all_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers.cbor");
        let (mut book, now, peer) = (AddressBook::open(Some(path.clone())), Instant::now(), PeerId::random());
        book.on_tick(now);
        assert!(!path.exists());
        book.met(peer, &address(1));
        book.on_tick(now + WRITE_INTERVAL / 2);
        assert!(!path.exists());
        book.on_tick(now + WRITE_INTERVAL);
        assert!(path.exists());
        book.met(peer, &address(1));
        assert!(!book.changed);
    }
}
