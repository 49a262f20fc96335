//! One cell: its programs are started, the node is waited for, an answer is asked for at once, and the
//! path is looked at while that comes.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::network::{Ground, Network};
use super::plan::{BOOTSTRAPS, Cell, GATEWAY, NODE};
use crate::scripted::TOKENS_PER_SECOND;
use crate::swarm::part::Fact;

/// After this a node that is not in sight never will be.
const SIGHT_LIMIT: Duration = Duration::from_secs(30);
/// How long a direct path is waited for where one is expected; where not, while the answer comes.
const DIRECT_LIMIT: Duration = Duration::from_secs(20);
/// Longer than an upgrade should take, so that an answer which begins relayed is under way when the
/// path changes.
const ANSWER: Duration = Duration::from_secs(5);
/// Where a direct path is there from the start, a shorter one tells as much.
const SHORT_ANSWER: Duration = Duration::from_secs(1);
/// How long an answer may take beyond its own time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a cell has shown. Times count from the node's start.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// The gateway had the node in sight.
    pub(super) usable: Option<Duration>,
    /// The path was direct.
    pub(super) direct: Option<Duration>,
    /// The answer, see [`super::client`].
    pub(super) answer: Value,
    /// What kept the cell from being measured to its end.
    pub(super) error: Option<String>,
}

impl Measured {
    pub(super) fn works(&self) -> bool {
        self.error.is_none() && self.usable.is_some() && self.answer["exact"] == json!(true)
    }

    pub(super) fn first_token(&self) -> Option<Duration> {
        self.answer["first_ms"].as_u64().map(Duration::from_millis)
    }

    /// How long the relayed path was all there was, where a direct one came later.
    pub(super) fn upgrade(&self) -> Option<Duration> {
        self.direct?.checked_sub(self.usable?).filter(|after| !after.is_zero())
    }

    /// What the table says beside the figures.
    pub(super) fn remark(&self) -> String {
        let answer = &self.answer;
        let mut words = Vec::new();
        words.extend(self.error.clone());
        words.extend(answer["error"].as_str().map(str::to_owned));
        words.extend(answer["wrong_at"].as_u64().map(|at| format!("the text is wrong at byte {at}")));
        match answer["gap_ms"].as_u64() {
            // Some ten times the pace of the tokens; a busy computer makes smaller ones.
            Some(gap) if gap >= 200 => words.push(format!("a gap of {gap} ms in the answer")),
            _ => {}
        }
        words.join("; ")
    }
}

/// Where and how a cell is run.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// Which of the labs that run side by side.
    pub(super) lab: usize,
    pub(super) round: usize,
    /// Keep it up at its end, until we are asked to stop.
    pub(super) hold: bool,
}

/// Runs a cell.
pub(super) fn measure(ground: &Ground, cell: &Cell, turn: Turn) -> Result<Measured> {
    let folder = format!("{}-{}", cell.name(), turn.round);
    let mut network = Network::up(ground, &folder, turn.lab, &cell.topology(), cell.transport)?;
    let mut measured = Measured::default();
    if let Err(error) = watch(&mut network, cell, &mut measured) {
        measured.error = Some(first_line(&error));
    }
    // Asked to stop, this is no measurement.
    if ground.stop.asked() {
        ground.stop.pause()?;
    }
    if turn.hold {
        let (name, logs) = (network.natlab.name().to_owned(), network.logs());
        crate::say::note(&format!("{} stays up as lab {name} until Ctrl-C; logs: {}", cell.name(), logs.display()));
        while network.check().is_ok() {}
    }
    Ok(measured)
}

fn watch(network: &mut Network, cell: &Cell, measured: &mut Measured) -> Result<()> {
    let mut known = start_others(network, cell.has_bootstraps())?;
    if cell.has_ipv6() && !cell.has_bootstraps() {
        known.retain(|address| address.starts_with("/ip6/"));
    }
    let door = network.open_door(GATEWAY)?;
    let started = network.start_node(NODE, &known)?;
    let in_sight = |fact: &Fact| fact.key == "node";
    let direct = |fact: &Fact| fact.key == "node" && fact.value.ends_with(" direct");
    let seen = network.wait_for(GATEWAY, "the node to be in sight", SIGHT_LIMIT, |part| {
        part.facts().find(|fact| in_sight(fact)).map(|fact| fact.at)
    })?;
    measured.usable = Some(seen - started);
    let now_direct = network.fact_since(GATEWAY, started, direct)?.is_some();
    let length = if now_direct { SHORT_ANSWER } else { ANSWER };
    network.ask(&door, "asker-1", 7, u32::try_from(length.as_secs())? * TOKENS_PER_SECOND)?;
    let asked = Instant::now();
    loop {
        network.check()?;
        measured.direct = network.fact_since(GATEWAY, started, direct)?.map(|at| at - started);
        if measured.answer.is_null() {
            measured.answer = network.answer("asker-1")?.unwrap_or_default();
        }
        let enough = measured.direct.is_some() || !cell.direct_is_expected() || asked.elapsed() > DIRECT_LIMIT;
        if enough && !measured.answer.is_null() {
            return Ok(());
        }
        anyhow::ensure!(asked.elapsed() < length + PATIENCE, "the answer did not end");
    }
}

/// Everybody but the node; returns the addresses it is given.
pub(super) fn start_others(network: &mut Network, bootstraps: bool) -> Result<Vec<String>> {
    if !bootstraps {
        return network.start_public_gateway(GATEWAY, &[]);
    }
    let mut known = network.start_bootstrap(BOOTSTRAPS[0], &[])?;
    known.extend(network.start_bootstrap(BOOTSTRAPS[1], &known)?);
    network.start_home_gateway(GATEWAY, &known)?;
    Ok(known)
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}
