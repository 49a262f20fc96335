//! What befalls a swarm that runs: links, routers, relays and gateways that go and come back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::cell::start_others;
use super::network::{Door, Ground, Network};
use super::plan::{BOOTSTRAPS, GATEWAY, NODE, Transport};
use crate::scripted::TOKENS_PER_SECOND;

/// How long a cut link stays so.
const CUT: Duration = Duration::from_secs(20);
/// Whatever is waited for comes within this, or never.
const LIMIT: Duration = Duration::from_secs(60);
/// The second of two gateways.
const GATEWAY_2: &str = "gw2";

/// Something that happens.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What is measured.
    pub(super) about: &'static str,
    /// How long that may take.
    pub(super) limit: Duration,
    transport: Transport,
    run: fn(&mut Network) -> Result<Duration>,
    topology: fn() -> Value,
}

#[rustfmt::skip]
pub(super) const SCENARIOS: [Scenario; 12] = [
    Scenario { name: "link-cut-quic", about: "link cut for 20 s: in service again after it heals", limit: secs(15), transport: Transport::Quic, run: link_cut, topology: public },
    Scenario { name: "link-cut-tcp", about: "link cut for 20 s: in service again after it heals", limit: secs(15), transport: Transport::Tcp, run: link_cut, topology: public },
    Scenario { name: "router-reboot-quic", about: "the node's router forgets all: answers again", limit: secs(15), transport: Transport::Quic, run: router_reboot, topology: public },
    Scenario { name: "router-reboot-tcp", about: "the node's router forgets all: answers again", limit: secs(15), transport: Transport::Tcp, run: router_reboot, topology: public },
    Scenario { name: "node-killed-quic", about: "the node is killed and starts again at once: answers again", limit: secs(5), transport: Transport::Quic, run: node_killed, topology: homes_fair },
    Scenario { name: "node-killed-tcp", about: "the node is killed and starts again at once: answers again", limit: secs(5), transport: Transport::Tcp, run: node_killed, topology: homes_fair },
    Scenario { name: "relay-restart-quic", about: "the only relay is killed and comes back: in sight again", limit: secs(10), transport: Transport::Quic, run: relay_restart, topology: homes_hard },
    Scenario { name: "relay-restart-tcp", about: "the only relay is killed and comes back: in sight again", limit: secs(10), transport: Transport::Tcp, run: relay_restart, topology: homes_hard },
    Scenario { name: "relay-killed", about: "either relay is killed during a relayed answer: longest gap", limit: secs(10), transport: Transport::Both, run: relay_killed, topology: homes_hard },
    Scenario { name: "bootstraps-killed", about: "both are killed during a direct answer: longest gap", limit: secs(1), transport: Transport::Both, run: bootstraps_killed, topology: homes_fair },
    Scenario { name: "first-peer-gone", about: "the node starts again when its bootstrap is dead: in sight", limit: secs(10), transport: Transport::Both, run: first_peer_gone, topology: homes_fair },
    Scenario { name: "gateway-killed", about: "one of two is killed during the other's answer, comes back: in sight again", limit: secs(10), transport: Transport::Both, run: gateway_killed, topology: two_gateways },
];

/// How it went.
pub(super) struct Outcome {
    pub(super) scenario: Scenario,
    pub(super) took: Result<Duration>,
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn public() -> Value {
    json!({"hosts": {GATEWAY: {"nat": "open"}, NODE: {"nat": "symmetric"}}})
}

/// Two that cannot be brought together directly.
fn homes_hard() -> Value {
    homes("symmetric")
}

fn homes_fair() -> Value {
    homes("portrestricted")
}

fn homes(nat: &str) -> Value {
    let open = || json!({"nat": "open"});
    json!({"hosts": {BOOTSTRAPS[0]: open(), BOOTSTRAPS[1]: open(), GATEWAY: {"nat": nat}, NODE: {"nat": nat}}})
}

fn two_gateways() -> Value {
    json!({"hosts": {GATEWAY: {"nat": "open"}, GATEWAY_2: {"nat": "open"}, NODE: {"nat": "portrestricted"}}})
}

impl Scenario {
    pub(super) fn run(self, ground: &Ground, lab: usize) -> Outcome {
        let run = || {
            let mut network = Network::up(ground, self.name, lab, &(self.topology)(), self.transport)?;
            (self.run)(&mut network)
        };
        Outcome { scenario: self, took: run() }
    }
}

impl Outcome {
    pub(super) fn passes(&self) -> bool {
        self.took.as_ref().is_ok_and(|took| *took <= self.scenario.limit)
    }

