//! `cargo xtask test --windows`: the node's program for Windows, under wine, in a swarm whose other parts are Linux's.
//!
//! Wine shows neither firewall nor a graphics card, and of a service manager half. What it refuses QUIC, `tests/windows` gives.

mod engines;
mod service;
mod swarm;
mod tensorrt;
mod update;

use std::ffi::OsString;
use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::steps::Step;
use super::tools::Tool;
use super::{Context, Passed};
use crate::api;
use crate::binaries::{PROGRAMS, Profile};
use crate::dist;
use crate::dist::build::{self, Builder};
use crate::dist::manifest::System;
use crate::process;
use crate::say;
use crate::swarm::part::Part;
use crate::ui;
use crate::windows;
use crate::windows::wine::{self, Wine};

const TOOLS: &[Tool] = &[Tool::Compilers, Tool::Node, Tool::Windows];
/// And what gets the library.
const WITH_LIBRARY: &[Tool] = &[Tool::Compilers, Tool::Node, Tool::Python, Tool::Windows];

#[rustfmt::skip]
pub(super) const STEPS: [Step; 7] = [
    Step { name: "build", about: "the programs for Windows and for Linux, dev profile", needs: TOOLS, run: build },
    Step { name: "unit", about: "unit tests of protocol, node and inference under wine", needs: TOOLS, run: unit },
    Step { name: "engines", about: "every engine's promises under wine, TensorRT's on a card and a library that are none", needs: TOOLS, run: engines::run },
    Step { name: "swarm", about: "a node for Windows joins, answers, stops and comes back, over TCP and over QUIC", needs: TOOLS, run: swarm::run },
    Step { name: "service", about: "the node as a service: installed, started, stopped, taken away", needs: TOOLS, run: service::run },
    Step { name: "update", about: "a service takes a newer release, and none that does not serve", needs: TOOLS, run: update::run },
    Step { name: "tensorrt", about: "engines built by the vendor's library for Windows (93 MB)", needs: WITH_LIBRARY, run: tensorrt::run },
];

/// Wine takes seconds to start a program.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// Not where the others are: libp2p calls from the port that it listens on, which Linux allows wine no more than once for
/// TCP. Windows does (SO_REUSEADDR).
const LISTEN: [&str; 2] = ["/ip6/::1/tcp/0", "/ip6/::1/udp/0/quic-v1"];

/// As hostile as a person's own folders.
const FOLDER: &str = "Programme für Größen 日本";
const DATA: &str = "Daten mit Lücken";

fn builder(context: &Context) -> Result<Builder<'_>> {
    let (places, consent, stop) = (&context.places, context.consent, &context.stop);
    Ok(Builder { places, profile: Profile::Dev, moment: build::moment(places)?, vulkan: None, consent, stop })
}

impl Context {
    fn wine(&self) -> Result<&Wine> {
        if self.wine.get().is_none() {
            let _ = self.wine.set(Wine::provide(&self.places, self.consent, &self.stop)?);
        }
        Ok(self.wine.get().expect("set just now"))
    }
}

fn build(context: &Context) -> Result<Passed> {
    ui::build(&context.places, context.node()?, &context.stop)?;
    // The node by itself, as its unit tests are built: beside the others, parts of it would be built with what those ask of
    // them, and llama.cpp twice.
    let (node, others): (Vec<&str>, Vec<&str>) = PROGRAMS.iter().partition(|program| **program == "starling-node");
    for programs in [node, others] {
        builder(context)?.programs(System::Windows, &programs, &dist::work_folder(&context.places))?;
    }
    context.programs().map(|_| Passed::Plainly)
}

fn unit(context: &Context) -> Result<Passed> {
    let mut cargo = builder(context)?.cargo("test", System::Windows, &dist::work_folder(&context.places))?;
    cargo.args(["--locked", "--lib", "--no-fail-fast"]);
    cargo.args(["-p", "starling-protocol", "-p", "starling-node", "-p", "starling-inference"]);
    cargo.env(windows::RUNNER, context.wine()?.runner());
    process::run(cargo, &context.stop)?;
    Ok(Passed::Plainly)
}

