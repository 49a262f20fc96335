//! End to end: real peers, real sockets, the scripted engine.
#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod at_rest;
mod branches;
mod embeddings;
mod failover;
mod figures;
mod flood;
mod gateways;
mod mariadb;
mod membership;
mod memory;
mod ondemand;
mod openai;
mod parts;
#[cfg(unix)]
mod polite;
mod readers;
mod restart;
mod resume;
mod several;
mod strangers;
mod takeover;
mod topology;
mod warm;