    /// One line of the table.
    pub(super) fn line(&self) -> String {
        let word = if self.passes() { "yes" } else { "NO" };
        let took = match &self.took {
            Ok(took) => format!("{:.2} s", took.as_secs_f64()),
            Err(error) => format!("{error:#}").lines().next().unwrap_or_default().to_owned(),
        };
        let Scenario { name, about, limit, .. } = self.scenario;
        format!("{name:20} {word:5} {about}: {took} (at most {} s)", limit.as_secs())
    }

    pub(super) fn json(&self) -> Value {
        let error = self.took.as_ref().err().map(|error| format!("{error:#}"));
        let took = self.took.as_ref().ok().map(Duration::as_secs_f64);
        json!({"scenario": self.scenario.name, "passes": self.passes(), "seconds": took, "error": error})
    }
}

fn link_cut(network: &mut Network) -> Result<Duration> {
    let known = start_others(network, false)?;
    let started = network.start_node(NODE, &known)?;
    in_sight(network, GATEWAY, started)?;
    let cut = Instant::now();
    network.natlab.cut(NODE)?;
    out_of_sight(network, GATEWAY, cut)?;
    while cut.elapsed() < CUT {
        network.check()?;
    }
    let healed = Instant::now();
    network.natlab.heal(NODE)?;
    Ok(in_sight(network, GATEWAY, healed)? - healed)
}

fn router_reboot(network: &mut Network) -> Result<Duration> {
    let known = start_others(network, false)?;
    let door = network.open_door(GATEWAY)?;
    let started = network.start_node(NODE, &known)?;
    in_sight(network, GATEWAY, started)?;
    whole_answer(network, &door, 1)?;
    let rebooted = Instant::now();
    network.natlab.forget(NODE)?;
    answers_again(network, &door, rebooted)
}

/// It says no good-bye, so that its gateway has connections with nobody.
fn node_killed(network: &mut Network) -> Result<Duration> {
    let known = start_others(network, true)?;
    let door = network.open_door(GATEWAY)?;
    let started = network.start_node(NODE, &known)?;
    direct(network, started)?;
    whole_answer(network, &door, 1)?;
    network.kill(NODE);
    let again = network.start_node(NODE, &known)?;
    answers_again(network, &door, again)
}

/// How long after `since` an answer of a second was whole. The gateway notices what is lost only when it asks for
/// something; a person would ask again, too.
fn answers_again(network: &mut Network, door: &Door, since: Instant) -> Result<Duration> {
    while whole_answer(network, door, 1).is_err() {
        ensure!(since.elapsed() < LIMIT, "no answer for {} s", LIMIT.as_secs());
        network.check()?;
    }
    Ok(since.elapsed())
}

fn relay_restart(network: &mut Network) -> Result<Duration> {
    let known = network.start_bootstrap(BOOTSTRAPS[0], &[])?;
    network.start_home_gateway(GATEWAY, &known)?;
    let started = network.start_node(NODE, &known)?;
    in_sight(network, GATEWAY, started)?;
    let killed = Instant::now();
    network.kill(BOOTSTRAPS[0]);
    out_of_sight(network, GATEWAY, killed)?;
    network.start_bootstrap(BOOTSTRAPS[0], &[])?;
    let back = Instant::now();
    Ok(in_sight(network, GATEWAY, back)? - back)
}

/// One of the two carries the answer: each is killed once, and came back before the other's turn.
fn relay_killed(network: &mut Network) -> Result<Duration> {
    let known = start_others(network, true)?;
    let door = network.open_door(GATEWAY)?;
    let started = network.start_node(NODE, &known)?;
    in_sight(network, GATEWAY, started)?;
    let first = gap_when(network, &door, |network| network.kill(BOOTSTRAPS[0]))?;
    network.start_bootstrap(BOOTSTRAPS[0], &[])?;
    settle(network)?;
    let second = gap_when(network, &door, |network| network.kill(BOOTSTRAPS[1]))?;
    Ok(first.max(second))
}

fn bootstraps_killed(network: &mut Network) -> Result<Duration> {
    let known = start_others(network, true)?;
    let door = network.open_door(GATEWAY)?;
    let started = network.start_node(NODE, &known)?;
    direct(network, started)?;
    gap_when(network, &door, |network| BOOTSTRAPS.iter().for_each(|name| network.kill(name)))
}

/// The node was told of the first bootstrap alone and has met the second one through it.
fn first_peer_gone(network: &mut Network) -> Result<Duration> {
    let first = network.start_bootstrap(BOOTSTRAPS[0], &[])?;
    network.start_bootstrap(BOOTSTRAPS[1], &first)?;
    network.start_home_gateway(GATEWAY, &first)?;
    let started = network.start_node(NODE, &first)?;
    in_sight(network, GATEWAY, started)?;
    settle(network)?;
    network.end(NODE)?;
    let killed = Instant::now();
    network.kill(BOOTSTRAPS[0]);
    out_of_sight(network, GATEWAY, started.max(killed - LIMIT))?;
    let again = network.start_node(NODE, &first)?;
    Ok(in_sight(network, GATEWAY, again)? - again)
}

fn gateway_killed(network: &mut Network) -> Result<Duration> {
    let mut known = network.start_public_gateway(GATEWAY, &[])?;
    network.share_key(GATEWAY, GATEWAY_2)?;
    known.extend(network.start_public_gateway(GATEWAY_2, &known)?);
    let door = network.open_door(GATEWAY_2)?;
    let started = network.start_node(NODE, &known)?;
    for gateway in [GATEWAY, GATEWAY_2] {
        in_sight(network, gateway, started)?;
    }
    let gap = gap_when(network, &door, |network| network.kill(GATEWAY))?;
    ensure!(gap < Duration::from_secs(1), "the other gateway's answer stood still for {} ms", gap.as_millis());
    let back = Instant::now();
    network.start_public_gateway(GATEWAY, &[])?;
    Ok(in_sight(network, GATEWAY, back)? - back)
}

/// When a gateway said, after that moment, that there is a node.
fn in_sight(network: &mut Network, gateway: &str, since: Instant) -> Result<Instant> {
    nodes(network, gateway, since, "the node to be in sight", |count| count != "0")
}

/// Waits until the gateway has said, after that moment, that it reaches the node directly.
fn direct(network: &mut Network, since: Instant) -> Result<()> {
    network.wait_for(GATEWAY, "a direct path", LIMIT, |part| {
        let mut facts = part.facts().filter(|fact| fact.key == "node" && fact.at >= since);
        facts.find(|fact| fact.value.ends_with(" direct")).map(|_| ())
    })
}

fn out_of_sight(network: &mut Network, gateway: &str, since: Instant) -> Result<Instant> {
    nodes(network, gateway, since, "the node to be out of sight", |count| count == "0")
}

fn nodes(
    network: &mut Network,
    gateway: &str,
    since: Instant,
    what: &str,
    wanted: fn(&str) -> bool,
) -> Result<Instant> {
    network.wait_for(gateway, what, LIMIT, |part| {
        let mut facts = part.facts().filter(|fact| fact.key == "nodes" && fact.at >= since);
        facts.find(|fact| wanted(&fact.value)).map(|fact| fact.at)
    })
}

/// Time for what goes on in the background: reservations, records, the book of addresses.
fn settle(network: &mut Network) -> Result<()> {
    const SETTLE: Duration = Duration::from_secs(12);
    let since = Instant::now();
    while since.elapsed() < SETTLE {
        network.check()?;
    }
    Ok(())
}

fn whole_answer(network: &mut Network, door: &Door, seconds: u32) -> Result<Duration> {
    network.ask(door, "asker-1", 7, seconds * TOKENS_PER_SECOND)?;
    gap_of(network)
}

/// The longest gap in a whole answer, in the midst of which something is done.
fn gap_when(network: &mut Network, door: &Door, act: impl FnOnce(&mut Network)) -> Result<Duration> {
    network.ask(door, "asker-1", 7, 15 * TOKENS_PER_SECOND)?;
    network.wait_for("asker-1", "the first token", LIMIT, |part| part.said("first").map(|_| ()))?;
    let under_way = Instant::now();
    while under_way.elapsed() < Duration::from_secs(2) {
        network.check()?;
    }
    act(network);
    gap_of(network)
}

fn gap_of(network: &mut Network) -> Result<Duration> {
    let asked = Instant::now();
    loop {
        if let Some(answer) = network.answer("asker-1")? {
            let (pieces, error) = (&answer["pieces"], answer["error"].as_str().unwrap_or("the text is wrong"));
            ensure!(answer["exact"] == json!(true), "after {pieces} tokens: {error}");
            return Ok(Duration::from_millis(answer["gap_ms"].as_u64().unwrap_or_default()));
        }
        ensure!(asked.elapsed() < 2 * LIMIT, "the answer did not end");
        network.check()?;
    }
}
