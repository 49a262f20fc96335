//! The swarm, seen from one peer.
