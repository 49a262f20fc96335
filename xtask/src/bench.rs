//! `cargo xtask bench path`: what gateway and swarm add to the engine alone.
//!
//! The engine alone and the whole path take turns in one run, several rounds of them, so that a
//! computer that is slower for a minute is slower for both.

mod engine;
mod figures;
mod flood;
mod gateway;
mod memory;
pub(crate) mod people;
mod schedule;
mod site;
mod swarm;
mod topology;
mod turns;
mod usage;

use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::binaries::{self, PROGRAMS, Profile};
use crate::node_js::NodeJs;
use crate::places::{self, Places};
use crate::process::{self, Running};
use crate::say::Waiting;
use crate::stop::Stop;
use crate::system::{self, Consent};
use crate::ui;
use figures::{Round, Row};
pub(crate) use figures::{machine, number};
use site::Site;
use usage::Usage;

/// The load's own figure for a stream that hangs is a minute.
const LOAD_LIMIT: Duration = Duration::from_secs(300);
/// Answers in one run at least, so that there is something to take percentiles of.
const ANSWERS: usize = 32;

#[derive(Subcommand)]
pub(crate) enum What {
    /// Time that gateway and swarm add, on loopback, with the scripted engine.
    Path(Options),
    /// Speed and memory of our engine, beside llama-server on the same file.
    Engine(engine::Options),
    /// One gateway and ten to a thousand real nodes, of which some leave and others join.
    Swarm(swarm::Options),
    /// A gateway under a flood of false peers and half-open connections.
    Flood(flood::Options),
    /// Our gateway beside LiteLLM's proxy and SMG, before the same scripted engine.
    Gateway(gateway::Options),
    /// How well and how fast memories are found, on made-up vectors.
    Memory(memory::Options),
    /// A thousand open chats and 200 answers at once; and a rush of sign-ins beside an answer.
    Sockets(people::Options),
    /// Our choice of nodes beside round robin and least loaded, on made-up chats in simulated time.
    Schedule(schedule::Options),
    /// How smoothly headless Chromium, without a GPU, draws a swarm that lives.
    Topology(topology::Options),
    /// The later questions of long chats with several nodes, beside one engine that holds the chat.
    Turns(turns::Options),
}

#[derive(Args)]
pub(crate) struct Options {
    /// Streams at once.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    streams: Vec<usize>,
    /// How often engine and path take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Speed of the scripted engine, for each stream.
    #[arg(long, default_value_t = 50)]
    tokens_per_second: u32,
    /// Length of each answer.
    #[arg(long, default_value_t = 25)]
    tokens: u32,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(what: &What, stop: &Stop) -> Result<()> {
    match what {
        What::Path(options) => path(options, stop),
        What::Engine(options) => engine::run(options, stop),
        What::Swarm(options) => swarm::run(options, stop),
        What::Flood(options) => flood::run(options, stop),
        What::Gateway(options) => gateway::run(options, stop),
        What::Memory(options) => memory::run(options, stop),
        What::Sockets(options) => people::run(options, stop),
        What::Schedule(options) => schedule::run(options, stop),
        What::Topology(options) => topology::run(options, stop),
        What::Turns(options) => turns::run(options, stop),
    }
}

/// The programs and those that ask them: built, unless a folder has them.
pub(crate) fn programs(given: Option<&Path>, yes: bool, stop: &Stop) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let places = Places::find()?;
    let consent = Consent::from(yes);
    system::provide(&system::TO_BUILD, consent, stop)?;
    ui::build(&places, &NodeJs::provide(&places, consent, stop)?, stop)?;
    let programs = binaries::build(&places, Profile::Release, &PROGRAMS, stop)?;
    // Built apart: what the tests ask of shared crates must not leak into the programs.
    binaries::build(&places, Profile::Release, &["starling-tests"], stop)?;
    Ok(programs)
}

fn path(options: &Options, stop: &Stop) -> Result<()> {
    let programs = programs(None, options.yes, stop)?;
    let mut site = Site::start(&programs, &[], vec![site::scripted(&options.script())], stop)?;
    figures::print_head(options);
    let measured = options.streams.iter().try_for_each(|&streams| {
        site.measure(options, streams, &programs, stop)?.print();
        Ok(())
    });
    site.end(measured, stop)
}

impl Options {
    /// The engine's options: the same alone and behind the path.
    fn script(&self) -> String {
        let slots = self.streams.iter().max().copied().unwrap_or(1);
        let (speed, tokens) = (self.tokens_per_second, self.tokens);
        format!("seed=1,tokens_per_second={speed},answer_tokens={tokens},slots={slots}")
    }
}

impl Site {
    fn measure(&mut self, options: &Options, streams: usize, programs: &Path, stop: &Stop) -> Result<Row> {
        let waves = ANSWERS.div_ceil(streams).max(2);
        let script = options.script();
        let load = |target: &[&str]| {
            let mut command = process::command(places::program(programs, "load"));
            command.args(target).args(["--scripted", &script]);
            command.args(["--streams", &streams.to_string(), "--waves", &waves.to_string()]);
            command
        };
        let mut rounds = Vec::new();
        for round in 1..=options.rounds {
            let _waiting = Waiting::new(format!("{streams} streams, round {round} of {}", options.rounds));
            let engine = json_of(load(&["engine"]), LOAD_LIMIT, stop)?;
            let before = self.usage_since_now();
            let mut path = load(&["path", "--gateway", self.gateway()]);
            path.env("STARLING_API_KEY", &self.key);
            let path = json_of(path, LOAD_LIMIT, stop)?;
            self.swarm.check()?;
            rounds.push(Round { engine, path, usage: self.usage_after(&before) });
        }
        Ok(Row { streams, rounds })
    }

    fn usage_since_now(&self) -> Vec<Usage> {
        let processes = self.swarm.processes();
        processes.iter().for_each(|(_, pid)| usage::forget_peak(*pid));
        processes.iter().map(|(_, pid)| Usage::of(*pid)).collect()
    }

    fn usage_after(&self, before: &[Usage]) -> Vec<(String, Usage)> {
        let processes = self.swarm.processes().into_iter().zip(before);
        let used = |((name, pid), before): ((String, u32), &Usage)| {
            let now = Usage::of(pid);
            (name, Usage { cpu_seconds: now.cpu_seconds - before.cpu_seconds, ..now })
        };
        processes.map(used).collect()
    }
}

/// Runs a load and reads what it found.
pub(crate) fn json_of(mut command: Command, limit: Duration, stop: &Stop) -> Result<Value> {
    let file = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?);
    let mut running = Running::start(command)?;
    let deadline = Instant::now() + limit;
    let status = loop {
        match running.ended()? {
            Some(status) => break status,
            None if Instant::now() >= deadline => bail!("the load did not end within {limit:?}"),
            None => stop.pause()?,
        }
    };
    ensure!(status.success(), "the load failed ({status})");
    let mut file = file;
    file.rewind()?;
    Ok(serde_json::from_reader(file)?)
}
