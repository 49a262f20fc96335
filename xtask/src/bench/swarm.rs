//! `cargo xtask bench swarm`: one gateway and more and more real nodes.
//!
//! Each size has a bootstrap and a gateway of its own, as programs; the nodes run some hundred to a process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::site::Site;
use super::{figures, json_of};
use crate::binaries::{self, PROGRAMS, Profile};
use crate::node_js::NodeJs;
use crate::places::{self, Places};
use crate::process;
use crate::say::{self, Waiting};
use crate::stop::Stop;
use crate::system::{self, Consent};
use crate::ui;

/// What a run may take beyond what it is asked to: starting, settling, ending.
const EXTRA: Duration = Duration::from_secs(600);
/// Every node's engine: short answers, so that many end in a run.
const SCRIPT: &str = "seed=1,tokens_per_second=20,answer_tokens=20,slots=4";

/// How the programs are built.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Build {
    /// Quick to build; for trying the benchmark itself.
    Dev,
    Release,
}

#[derive(Args)]
pub(crate) struct Options {
    /// Nodes, one run for each number.
    #[arg(long, value_delimiter = ',', default_value = "10,100,500,1000")]
    peers: Vec<usize>,
    /// How long nodes leave and join, for each number.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Percent of the nodes that leave in a minute; as many join.
    #[arg(long, default_value_t = 10.0)]
    churn: f64,
    /// Nodes started in a second.
    #[arg(long, default_value_t = 50.0)]
    pace: f64,
    /// Answers asked for at once while nodes leave and join.
    #[arg(long, default_value_t = 8)]
    askers: usize,
    /// How the programs are built.
    #[arg(long, value_enum, default_value_t = Build::Release)]
    profile: Build,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let programs = build(options.profile, options.yes, stop)?;
    print_head(options);
    options.peers.iter().try_for_each(|&size| {
        let site = Site::start(&programs, &[], vec![], stop)?;
        let measured = measure(&site, options, size, &programs, stop);
        print(&site.end(measured, stop)?);
        Ok(())
    })
}

/// The three programs and what drives them.
pub(super) fn build(profile: Build, yes: bool, stop: &Stop) -> Result<PathBuf> {
    let places = Places::find()?;
    let consent = Consent::from(yes);
    system::provide(&system::TO_BUILD, consent, stop)?;
    ui::build(&places, &NodeJs::provide(&places, consent, stop)?, stop)?;
    let profile = match profile {
        Build::Dev => Profile::Dev,
        Build::Release => Profile::Release,
    };
    let programs = binaries::build(&places, profile, &PROGRAMS, stop)?;
    // Built apart: what the tests ask of shared crates must not leak into the programs.
    binaries::build(&places, profile, &["starling-tests"], stop)?;
    Ok(programs)
}

fn measure(site: &Site, options: &Options, size: usize, programs: &Path, stop: &Stop) -> Result<Value> {
    let _waiting = Waiting::new(format!("{size} nodes"));
    let process = |name: &str| site.process(name).to_string();
    let mut command = process::command(places::program(programs, "swarm"));
    command.args(["measure", "--gateway", site.gateway(), "--scripted", SCRIPT]);
    command.args(["--gateway-process", &process("gateway"), "--bootstrap-process", &process("bootstrap")]);
    command.args(site.swarm.bootstrap()).arg("--swarm-key").arg(site.swarm.key());
    command.args(["--size", &size.to_string(), "--pace", &options.pace.to_string()]);
    command.args(["--minutes", &options.minutes.to_string(), "--churn", &(options.churn / 100.0).to_string()]);
    command.args(["--askers", &options.askers.to_string()]);
    command.env("STARLING_API_KEY", &site.key).env("STARLING_ACCESS_TOKEN", site.session.access());
    json_of(command, EXTRA + Duration::from_secs_f64(options.minutes * 60.0), stop)
}

fn print_head(options: &Options) {
    let Options { minutes, churn, pace, askers, .. } = options;
    say::fact(&format!(
        "Real nodes with the scripted engine, {pace} started in a second, all on one computer with gateway and \
         bootstrap; then {minutes} minutes in which {churn} % leave and join each minute, every second one of \
         those that leave without a word, and {askers} answers are asked for at a time. {}.",
        figures::machine()
    ));
    say::fact(
        "CPU in percent of one core. In sight: live nodes that the gateway shows, at a sample each second, 5 s \
         after they came; ghosts: nodes that it shows 5 s after they went.\n",
    );
    say::fact(
        "| nodes | found | found after, s: p50 | p95 | max | all, s | gateway at rest: MB | kB a node | CPU % | \
         status, B/s a node | bootstrap: MB | CPU % | nodes left and joined | in sight: mean % | least % | \
         ghosts, most | gateway: MB | CPU % | answers whole | after a retry | failed | wrong | MB a node itself |",
    );
    say::fact(&format!("|{}", "---|".repeat(23)));
}

fn print(report: &Value) {
    let size = number(&report["size"]);
    let (found, rest, churn) = (&report["discovery"], &report["rest"], &report["churn"]);
    let grown = number(&rest["gateway"]["mb"]) - number(&report["empty"]["gateway"]["mb"]);
    let (seen, answers) = (&churn["seen"], &churn["answers"]);
    let cells = [
        show(&report["size"], 0),
        show(&found["found"], 0),
        show(&found["p50"], 2),
        show(&found["p95"], 2),
        show(&found["max"], 2),
        show(&found["all"], 1),
        show(&rest["gateway"]["mb"], 0),
        format!("{:.0}", grown * 1024.0 / size),
        show(&rest["gateway"]["cpu_percent"], 1),
        format!("{:.0}", number(&rest["status_bytes_per_second"]) / size),
        show(&rest["bootstrap"]["mb"], 0),
        show(&rest["bootstrap"]["cpu_percent"], 1),
        show(&seen["changed"], 0),
        format!("{:.2}", number(&seen["seen_mean"]) * 100.0),
        format!("{:.2}", number(&seen["seen_least"]) * 100.0),
        show(&seen["ghosts_most"], 0),
        show(&churn["gateway"]["mb"], 0),
        show(&churn["gateway"]["cpu_percent"], 1),
        show(&answers["whole"], 0),
        show(&answers["retried"], 0),
        show(&answers["failed"], 0),
        show(&answers["wrong"], 0),
        format!("{:.1}", number(&rest["nodes"]["mb"]) / size),
    ];
    say::fact(&format!("| {} |", cells.join(" | ")));
    for peer in found["missing"].as_array().into_iter().flatten() {
        say::note(&format!("never in sight: {peer}"));
    }
    for error in answers["errors"].as_array().into_iter().flatten() {
        say::note(&format!("one of the errors: {error}"));
    }
}

pub(super) fn show(value: &Value, digits: usize) -> String {
    value.as_f64().map_or("–".to_owned(), |number| format!("{number:.digits$}"))
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
