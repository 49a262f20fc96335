//! `cargo xtask load`: users who sign up, sign in, look around and chat, more and more of them, on a fresh swarm of this
//! computer. Prints how long each kind of request took and how many failed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::bench::{json_of, machine, number, people, programs};
use crate::say::{self, Waiting};
use crate::stop::Stop;

/// The scripted engine behind it: each node gives eight answers at once.
const SCRIPT: &str = "seed=1,tokens_per_second=50,answer_tokens=40,slots=8";

#[derive(Args)]
pub(crate) struct Options {
    /// Users in the end.
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Users that come in each second.
    #[arg(long, default_value_t = 10.0)]
    spawn_rate: f64,
    /// Seconds from the first user on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Nodes that answer.
    #[arg(long, default_value_t = 8)]
    nodes: usize,
    /// Take the programs from this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let programs = programs(options.programs.as_deref(), options.yes, stop)?;
    let ground = people::Ground::start(&programs, SCRIPT, options.nodes, stop)?;
    let visits = [
        "visits".to_owned(),
        format!("--users={}", options.users),
        format!("--spawn-rate={}", options.spawn_rate),
        format!("--seconds={}", options.seconds),
    ];
    let limit = Duration::from_secs(options.seconds + 300);
    let waiting = Waiting::new(format!("{} users, {} more each second", options.users, options.spawn_rate));
    let report = json_of(ground.crowd(&visits, SCRIPT), limit, stop);
    drop(waiting);
    let used = ground.used();
    let report = ground.site.end(report, stop)?;
    print(options, &report, used.cpu_seconds, used.peak_mb);
    let failed: u64 = kinds(&report).filter_map(|(_, kind)| kind["failed"].as_u64()).sum();
    ensure!(failed == 0, "{failed} requests failed");
    Ok(())
}

fn kinds(report: &Value) -> impl Iterator<Item = (&String, &Value)> {
    report["requests"].as_object().into_iter().flatten()
}

fn print(options: &Options, report: &Value, cpu_seconds: f64, peak_mb: f64) {
    let seconds = number(&report["seconds"]).max(1e-9);
    say::fact(&format!(
        "{} users, {} more each second, {seconds:.0} s; {} scripted nodes at 50 tokens/s, 40 tokens an answer; {}.\n\
         Gateway: {:.0} % of a core, at most {peak_mb:.0} MB. Times in ms.\n",
        options.users,
        options.spawn_rate,
        options.nodes,
        machine(),
        100.0 * cpu_seconds / seconds,
    ));
    say::fact("| request | good | failed | a second | p50 | p95 | p99 | longest |\n|---|---|---|---|---|---|---|---|");
    for (name, kind) in kinds(report) {
        let good = number(&kind["good"]);
        let times = ["p50", "p95", "p99", "max"].map(|key| format!("{:.0}", number(&kind[key])));
        say::fact(&format!("| {name} | {good} | {} | {:.1} | {} |", kind["failed"], good / seconds, times.join(" | ")));
        for why in kind["why"].as_array().into_iter().flatten() {
            say::note(&format!("{name}: {why}"));
        }
    }
}
