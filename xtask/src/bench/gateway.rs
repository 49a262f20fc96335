//! `cargo xtask bench gateway`: our gateway beside two that people use, LiteLLM's proxy and SMG, each before the same
//! scripted engine.
//!
//! Theirs ask it over HTTP, ours over the swarm, with a node's encryption on the way. All take turns in one run, and so
//! does the engine asked over HTTP without anything between: what is "added" is over that.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;
use tempfile::TempDir;

use super::figures::{Spread, machine, number};
use super::site::{Site, scripted};
use super::usage::{self, Usage};
use super::{LOAD_LIMIT, json_of};
use crate::node_js::Venv;
use crate::places::{self, Places};
use crate::ports;
use crate::process::{self, Running};
use crate::say::{self, Waiting};
use crate::stop::Stop;
use crate::system::{self, Consent, Need};

/// Exactly these: what is compared next year is what was compared.
const PACKAGES: [&str; 2] = ["smg==1.13.0", "litellm[proxy]==1.108.7"];
/// LiteLLM does not start without one. Loopback only, and for minutes.
const KEY: &str = "sk-bench-3f9c1d7e5a2b48609e7d1c3b5a8f2e6d4c0b9a7f1e3d5c2b";
/// LiteLLM takes most of a minute to start on a busy computer.
const START_LIMIT: Duration = Duration::from_secs(180);
/// Requests of a single token that are sent one after another by each stream, for requests a second.
const SHORT_WAVES: usize = 8;

