//! Who belongs to a swarm, as plain data: keys, certificates, invites, revocations.
//!
//! A swarm is an Ed25519 key. Whoever holds its secret half (the gateway that founded the swarm, and those
//! it was copied to) signs a [`Certificate`] over a peer's id, a role and two points in time; every other
//! member believes that signature and nothing else. An [`Invite`] is a string that buys one. A
//! [`Revocation`] takes back what was signed before it; revocations only ever add up, so that peers merge
//! what they hear in any order.
//!
//! Nothing here knows a network: of libp2p only its names for keys and addresses are used.

mod certificate;
mod invite;
mod key;
mod revocation;
mod wire;

pub use certificate::{Certificate, Claims, MemberRole, NotMember};
pub use invite::{Invite, InviteError, Secret};
pub use key::{KeyError, SwarmId, SwarmKey};
pub use revocation::{Revocation, Revocations};
pub use wire::{Hello, JoinRefusal, JoinReply, JoinRequest, MemberFrame};

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use libp2p::Multiaddr;
use minicbor::{Decode, Encode};

use crate::disk::replace;

/// Seconds since 1970.
pub type Seconds = u64;

/// How long a certificate is good for. It is renewed when half of that is over.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far two clocks may be apart before it is a mistake that a person must mend.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// What the time is. A value of its own, so that a test can set it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(pub fn() -> SystemTime);

impl Default for Clock {
    fn default() -> Self {
        Self(SystemTime::now)
    }
}

impl Clock {
    /// Seconds since 1970; 0 for a clock that stands before that.
    #[must_use]
    pub fn now(&self) -> Seconds {
        (self.0)().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// What a member keeps between two runs: its certificate, and where it met its swarm.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Membership {
    /// Signed by the swarm.
    #[n(0)]
    pub certificate: Certificate,
    /// First addresses, each ending in `/p2p/ID`.
    #[n(1)]
    #[cbor(with = "wire::addresses")]
    pub addresses: Vec<Multiaddr>,
}

impl Membership {
    /// Reads it; `None` when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else (`InvalidData`).
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => minicbor::decode(&bytes)
                .map(Some)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts it into its file.
    ///
    /// # Errors
    /// Whatever the file system says.
    ///
    /// # Panics
    /// Never: encoding into memory cannot fail.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        replace(path, &minicbor::to_vec(self).expect("encoding into a Vec cannot fail"))
    }
}

#[cfg(test)]
mod tests;