/// The program in a folder of a person's own.
struct Stage<'a> {
    wine: &'a Wine,
    program: PathBuf,
    data: PathBuf,
    logs: PathBuf,
}

/// What every node here is told: where to listen, and to ask no router.
fn on_loopback() -> impl Iterator<Item = OsString> {
    let listen = LISTEN.into_iter().flat_map(|address| ["--listen", address]);
    listen.chain(["--no-port-mapping"]).map(OsString::from)
}

impl<'a> Stage<'a> {
    fn set(context: &'a Context, dir: &Path) -> Result<Self> {
        let folder = dir.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let program = folder.join("starling-node.exe");
        let built = match context.given {
            true => context.programs()?,
            false => dist::work_folder(&context.places).join(windows::TARGET).join(Profile::Dev.folder()),
        };
        fs::copy(built.join("starling-node.exe"), &program).context("the node for Windows is not built")?;
        Ok(Self { wine: context.wine()?, program, data: folder.join(DATA), logs: dir.join("logs") })
    }

    /// Ctrl-C, as somebody at its console would press.
    fn stop(&self, mut node: Part, context: &Context) -> Result<()> {
        node.interrupt();
        let asked = Instant::now();
        let status = node.end(asked + STOP_LIMIT, &context.stop).context("it did not end when it was asked to")?;
        ensure!(status.success(), "it ended badly when it was asked to end ({status})");
        say::note(&format!("stopped within {:.1} s", asked.elapsed().as_secs_f64()));
        Ok(())
    }

    /// One of its commands, for its data, to its end.
    fn ask(&self, context: &Context, args: &[OsString]) -> Result<Said> {
        let data = ["--data".into(), wine::path(&self.data)?];
        self.tell(context, &[args, &data].concat())
    }

    /// One of its commands, to its end.
    fn tell(&self, context: &Context, args: &[OsString]) -> Result<Said> {
        let mut command = self.wine.run(&self.program, args);
        let dir = tempfile::tempdir()?;
        let (out, err) = (dir.path().join("out"), dir.path().join("err"));
        command.stdin(Stdio::null()).stdout(fs::File::create(&out)?).stderr(fs::File::create(&err)?);
        let mut running = process::Running::start(command)?;
        let ended = running.wait_until(Instant::now() + START_LIMIT, &context.stop);
        let read = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let said = Said { code: None, stdout: read(&out)?, stderr: read(&err)? };
        let status = ended.with_context(|| format!("it did not end; it said:\n{}{}", said.stdout, said.stderr))?;
        Ok(Said { code: status.code(), ..said })
    }
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn wait_for(node: &mut Part, key: &str, context: &Context) -> Result<String> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        node.check("while it was starting")?;
        if let Some(value) = node.said(key) {
            return Ok(value.to_owned());
        }
        if Instant::now() >= deadline {
            return Err(node.too_slow(key, START_LIMIT));
        }
        context.stop.pause()?;
    }
}

/// An answer comes in pieces and ends well.
fn answers(url: &str, key: &str, model: &str) -> Result<()> {
    let messages = json!([{"role": "user", "content": "Tell me about the swarm."}]);
    let body = json!({"model": model, "messages": messages, "stream": true, "max_tokens": 32});
    let (mut text, mut pieces) = (String::new(), 0);
    for line in api::stream(url, key, &body, ANSWER_LIMIT)?.lines() {
        let line = line?;
        let Some(data) = line.strip_prefix("data: ") else { continue };
        if data == "[DONE]" {
            ensure!(pieces > 1, "the answer came in {pieces} pieces");
            say::note(&format!("it answered in {pieces} pieces: {text:?}"));
            return Ok(());
        }
        let piece: Value = serde_json::from_str(data)?;
        ensure!(piece["error"].is_null(), "the answer failed: {piece}");
        if let Some(words) = piece["choices"][0]["delta"]["content"].as_str() {
            text += words;
            pieces += 1;
        }
    }
    bail!("the answer ended without its end: {text:?}")
}
