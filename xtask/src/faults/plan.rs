//! Which faults there are, how often each is tried, and what it may cost.

use std::time::Duration;

use anyhow::Result;

use super::rig::{Ground, Rig};
use super::{database, gateway, gateways, links, load, machine, nodes};

/// Something that goes wrong, on purpose.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// What is done, and what must come of it.
    pub(super) about: &'static str,
    /// How often it is tried.
    pub(super) times: usize,
    /// How often in the short form; 0 leaves it out.
    pub(super) short: usize,
    /// Within this, of a hundred next tokens ninety-five have to come.
    pub(super) limit: Duration,
    /// Makes the swarm that it befalls; all trials of a row share it.
    pub(super) start: for<'a> fn(&'a Ground, &str) -> Result<Rig<'a>>,
    pub(super) trial: fn(&mut Rig) -> Result<Tried>,
}

/// Why something cannot be tried here.
#[derive(Debug)]
pub(super) struct Skipped(pub(super) String);

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

/// What came of one trial.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// The longest time between two tokens.
    pub(super) gap: Duration,
    /// From the fault to the next token, where one was due.
    pub(super) next: Option<Duration>,
    /// What was not as it should be.
    pub(super) broke: Vec<String>,
    /// What is worth knowing besides.
    pub(super) note: Option<String>,
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[rustfmt::skip]
pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "node-kill", about: "kill -9 of the node at a random token", times: 40, short: 2, limit: ms(2_000), start: nodes::three, trial: nodes::kill },
    Fault { name: "node-hang", about: "SIGSTOP of the node, SIGCONT once another goes on: late tokens are refused", times: 8, short: 1, limit: ms(6_000), start: nodes::three_long, trial: nodes::hang },
    Fault { name: "node-stop", about: "SIGTERM of the node: it hands over within a second and leaves", times: 15, short: 0, limit: ms(1_000), start: nodes::three_long, trial: nodes::stop },
    Fault { name: "engine-kill", about: "kill -9 of the engine's process", times: 15, short: 1, limit: ms(2_000), start: nodes::apart, trial: nodes::kill_engine },
    Fault { name: "engine-hang", about: "SIGSTOP of the engine's process", times: 5, short: 0, limit: ms(6_000), start: nodes::apart, trial: nodes::hang_engine },
    Fault { name: "node-oom", about: "the engine has no memory at a random token", times: 10, short: 0, limit: ms(2_000), start: nodes::one, trial: nodes::out_of_memory },
    Fault { name: "last-node", about: "kill -9 of the only node: the text and a typed error stay, and \"go on\" works", times: 8, short: 1, limit: Duration::MAX, start: nodes::one, trial: nodes::last },
    Fault { name: "bootstrap-restart", about: "kill -9 of the bootstrap, which comes back", times: 5, short: 0, limit: ms(1_000), start: nodes::three, trial: nodes::restart_bootstrap },
    Fault { name: "link-delay-tcp", about: "150 ms each way from some token on", times: 3, short: 0, limit: ms(1_000), start: links::tcp, trial: links::delay },
    Fault { name: "link-delay-quic", about: "150 ms each way from some token on", times: 3, short: 0, limit: ms(1_000), start: links::quic, trial: links::delay },
    Fault { name: "link-stall-tcp", about: "nothing gets through for 3 s", times: 4, short: 0, limit: ms(6_000), start: links::tcp, trial: links::stall },
    Fault { name: "link-stall-quic", about: "nothing gets through for 3 s", times: 4, short: 0, limit: ms(6_000), start: links::quic, trial: links::stall },
    Fault { name: "link-cut-tcp", about: "nothing gets through any more; the abandoned node stops computing within 10 s", times: 4, short: 0, limit: ms(10_000), start: links::long_tcp, trial: links::cut },
    Fault { name: "link-cut-quic", about: "nothing gets through any more; the abandoned node stops computing within 10 s", times: 4, short: 0, limit: ms(10_000), start: links::long_quic, trial: links::cut },
    Fault { name: "link-mute-tcp", about: "half open: nothing that the node says gets through", times: 4, short: 0, limit: ms(10_000), start: links::long_tcp, trial: links::mute },
    Fault { name: "link-mute-quic", about: "half open: nothing that the node says gets through", times: 4, short: 0, limit: ms(10_000), start: links::long_quic, trial: links::mute },
    Fault { name: "link-deaf-tcp", about: "half open: the node hears nothing", times: 4, short: 0, limit: ms(10_000), start: links::long_tcp, trial: links::deaf },
    Fault { name: "link-deaf-quic", about: "half open: the node hears nothing", times: 4, short: 0, limit: ms(10_000), start: links::long_quic, trial: links::deaf },
    Fault { name: "link-byte-tcp", about: "the connection breaks at a random byte", times: 10, short: 1, limit: ms(2_000), start: links::tcp, trial: links::break_at_byte },
    Fault { name: "gateway-kill", about: "kill -9 of the gateway while questions come: ready in 3 s, none lost, each goes on or is marked", times: 20, short: 2, limit: Duration::MAX, start: gateway::two, trial: gateway::kill },
    Fault { name: "gateway-stop", about: "SIGTERM of the gateway: gone within 30 s, and what ran is whole or marked", times: 8, short: 1, limit: Duration::MAX, start: gateway::two, trial: gateway::stop },
    Fault { name: "two-gateways", about: "SIGTERM of one of two gateways on one database: no answer fails", times: 8, short: 1, limit: ms(5_000), start: gateways::two, trial: gateways::stop },
    Fault { name: "two-gateways-kill", about: "kill -9 of one of two gateways on one database: the other takes over", times: 5, short: 0, limit: ms(15_000), start: gateways::two, trial: gateways::kill },
    Fault { name: "redis-gone", about: "kill -9 of the Redis between two gateways", times: 4, short: 0, limit: ms(2_000), start: gateways::two, trial: gateways::redis_gone },
    Fault { name: "redis-hang", about: "SIGSTOP of the Redis: it takes connections and answers nothing", times: 4, short: 1, limit: ms(2_000), start: gateways::two, trial: gateways::redis_hang },
    Fault { name: "database-locked", about: "another process holds the write lock for 5 s", times: 4, short: 0, limit: ms(1_000), start: database::two, trial: database::locked },
    Fault { name: "database-gone", about: "the database is renamed away for 2 s", times: 4, short: 0, limit: ms(1_000), start: database::two, trial: database::gone },
    Fault { name: "disk-full", about: "the gateway's disk, a small tmpfs, is full for 4 s", times: 4, short: 0, limit: ms(1_000), start: machine::small_disk, trial: machine::full_disk },
    Fault { name: "clock-off", about: "a node's clock is 4 minutes behind, or 10 ahead: it serves", times: 4, short: 0, limit: Duration::MAX, start: machine::no_node, trial: machine::clock },
    Fault { name: "clock-behind", about: "a node's clock is 10 minutes behind: it says so, and another serves", times: 4, short: 0, limit: Duration::MAX, start: machine::one, trial: machine::wrong_clock },
    Fault { name: "overload", about: "10 times as many askers as slots", times: 2, short: 0, limit: Duration::MAX, start: load::crowd, trial: load::overload },
    Fault { name: "greed", about: "one user asks 100 times as often as another: at most 1.2 shares", times: 2, short: 0, limit: Duration::MAX, start: load::narrow, trial: load::greed },
    Fault { name: "slow-readers", about: "30 readers who read nothing: bounded memory, and nobody else waits", times: 3, short: 0, limit: Duration::MAX, start: load::fast, trial: load::slow_readers },
    Fault { name: "cancel", about: "the reader leaves: the slot is free within a second", times: 100, short: 5, limit: ms(1_000), start: load::crowd, trial: load::cancel },
];
