//! The Starling gateway: people on one side, the swarm on the other. It knows no engine.

pub mod api;
pub mod app;
pub mod choice;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod doors;
mod drained;
mod http;
pub mod id;
pub mod life;
pub mod limiter;
pub mod master;
pub mod membership;
pub mod metrics;
pub mod password;
pub mod prefix;
pub mod scheduler;
pub mod secret;
pub mod setup;
pub mod store;
pub mod style;
mod title;
pub mod tls;
pub mod turn;
