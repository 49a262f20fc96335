//! The gateway's HTTP side.

pub mod wire;
