//! Membership over real libp2p on loopback: who is let in, who is not, and what a revocation does.
#![expect(clippy::unwrap_used, reason = "tests")]

mod entry;
mod gate;
mod peer;
mod revocation;
mod time;
