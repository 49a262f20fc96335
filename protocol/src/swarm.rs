//! The swarm, seen from one peer.
pub use libp2p::{Multiaddr, PeerId};
