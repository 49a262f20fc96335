//! `cargo xtask bench sockets`: many open chats, answers on some of them, and a rush of sign-ins beside one; and what
//! `cargo xtask load` stands on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::Value;

use super::figures::{machine, number};
use super::json_of;
use super::site::{Site, scripted};
use super::usage::{self, Usage};
use crate::places;
use crate::process;
use crate::say::{self, Waiting};
use crate::stop::Stop;

const LIMIT: Duration = Duration::from_secs(600);
/// For so many people at once who all come from one address.
const GATEWAY: [&str; 10] =
    ["--sign-up", "open", "--titles", "words", "--trial-answers", "0", "--warm-after", "0", "--limit-sign-up", "0"];

#[derive(Args)]
pub(crate) struct Options {
    /// Open sockets.
    #[arg(long, default_value_t = 1_000)]
    sockets: usize,
    /// Of these, sockets with an answer on them at the same time.
    #[arg(long, default_value_t = 200)]
    streams: usize,
    /// Sockets in a run of their own, on which nothing is said; 0 for none.
    #[arg(long, default_value_t = 5_000)]
    idle: usize,
    /// Answers of each stream, one after another.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Sign-ins at once, beside one answer.
    #[arg(long, default_value_t = 500)]
    logins: usize,
    /// Take the programs from this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

/// A swarm and the program that plays people.
pub(crate) struct Ground {
    pub(crate) site: Site,
    programs: PathBuf,
    before: Usage,
}

impl Ground {
    pub(crate) fn start(programs: &Path, script: &str, nodes: usize, stop: &Stop) -> Result<Self> {
        let site = Site::start(programs, &GATEWAY, (0..nodes).map(|_| scripted(script)).collect(), stop)?;
        usage::forget_peak(site.process("gateway"));
        let before = Usage::of(site.process("gateway"));
        Ok(Self { site, programs: programs.to_owned(), before })
    }

    /// The command that plays people of some kind.
    pub(crate) fn crowd(&self, what: &[String], script: &str) -> Command {
        let mut command = process::command(places::program(&self.programs, "people"));
        command.args(what).args(["--gateway", self.site.gateway(), "--scripted", script]);
        command
    }

    /// What the gateway has used since its start; memory is the most of it.
    pub(crate) fn used(&self) -> Usage {
        let now = Usage::of(self.site.process("gateway"));
        Usage { cpu_seconds: now.cpu_seconds - self.before.cpu_seconds, ..now }
    }
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let programs = super::programs(options.programs.as_deref(), options.yes, stop)?;
    say::fact(&format!("{}. Times in ms; memory is the gateway's.\n", machine()));
    say::fact(
        "| sockets | answers at once | answers | dropped, failed or wrong | first token p50 | p99 | a token's delay p50 | \
         p99 | tokens/s | most memory, MB |\n|---|---|---|---|---|---|---|---|---|---|",
    );
    let mut broken = crowd(options, (options.sockets, options.streams), &programs, stop)?;
    if options.idle > 0 {
        broken += crowd(options, (options.idle, 1), &programs, stop)?;
    }
    broken += rush(options, &programs, stop)?;
    ensure!(broken == 0, "{broken} were dropped, failed or wrong");
    Ok(())
}

/// 20 tokens a second, as fast as people read.
fn crowd(options: &Options, (sockets, streams): (usize, usize), programs: &Path, stop: &Stop) -> Result<u64> {
    let script = format!("seed=1,tokens_per_second=20,answer_tokens=100,slots={}", streams.max(2));
    let ground = Ground::start(programs, &script, 1, stop)?;
    let what = [
        "sockets".to_owned(),
        format!("--sockets={sockets}"),
        format!("--streams={streams}"),
        format!("--rounds={}", options.rounds),
    ];
    let waiting = Waiting::new(format!("{sockets} sockets, {streams} answers at once"));
    let report = json_of(ground.crowd(&what, &script), LIMIT, stop);
    drop(waiting);
    let used = ground.used();
    let report = ground.site.end(report, stop)?;
    let broken = sum(&report, &["dropped", "failed", "wrong"]);
    let time = |what: &str, percentile: &str| format!("{:.1}", number(&report[what][percentile]));
    say::fact(&format!(
        "| {sockets} | {streams} | {} | {broken} | {} | {} | {} | {} | {:.0} | {:.0} |",
        report["answers"],
        time("first_token_ms", "p50"),
        time("first_token_ms", "p99"),
        time("delay_ms", "p50"),
        time("delay_ms", "p99"),
        number(&report["tokens_per_second"]),
        used.peak_mb,
    ));
    complain(&report);
    Ok(broken)
}

fn rush(options: &Options, programs: &Path, stop: &Stop) -> Result<u64> {
    let script = "seed=1,tokens_per_second=20,answer_tokens=100,slots=2";
    let ground = Ground::start(programs, script, 1, stop)?;
    let waiting = Waiting::new(format!("{} sign-ins at once", options.logins));
    let report =
        json_of(ground.crowd(&["logins".to_owned(), format!("--logins={}", options.logins)], script), LIMIT, stop);
    drop(waiting);
    let report = ground.site.end(report, stop)?;
    let (alone, beside) = (number(&report["alone_seconds"]), number(&report["beside_seconds"]));
    say::fact(&format!(
        "\n{} sign-ins at once: an answer of {alone:.2} s took {beside:.2} s ({:.2} times), {} of them were not through \
         when it ended; all took {:.1} s, {} were told to wait, {} failed.",
        options.logins,
        beside / alone.max(1e-9),
        report["still_running_after_the_answer"],
        number(&report["all_seconds"]),
        report["refused"],
        report["failed"],
    ));
    complain(&report);
    Ok(sum(&report, &["failed", "wrong"]))
}

fn sum(report: &Value, keys: &[&str]) -> u64 {
    keys.iter().filter_map(|key| report[*key].as_u64()).sum()
}

fn complain(report: &Value) {
    for failure in report["failures"].as_array().into_iter().flatten() {
        say::note(&format!("one of the failures: {failure}"));
    }
}