#[derive(Args)]
pub(crate) struct Options {
    /// Streams at once.
    #[arg(long, value_delimiter = ',', default_value = "1,32,128")]
    streams: Vec<usize>,
    /// How often all take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Speed of the scripted engine, for each stream.
    #[arg(long, default_value_t = 50)]
    tokens_per_second: u32,
    /// Length of each answer.
    #[arg(long, default_value_t = 25)]
    tokens: u32,
    /// Take our programs from this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

/// One of those that take turns.
struct Contestant {
    name: &'static str,
    address: String,
    key: String,
    /// Whose CPU time and memory are meant; none for the engine itself.
    process: Option<u32>,
}

/// What one turn gave.
struct Turn {
    load: Value,
    used: Usage,
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let places = Places::find()?;
    let consent = Consent::from(options.yes);
    system::provide(&[&system::TO_BUILD[..], &[Need::Python]].concat(), consent, stop)?;
    let venv = Venv::with(&places.cache.join("gateways"), &PACKAGES, stop)?;
    let programs = super::programs(options.programs.as_deref(), options.yes, stop)?;
    let (backend, address) = start_backend(&programs, &options.script())?;
    let peers = Peers::start(&venv, &address, stop)?;
    // Theirs trust their backend from the beginning.
    let mut site = Site::start(&programs, &["--trial-answers", "0"], vec![scripted(&options.script())], stop)?;
    let measured = measure(options, &programs, &peers.contestants(&address, &site), &mut site, stop);
    let measured = site.end(measured, stop);
    drop((peers, backend));
    measured
}

fn measure(options: &Options, programs: &Path, who: &[Contestant], site: &mut Site, stop: &Stop) -> Result<()> {
    print_head(options);
    for &streams in &options.streams {
        let waves = super::ANSWERS.div_ceil(streams).max(2);
        let mut long: Vec<Vec<Turn>> = who.iter().map(|_| vec![]).collect();
        let mut short: Vec<Vec<Turn>> = who.iter().map(|_| vec![]).collect();
        for round in 1..=options.rounds {
            let _waiting = Waiting::new(format!("{streams} streams, round {round} of {}", options.rounds));
            for (index, one) in who.iter().enumerate() {
                long[index].push(one.turn(programs, options, (streams, waves), None, stop)?);
                short[index].push(one.turn(programs, options, (streams, SHORT_WAVES), Some(1), stop)?);
                site.swarm.check()?;
            }
        }
        for (index, one) in who.iter().enumerate() {
            print_row(one, streams, &long[index], &short[index], &long[0]);
        }
    }
    Ok(())
}

impl Options {
    fn script(&self) -> String {
        let slots = self.streams.iter().max().copied().unwrap_or(1);
        let (speed, tokens) = (self.tokens_per_second, self.tokens);
        format!("seed=1,tokens_per_second={speed},answer_tokens={tokens},slots={slots}")
    }
}

impl Contestant {
    fn turn(
        &self,
        programs: &Path,
        options: &Options,
        (streams, waves): (usize, usize),
        most: Option<u32>,
        stop: &Stop,
    ) -> Result<Turn> {
        let mut load = process::command(places::program(programs, "load"));
        load.args(["path", "--gateway", &self.address, "--scripted", &options.script()]);
        load.args(["--streams", &streams.to_string(), "--waves", &waves.to_string()]);
        if let Some(most) = most {
            load.args(["--max-tokens", &most.to_string()]);
        }
        load.env("STARLING_API_KEY", &self.key);
        let usage = || self.process.map(Usage::of).unwrap_or_default();
        self.process.into_iter().for_each(usage::forget_peak);
        let before = usage();
        let load = json_of(load, LOAD_LIMIT, stop)?;
        let after = usage();
        let used = Usage { cpu_seconds: after.cpu_seconds - before.cpu_seconds, ..after };
        Ok(Turn { load, used })
    }
}

/// The two that others wrote.
struct Peers {
    smg: (Running, String),
    litellm: (Running, String),
    _dir: TempDir,
}

impl Peers {
    fn start(venv: &Venv, backend: &str, stop: &Stop) -> Result<Self> {
        let dir = TempDir::with_prefix("starling-bench-")?;
        let quiet = |mut command: Command, name: &str| -> Result<Running> {
            let log = std::fs::File::create(dir.path().join(name))?;
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            Running::start(command)
        };
        let (port, other) = (ports::free()?, ports::free()?);
        let mut smg = process::command(venv.bin().join("smg"));
        smg.args(["launch", "--worker-urls", &format!("http://{backend}"), "--host", "127.0.0.1"]);
        smg.args(["--port", &port.to_string(), "--policy", "round_robin", "--worker-startup-check-interval", "1"]);
        smg.args(["--prometheus-host", "127.0.0.1", "--prometheus-port", &ports::free()?.to_string()]);
        let config = dir.path().join("litellm.yaml");
        std::fs::write(&config, litellm_config(backend))?;
        let mut litellm = process::command(venv.bin().join("litellm"));
        litellm.arg("--config").arg(&config).args(["--host", "127.0.0.1", "--num_workers", "1"]);
        litellm.args(["--port", &other.to_string()]).env("LITELLM_LOG", "ERROR");
        // It asks the internet for prices of models otherwise.
        litellm.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        let at = |port: u16| format!("127.0.0.1:{port}");
        let logs = [dir.path().join("smg.log"), dir.path().join("litellm.log")];
        let mut started = Self {
            smg: (quiet(smg, "smg.log")?, at(port)),
            litellm: (quiet(litellm, "litellm.log")?, at(other)),
            _dir: dir,
        };
        let _waiting = Waiting::new("the other gateways start".to_owned());
        wait_until_ready(&mut started.smg, stop).with_context(|| last_words(&logs[0]))?;
        wait_until_ready(&mut started.litellm, stop).with_context(|| last_words(&logs[1]))?;
        Ok(started)
    }

