//! A node for Windows in a real swarm: it joins on a machine that refuses QUIC, and comes back on one that has it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{Stage, answers, on_loopback, wait_for};
use crate::api::{Login, Session};
use crate::say;
use crate::suite::{Context, Passed, error_lines};
use crate::swarm::part::Part;
use crate::swarm::{Plan, Swarm};
use crate::windows::wine;

/// What a node says, once, where it cannot have QUIC.
const NO_QUIC: &str = "this machine refuses QUIC; going on over TCP";

/// What is between the node and the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Quic,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }

    fn has(self, address: &str) -> bool {
        address.contains(match self {
            Self::Tcp => "/tcp/",
            Self::Quic => "/quic-v1",
        })
    }
}

pub(super) fn run(context: &Context) -> Result<Passed> {
    let dir = TempDir::with_prefix("starling-windows-")?;
    let stage = Stage::set(context, dir.path())?;
    let plan =
        Plan { programs: context.programs()?, data: dir.path().join("swarm"), port: 0, gateway: vec![], nodes: vec![] };
    let mut swarm = Swarm::start(&plan, &context.stop)?;
    let result = stage.in_swarm(&mut swarm, context);
    swarm.stop(&context.stop);
    if result.is_err() {
        say::note(&format!("data and logs are kept in {}", dir.keep().display()));
    }
    result.map(|()| Passed::Plainly)
}

impl Stage<'_> {
    fn in_swarm(&self, swarm: &mut Swarm, context: &Context) -> Result<()> {
        let invite = swarm.invite().context("a new gateway prints an invite")?.to_owned();
        let mut node = self.start(Transport::Tcp, swarm, &["join".into(), invite.into()])?;
        let model = wait_for(&mut node, "serving", context)?;
        let peer = node.said("peer").context("a node says who it is")?.to_owned();
        swarm.wait_until_found(1, &context.stop)?;
        let code = swarm.setup_code().context("a fresh gateway has a one-time code")?;
        let login = Login { username: "admin".into(), password: "a long enough password".into() };
        let key = Session::set_up(swarm.url(), code, &login)?.make_key("a node for Windows")?;
        answers(swarm.url(), &key, &model)?;
        self.is_connected_over(Transport::Tcp, context)?;
        self.stop(node, context)?;
        swarm.wait_until_alone(&context.stop)?;
        self.refuses_a_wrong_path(context)?;
        self.refuses_an_open_key(context)?;
        say::note("once more, with the key that is there, and over QUIC");
        let mut node = self.start(Transport::Quic, swarm, &["run".into()])?;
        wait_for(&mut node, "serving", context)?;
        ensure!(node.said("peer") == Some(peer.as_str()), "it came back as another peer");
        swarm.wait_until_found(1, &context.stop)?;
        answers(swarm.url(), &key, &model)?;
        self.is_connected_over(Transport::Quic, context)?;
        self.stop(node, context)
    }

    fn start(&self, transport: Transport, swarm: &Swarm, args: &[OsString]) -> Result<Part> {
        let (program, before) = match transport {
            Transport::Tcp => self.wine.start_without_quic("wine"),
            Transport::Quic => self.wine.start("wine"),
        };
        let known = swarm.bootstrap().into_iter().filter(|address| transport.has(&address.to_string_lossy()));
        let known = known.flat_map(|address| ["--bootstrap".into(), address]);
        let all = ["STARLING_LOG=debug".into()].into_iter().chain(before);
        let all = all.chain([self.program.clone().into()]).chain(args.iter().cloned()).chain(known);
        let all = all.chain(on_loopback()).chain(["--data".into(), wine::path(&self.data)?]);
        Part::start(transport.name(), &program, &all.collect::<Vec<_>>(), &self.logs)
    }

    /// By its own log, and by what the others have told it. The running node is asked by a second program, over a named pipe.
    /// What counts is the first connection with each: of two that are begun beside each other a later one may come about too.
    fn is_connected_over(&self, transport: Transport, context: &Context) -> Result<()> {
        let log = fs::read_to_string(self.logs.join(format!("{}.log", transport.name())))?;
        let connected = log.lines().filter_map(|line| line.split_once(": connected peer=").map(|(_, rest)| rest));
        let mut met = HashSet::new();
        let first: Vec<&str> =
            connected.filter(|line| met.insert(line.split(' ').next().unwrap_or_default())).collect();
        ensure!(first.len() >= 2, "it has met {} others, where there are a bootstrap and a gateway", first.len());
        let stray = first.iter().find(|line| !transport.has(line));
        ensure!(stray.is_none(), "not over {}: {}", transport.name(), stray.unwrap_or(&""));
        let refused = log.matches(NO_QUIC).count();
        ensure!(refused == usize::from(transport == Transport::Tcp), "{refused} times it said: {NO_QUIC}");
        let output = self.ask(context, &["status".into(), "--json".into()])?;
        ensure!(output.code == Some(0), "`status` failed:\n{}{}", output.stdout, output.stderr);
        let status: Value = serde_json::from_str(&output.stdout).context("`status --json` is no JSON")?;
        let seen = status["network"]["seen_as"].as_array().context("`status` has no addresses")?;
        let seen: Vec<&str> = seen.iter().filter_map(Value::as_str).collect();
        ensure!(seen.iter().any(|address| transport.has(address)), "others see it as {seen:?}");
        say::note(&format!(
            "it met {} others over {}, who see it as {}",
            first.len(),
            transport.name(),
            seen.join(" ")
        ));
        Ok(())
    }

    /// As a person sees it: one line, a hint, the right code.
    fn refuses_a_wrong_path(&self, context: &Context) -> Result<()> {
        let model = wine::path(&self.data.join("kein Modell.gguf"))?;
        let words = on_loopback().chain(["--model".into(), model]);
        let output = self.ask(context, &[OsString::from("run")].into_iter().chain(words).collect::<Vec<_>>())?;
        let line = error_lines::judge(output.code, &output.stderr)?;
        ensure!(line.contains("kein Modell.gguf"), "the error names no file: {line}");
        say::note(&line);
        Ok(())
    }

    /// Wine keeps an access list as a mode, and the administrators' part of it as the group's: what it has made is nobody
    /// else's, and what others can read is refused.
    fn refuses_an_open_key(&self, context: &Context) -> Result<()> {
        let key = self.data.join("identity.key");
        let mode = fs::metadata(&key)?.permissions().mode() & 0o777;
        ensure!(mode & 0o007 == 0, "others can read the key (mode {mode:o})");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
        let words = [OsString::from("run")].into_iter().chain(on_loopback()).collect::<Vec<_>>();
        let output = self.ask(context, &words)?;
        let line = error_lines::judge(output.code, &output.stderr)?;
        ensure!(line.contains("can be read by others"), "it took a key that others can read: {line}");
        ensure!(output.stderr.contains("icacls"), "no command mends it:\n{}", output.stderr);
        say::note(&line);
        Ok(fs::set_permissions(&key, fs::Permissions::from_mode(mode))?)
    }
}
