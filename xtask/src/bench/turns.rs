//! `cargo xtask bench turns`: the second and later questions of long chats, with several nodes, beside the best node
//! that there could be: one engine that holds all of the chat.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::Value;

use super::figures::{Spread, machine, number};
use super::json_of;
use super::site::{Site, scripted};
use crate::places;
use crate::process;
use crate::say::{self, Waiting};
use crate::stop::Stop;

const LIMIT: Duration = Duration::from_secs(300);

#[derive(Args)]
pub(crate) struct Options {
    /// Nodes to choose from.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Chats at once.
    #[arg(long, default_value_t = 3)]
    chats: usize,
    /// Questions in a chat.
    #[arg(long, default_value_t = 4)]
    turns: usize,
    /// Words in its first question.
    #[arg(long, default_value_t = 1_000)]
    words: usize,
    /// How often engine and swarm take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Tokens that the scripted engine reads in a second.
    #[arg(long, default_value_t = 1_000)]
    prefill_tokens_per_second: u32,
    /// Take the programs from this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let programs = super::programs(options.programs.as_deref(), options.yes, stop)?;
    say::fact(&format!(
        "Scripted engines that read {} tokens/s; {} nodes, {} chats at once, {} words in a first question; {} rounds, the \
         engine alone and the swarm in turns; {}. Times to the first token in ms: median over the rounds of the median \
         (least to most).\n",
        options.prefill_tokens_per_second,
        options.nodes,
        options.chats,
        options.words,
        options.rounds,
        machine()
    ));
    let rounds =
        (0..options.rounds).map(|round| measure(options, round, &programs, stop)).collect::<Result<Vec<_>>>()?;
    say::fact("| question | one engine that holds the chat | through the swarm | ratio |\n|---|---|---|---|");
    for turn in 0..options.turns {
        let time = |report: &Value| number(&report["first_token_ms"][turn]["p50"]);
        let engine = Spread::of(rounds.iter().map(|(engine, _)| time(engine)).collect());
        let swarm = Spread::of(rounds.iter().map(|(_, swarm)| time(swarm)).collect());
        let ratio = Spread::of(rounds.iter().map(|(engine, swarm)| time(swarm) / time(engine).max(1e-9)).collect());
        say::fact(&format!("| {} | {} | {} | {} |", turn + 1, engine.show(0), swarm.show(0), ratio.show(2)));
    }
    Ok(())
}

/// One engine with one chat; then a fresh swarm, whose nodes have read nothing yet.
fn measure(options: &Options, round: usize, programs: &Path, stop: &Stop) -> Result<(Value, Value)> {
    let _waiting = Waiting::new(format!("round {} of {}", round + 1, options.rounds));
    let script = format!(
        "seed=1,tokens_per_second=100,answer_tokens=20,slots=2,context_tokens=65535,prefill_tokens_per_second={}",
        options.prefill_tokens_per_second
    );
    let load = |target: &[&str], chats: usize| {
        let mut command = process::command(places::program(programs, "load"));
        command.args(target).args(["--scripted", &script, "--streams", &chats.to_string()]);
        command.args(["--turns", &options.turns.to_string(), "--words", &options.words.to_string()]);
        command
    };
    let engine = json_of(load(&["engine"], 1), LIMIT, stop)?;
    let nodes = (0..options.nodes).map(|_| scripted(&script)).collect();
    // A node on trial takes one chat at a time: that is measured elsewhere.
    let site = Site::start(programs, &["--trial-answers", "0", "--warm-after", "0"], nodes, stop)?;
    let mut swarm = load(&["path", "--gateway", site.gateway()], options.chats);
    swarm.env("STARLING_API_KEY", &site.key);
    let swarm = json_of(swarm, LIMIT, stop);
    let swarm = site.end(swarm, stop)?;
    for report in [&engine, &swarm] {
        ensure!(report["failed"] == 0, "a chat failed: {}", report["failures"][0]);
    }
    Ok((engine, swarm))
}