    /// In the order in which they take turns; first what they are compared with.
    fn contestants(&self, backend: &str, site: &Site) -> Vec<Contestant> {
        let of = |name, address: &str, process| Contestant {
            name,
            address: address.to_owned(),
            key: KEY.to_owned(),
            process,
        };
        let ours =
            Contestant { key: site.key.clone(), ..of("Starling", site.gateway(), Some(site.process("gateway"))) };
        vec![
            of("none: the engine", backend, None),
            ours,
            of("SMG", &self.smg.1, Some(self.smg.0.id())),
            of("LiteLLM", &self.litellm.1, Some(self.litellm.0.id())),
        ]
    }
}

fn litellm_config(backend: &str) -> String {
    format!(
        "model_list:\n  - model_name: scripted\n    litellm_params:\n      model: openai/scripted\n      \
         api_base: http://{backend}/v1\n      api_key: none\ngeneral_settings:\n  master_key: {KEY}\n"
    )
}

fn wait_until_ready((running, address): &mut (Running, String), stop: &Stop) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().into();
    while Instant::now() < deadline {
        let models =
            agent.get(format!("http://{address}/v1/models")).header("authorization", format!("Bearer {KEY}")).call();
        let models = models.ok().and_then(|mut models| models.body_mut().read_to_string().ok());
        if models.is_some_and(|models| models.contains("scripted")) {
            return Ok(());
        }
        if let Some(status) = running.ended()? {
            bail!("the gateway at {address} has ended ({status})");
        }
        stop.pause()?;
    }
    bail!("the gateway at {address} did not become ready within {START_LIMIT:?}")
}

/// The end of a log, to go with an error.
fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

fn start_backend(programs: &Path, script: &str) -> Result<(Running, String)> {
    let mut backend = process::command(places::program(programs, "load"));
    backend.args(["backend", "--scripted", script]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running::start(backend)?;
    let mut line = String::new();
    BufReader::new(running.stdout().context("the backend has no stdout")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix("ready ").context("the backend did not say where it is")?.to_owned();
    Ok((running, address))
}

fn print_head(options: &Options) {
    say::fact(&format!(
        "Scripted engine at {} tokens/s a stream, {} tokens an answer; {} rounds, all in turns; {}; {}.",
        options.tokens_per_second,
        options.tokens,
        options.rounds,
        PACKAGES.join(", "),
        machine()
    ));
    say::fact("Added: over the engine asked without a gateway. Each figure: median of the rounds (least to most).\n");
    say::fact(
        "| streams | gateway | added first token, ms: p50 | p99 | tokens/s | tokens/s a core of the gateway | requests of \
         one token/s | peak memory, MB | failed or wrong |",
    );
    say::fact("|---|---|---|---|---|---|---|---|---|");
}

fn print_row(one: &Contestant, streams: usize, long: &[Turn], short: &[Turn], engine: &[Turn]) {
    let is_engine = one.process.is_none();
    let added = |percentile: &str| {
        let first = |turn: &Turn| number(&turn.load["first_token_ms"][percentile]);
        let added = long
            .iter()
            .zip(engine)
            .map(|(turn, engine)| if is_engine { first(turn) } else { first(turn) - first(engine) });
        Spread::of(added.collect()).show(2)
    };
    let spread = |turns: &[Turn], of: &dyn Fn(&Turn) -> f64| Spread::of(turns.iter().map(of).collect()).show(0);
    let a_core = |turn: &Turn| number(&turn.load["tokens"]) / turn.used.cpu_seconds.max(0.01);
    let requests = |turn: &Turn| number(&turn.load["answers"]) / number(&turn.load["wall_seconds"]).max(1e-9);
    let broken: u64 = long
        .iter()
        .chain(short)
        .flat_map(|turn| ["failed", "wrong"].map(|key| turn.load[key].as_u64()))
        .flatten()
        .sum();
    let of_process = |shown: String| if is_engine { "–".to_owned() } else { shown };
    let name = if is_engine { format!("{} (not added)", one.name) } else { one.name.to_owned() };
    say::fact(&format!(
        "| {streams} | {name} | {} | {} | {} | {} | {} | {} | {broken} |",
        added("p50"),
        added("p99"),
        spread(long, &|turn| number(&turn.load["tokens_per_second"])),
        of_process(spread(long, &a_core)),
        spread(short, &requests),
        of_process(spread(long, &|turn| turn.used.peak_mb)),
    ));
    for failure in long.iter().chain(short).filter_map(|turn| turn.load["failures"].get(0)).take(1) {
        say::note(&format!("one of the failures: {failure}"));
    }
}
