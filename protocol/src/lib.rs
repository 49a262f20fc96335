//! What two peers of a Starling swarm must agree on.
//!
//! Ids, messages and frames are plain data; `swarm` is the one place that knows libp2p.
//! This crate knows nothing of engines, users or HTTP.
#![warn(missing_docs)]

pub mod disk;
pub mod frame;
pub mod id;
pub mod identity;
pub mod join;
pub mod limits;
pub mod members;
pub mod membership;
pub mod message;
pub mod owner_only;
pub mod program;
pub mod release;
pub mod swarm;

pub use id::{JobId, ModelId};
pub use identity::Identity;
