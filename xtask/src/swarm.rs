//! A whole swarm on this computer: a bootstrap, a gateway and nodes as separate processes, over
//! real libp2p on loopback. `up`, the tests and the benchmark all start theirs here.
//!
//! Each part says on its stdout what it has reached (`peer …`, `listening …`, `ready …`); nothing
//! is read out of logs and nothing waits for a fixed time.

pub(crate) mod part;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use part::Part;

use crate::blocked::Blocked;
use crate::places;
use crate::process;
use crate::say::{self, Waiting};
use crate::stop::Stop;

/// Starting without a model to load is a matter of a second; this is for a very busy computer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A large model from a slow disk takes minutes.
const MODEL_LIMIT: Duration = Duration::from_secs(600);
/// How long a part may take to finish its work after it was asked to end.
const GRACE: Duration = Duration::from_secs(15);

/// The bootstrap listens on one address for each transport, and says so in one line for each.
const LISTEN: [&str; 4] = ["--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];
/// The order of the parts.
const BOOTSTRAP: usize = 0;
const GATEWAY: usize = 1;

/// What to start.
pub(crate) struct Plan {
    /// The folder with the three programs.
    pub(crate) programs: PathBuf,
    /// The swarm's data; each part has a folder in it.
    pub(crate) data: PathBuf,
    /// The gateway's port; 0 takes a free one.
    pub(crate) port: u16,
    /// Further arguments of the gateway.
    pub(crate) gateway: Vec<OsString>,
    /// One node for each, with these further arguments.
    pub(crate) nodes: Vec<Vec<OsString>>,
}

/// A running swarm. Dropping it kills it; [`Swarm::stop`] ends it in order.
pub(crate) struct Swarm {
    programs: PathBuf,
    data: PathBuf,
    /// In the order they were started.
    parts: Vec<Part>,
    url: String,
    setup_code: Option<String>,
}

impl Swarm {
    /// Starts the parts one after the other, each with the addresses of the ones before.
    pub(crate) fn start(plan: &Plan, stop: &Stop) -> Result<Self> {
        let mut swarm = Self {
            programs: plan.programs.clone(),
            data: plan.data.clone(),
            parts: Vec::new(),
            url: String::new(),
            setup_code: None,
        };
        swarm.launch("bootstrap", "bootstrap", &[&["run".into()], &LISTEN.map(OsString::from)[..]].concat())?;
        let known = swarm.bootstrap_addresses(stop)?;
        let http = format!("127.0.0.1:{}", plan.port).into();
        let gateway = [vec!["run".into(), "--http".into(), http], known.clone(), plan.gateway.clone()].concat();
        swarm.launch("gateway", "gateway", &gateway)?;
        swarm.url = swarm.wait_for(GATEWAY, "ready", START_LIMIT, stop)?;
        swarm.setup_code = swarm.parts[GATEWAY].news("setup-code");
        for (index, args) in plan.nodes.iter().enumerate() {
            let name = format!("node-{}", index + 1);
            let args = [swarm.way_in(&name)?, known.clone(), args.clone()].concat();
            swarm.launch(&name, "node", &args)?;
        }
        swarm.wait_for_nodes(stop)?;
        Ok(swarm)
    }

    /// Where the gateway answers: `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The one-time code, while there is no administrator yet.
    pub(crate) fn setup_code(&self) -> Option<&str> {
        self.setup_code.as_deref()
    }

    /// The newest invite that the gateway has printed.
    #[cfg(target_os = "linux")]
    pub(crate) fn invite(&self) -> Option<&str> {
        self.parts[GATEWAY].said("invite")
    }

    /// The file with the swarm's key.
    pub(crate) fn key(&self) -> PathBuf {
        self.data.join("gateway").join("swarm.key")
    }

    /// `--bootstrap ADDRESS` for each address that the bootstrap listens on.
    pub(crate) fn bootstrap(&self) -> Vec<OsString> {
        let addresses = self.parts[BOOTSTRAP].all_said("listening");
        addresses.flat_map(|address| ["--bootstrap".into(), address.into()]).collect()
    }

    /// The gateway's own addresses in the swarm, as far as it has said them.
    pub(crate) fn gateway_addresses(&self) -> impl Iterator<Item = &str> {
        self.parts[GATEWAY].all_said("listening")
    }

    /// Names and process ids, in the order of their start.
    pub(crate) fn processes(&self) -> Vec<(String, u32)> {
        self.parts.iter().map(|part| (part.name().to_owned(), part.id())).collect()
    }

    /// Waits until the gateway has found that many nodes by itself, through the swarm. Only from
    /// then on is a prompt answered.
    pub(crate) fn wait_until_found(&mut self, nodes: usize, stop: &Stop) -> Result<()> {
        self.wait_until_seen(&format!("{nodes} in sight"), |seen| seen >= nodes, stop)
    }

    /// Waits until the gateway has seen that the last node has gone.
    #[cfg(target_os = "linux")]
    pub(crate) fn wait_until_alone(&mut self, stop: &Stop) -> Result<()> {
        self.wait_until_seen("no node in sight", |seen| seen == 0, stop)
    }

    fn wait_until_seen(&mut self, what: &str, enough: impl Fn(usize) -> bool, stop: &Stop) -> Result<()> {
        let _waiting = Waiting::new(format!("waiting for gateway: {what}"));
        let deadline = Instant::now() + START_LIMIT;
        let in_sight = |swarm: &Self| swarm.parts[GATEWAY].said("nodes").and_then(|count| count.parse::<usize>().ok());
        while !enough(in_sight(self).unwrap_or_default()) {
            if Instant::now() >= deadline {
                return Err(self.parts[GATEWAY].too_slow("nodes", START_LIMIT));
            }
            self.check()?;
            stop.pause()?;
        }
        Ok(())
    }

    /// Fails when a part has ended; to be called again and again while the swarm is used. Returns
    /// the newest one-time code if the gateway made another.
    pub(crate) fn check(&mut self) -> Result<Option<String>> {
        let mut code = None;
        for part in &mut self.parts {
            part.check("while it was in use")?;
            code = part.news("setup-code").or(code);
        }
        Ok(code)
    }

    /// Like [`Swarm::check`], but a lost node is only told of while another one is left: going on
    /// without it is what a swarm is for.
    pub(crate) fn check_but_lose_nodes(&mut self) -> Result<Option<String>> {
        loop {
            let checked = self.check();
            if checked.is_ok() || self.parts.len() <= GATEWAY + 2 {
                return checked;
            }
            let Some(index) = self.lost_node() else { return checked };
            let mut node = self.parts.remove(index);
            if let Err(death) = node.check("while it was in use") {
                say::note(&death.to_string());
            }
        }
    }

    fn lost_node(&mut self) -> Option<usize> {
        let mut nodes = self.parts.iter_mut().enumerate().skip(GATEWAY + 1);
        nodes.find_map(|(index, node)| node.check("").is_err().then_some(index))
    }

    /// Ends all parts: first the gateway, which takes no more work, then the nodes, then the
    /// bootstrap. What does not end within its grace, or once asked twice, is killed.
    pub(crate) fn stop(mut self, stop: &Stop) {
        for role in ["gateway", "node", "bootstrap"] {
            let mut group: Vec<Part> = self.parts.extract_if(.., |part| part.name().starts_with(role)).collect();
            group.iter().for_each(Part::ask_to_end);
            let deadline = Instant::now() + GRACE;
            group.iter_mut().for_each(|part| part.wait_for_end(deadline, stop));
        }
    }

    /// What a node is started with: an invite to join with, or nothing of that kind when it is a member already.
    fn way_in(&self, name: &str) -> Result<Vec<OsString>> {
        if let Some(invite) = self.parts[GATEWAY].said("invite") {
            return Ok(vec!["join".into(), invite.into()]);
        }
        if self.data.join(name).join("membership.cbor").exists() {
            return Ok(vec!["run".into()]);
        }
        Ok(vec!["join".into(), self.make_invite()?.into()])
    }

    /// A gateway that has nodes prints no invite; one is made beside it.
    fn make_invite(&self) -> Result<String> {
        let mut command = process::command(self.program("gateway"));
        command.arg("invite").arg("--data").arg(self.data.join("gateway"));
        let made = process::output(&mut command).context("the gateway made no invite for a new node")?;
        Ok(made.trim().to_owned())
    }

    fn program(&self, role: &str) -> PathBuf {
        places::program(&self.programs, &format!("starling-{role}"))
    }

    fn launch(&mut self, name: &str, role: &str, args: &[OsString]) -> Result<()> {
        let program = self.program(role);
        if !program.is_file() {
            bail!("{} is not built", program.display());
        }
        let data = self.data.join(name);
        let all = [args, &["--data".into(), data.into()]].concat();
        self.parts.push(Part::start(name, &program, &all, &self.data.join("logs"))?);
        Ok(())
    }

    /// Waits for a line of one part. Any part's death ends the wait.
    fn wait_for(&mut self, part: usize, key: &str, limit: Duration, stop: &Stop) -> Result<String> {
        let _waiting = Waiting::new(format!("waiting for {}: {key}", self.parts[part].name()));
        let deadline = Instant::now() + limit;
        loop {
            for part in &mut self.parts {
                part.check("while the swarm was starting")?;
            }
            if let Some(value) = self.parts[part].said(key) {
                return Ok(value.to_owned());
            }
            if Instant::now() >= deadline {
                return Err(self.parts[part].too_slow(key, limit));
            }
            stop.pause()?;
        }
    }

    /// One after the other, while they all load at the same time.
    fn wait_for_nodes(&mut self, stop: &Stop) -> Result<()> {
        for node in GATEWAY + 1..self.parts.len() {
            self.wait_for(node, "serving", MODEL_LIMIT, stop)?;
        }
        Ok(())
    }

    /// Waits until the bootstrap has said where it listens.
    fn bootstrap_addresses(&mut self, stop: &Stop) -> Result<Vec<OsString>> {
        let known = |swarm: &Self| swarm.parts[BOOTSTRAP].all_said("listening").count();
        while known(self) < LISTEN.len() / 2 {
            self.wait_for(BOOTSTRAP, "listening", START_LIMIT, stop)?;
            stop.pause()?;
        }
        Ok(self.bootstrap())
    }
}

/// One clear line when the port is taken, before anything is built or started.
pub(crate) fn check_port(port: u16) -> Result<()> {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(Blocked::error(
            format!("port {port} is in use by another program"),
            format!("end that program, or choose another port: --port {}", port.wrapping_add(1)),
        )),
        Err(error) => Err(error).with_context(|| format!("cannot listen on port {port}")),
    }
}

#[cfg(all(test, unix))]
mod tests;
