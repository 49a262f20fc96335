//! The Starling gateway: people on one side, the swarm on the other. It knows no engine.

pub mod api;
pub mod clock;
pub mod dispatch;
pub mod id;
pub mod secret;
pub mod store;
