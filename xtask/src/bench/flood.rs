//! `cargo xtask bench flood`: a gateway that answers while strangers try to fill it up.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use super::site::{self, Site};
use super::swarm::{self, Build, number, show};
use super::{figures, json_of};
use crate::places;
use crate::process;
use crate::say::{self, Waiting};
use crate::stop::Stop;

/// What a run may take beyond the attack itself.
const EXTRA: Duration = Duration::from_secs(600);
/// The engines of the real nodes.
const SCRIPT: &str = "seed=1,tokens_per_second=20,answer_tokens=20,slots=4";
const NODES: usize = 2;
/// What the gateway may take more, in MB.
const AIM_MB: f64 = 256.0;

#[derive(Args)]
pub(crate) struct Options {
    /// False peers, each with a key of its own.
    #[arg(long, default_value_t = 1_000)]
    peers: usize,
    /// Streams that each opens.
    #[arg(long, default_value_t = 100)]
    streams: usize,
    /// Connections that never say a word.
    #[arg(long, default_value_t = 5_000)]
    sockets: usize,
    /// First packets of QUIC connections that never go on.
    #[arg(long, default_value_t = 3_000)]
    initials: usize,
    /// Peers begun in a second.
    #[arg(long, default_value_t = 100)]
    begun: usize,
    /// How long the attack goes on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Answers asked for at once.
    #[arg(long, default_value_t = 4)]
    askers: usize,
    /// How the programs are built.
    #[arg(long, value_enum, default_value_t = Build::Release)]
    profile: Build,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let programs = swarm::build(options.profile, options.yes, stop)?;
    let nodes = vec![site::scripted(SCRIPT); NODES];
    let site = Site::start(&programs, &["--relay"], nodes, stop)?;
    let measured = measure(&site, options, &programs, stop);
    print(options, &site.end(measured, stop)?);
    Ok(())
}

fn measure(site: &Site, options: &Options, programs: &Path, stop: &Stop) -> Result<Value> {
    let _waiting = Waiting::new("an attack".to_owned());
    let address = |part: &str| site.swarm.gateway_addresses().find(|address| address.contains(part));
    let mut command = process::command(places::program(programs, "swarm"));
    command.args(["flood", "--gateway", site.gateway(), "--scripted", SCRIPT]);
    command.args(["--gateway-process", &site.process("gateway").to_string()]);
    command.args(["--victim", address("/tcp/").context("the gateway listens on no TCP address")?]);
    command.args(["--victim-quic", address("/quic-v1").context("the gateway listens on no QUIC address")?]);
    command.args(site.swarm.bootstrap()).arg("--swarm-key").arg(site.swarm.key());
    let counts = [
        ("--peers", options.peers),
        ("--streams", options.streams),
        ("--sockets", options.sockets),
        ("--initials", options.initials),
        ("--askers", options.askers),
        ("--begun", options.begun),
    ];
    for (flag, count) in counts {
        command.args([flag, &count.to_string()]);
    }
    command.args(["--seconds", &options.seconds.to_string()]);
    command.env("STARLING_API_KEY", &site.key).env("STARLING_ACCESS_TOKEN", site.session.access());
    json_of(command, EXTRA + Duration::from_secs(options.seconds), stop)
}

fn print(options: &Options, report: &Value) {
    let Options { peers, streams, sockets, initials, seconds, .. } = options;
    let (held, [before, during, after]) = (&report["held"], ["before", "during", "after"].map(|key| &report[key]));
    say::fact(&format!(
        "{peers} false peers with {streams} streams each, {sockets} silent connections and {initials} first packets \
         of QUIC, for {seconds} s, against a gateway with --relay and {NODES} real nodes, all on one computer: {}.",
        figures::machine()
    ));
    say::fact(&format!(
        "Held at most at one time: {} peers, {} streams, {} connections; {} first packets sent.",
        held["peers"], held["streams"], held["sockets"], held["initials"]
    ));
    say::fact(&format!(
        "A real node that came in the middle: {}.",
        match report["joined_after_seconds"].as_f64() {
            Some(seconds) => format!("in sight after {seconds:.1} s"),
            None => "not in sight".to_owned(),
        }
    ));
    say::fact(
        "\n| | gateway, MB | files | CPU % | answers whole | after a retry | failed | wrong | first token p50, ms | p95 | max |",
    );
    say::fact(&format!("|{}", "---|".repeat(11)));
    for (name, phase, mb) in [("before", before, "most_mb"), ("during", during, "most_mb"), ("30 s after", after, "mb")]
    {
        let (answers, first) = (&phase["answers"], &phase["answers"]["first_token_ms"]);
        let figures = [
            (&phase[mb], 0),
            (&phase["files"], 0),
            (&phase["cpu_percent"], 0),
            (&answers["whole"], 0),
            (&answers["retried"], 0),
            (&answers["failed"], 0),
            (&answers["wrong"], 0),
            (&first["p50"], 0),
            (&first["p95"], 0),
            (&first["max"], 0),
        ];
        let cells = figures.map(|(value, digits)| show(value, digits));
        say::fact(&format!("| {name} | {} |", cells.join(" | ")));
        for error in answers["errors"].as_array().into_iter().flatten() {
            say::note(&format!("one of the errors: {error}"));
        }
    }
    let more = number(&during["most_mb"]) - number(&during["mb"]);
    let verdict = if more <= AIM_MB { "within" } else { "beyond" };
    say::fact(&format!("\nMemory: {more:.0} MB more at the peak, {verdict} the {AIM_MB:.0} MB that are the aim."));
}
