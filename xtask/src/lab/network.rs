//! The programs in the hosts of one lab: how each is started, and what they say.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::natlab::{Natlab, ourselves};
use super::plan::Transport;
use crate::places::Places;
use crate::scripted;
use crate::stop::Stop;
use crate::swarm::part::{Fact, Part};

/// Starting is a matter of a second; this is for a very busy computer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A program has ten seconds for what runs in it.
const END_LIMIT: Duration = Duration::from_secs(15);
/// Where public peers listen; the others take any port.
const PUBLIC_PORT: u16 = 4001;
const HTTP_PORT: u16 = 8080;

/// What all labs of a run share.
pub(super) struct Ground {
    pub(super) places: Places,
    /// The folder with the programs.
    pub(super) programs: PathBuf,
    /// Each lab has a folder in it, with data and logs.
    pub(super) data: PathBuf,
    pub(super) stop: Stop,
}

/// A lab and the programs in it. Dropping it kills them and removes the networks.
pub(super) struct Network<'a> {
    ground: &'a Ground,
    transport: Transport,
    data: PathBuf,
    parts: Vec<Part>,
    /// Dropped after the parts, whose hosts it holds.
    pub(super) natlab: Natlab,
}

/// A gateway that can be asked.
#[derive(Clone)]
pub(super) struct Door {
    host: String,
    key: String,
}

impl<'a> Network<'a> {
    /// `name` says what is tried, `lab` which of the labs that run side by side this is.
    pub(super) fn up(
        ground: &'a Ground,
        name: &str,
        lab: usize,
        topology: &Value,
        transport: Transport,
    ) -> Result<Self> {
        let natlab = Natlab::up(&ground.places, lab, topology)?;
        Ok(Self { ground, transport, data: ground.data.join(name), parts: Vec::new(), natlab })
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// Starts a public bootstrap and returns its addresses.
    pub(super) fn start_bootstrap(&mut self, host: &str, known: &[String]) -> Result<Vec<String>> {
        let args = [&["run".into()], &self.listen(host, PUBLIC_PORT)[..], &flags("--bootstrap", known)].concat();
        self.start(host, "starling-bootstrap", &args)?;
        self.addresses(host)
    }

    /// Starts a gateway that everybody can dial, and returns its addresses.
    pub(super) fn start_public_gateway(&mut self, host: &str, known: &[String]) -> Result<Vec<String>> {
        let args = [&["--relay".into()], &self.listen(host, PUBLIC_PORT)[..], &flags("--bootstrap", known)].concat();
        self.start_gateway(host, &args)?;
        self.addresses(host)
    }

    /// Starts a gateway that dials out only, as at somebody's home.
    pub(super) fn start_home_gateway(&mut self, host: &str, known: &[String]) -> Result<()> {
        let args = [&self.listen_anywhere(host)[..], &flags("--bootstrap", known)].concat();
        self.start_gateway(host, &args)
    }

    fn start_gateway(&mut self, host: &str, args: &[OsString]) -> Result<()> {
        let http = format!("127.0.0.1:{HTTP_PORT}").into();
        let fixed = ["run".into(), "--titles".into(), "words".into(), "--http".into(), http];
        self.start(host, "starling-gateway", &[&fixed, args].concat())?;
        self.wait_for(host, "the gateway to be ready", START_LIMIT, |part| part.said("ready").map(|_| ()))
    }

    /// Starts a node; returns when that was.
    /// A node that is no member yet joins first, as a person does once.
    pub(super) fn start_node(&mut self, host: &str, known: &[String]) -> Result<Instant> {
        if !self.data.join(host).join("membership.cbor").exists() {
            self.join(host)?;
        }
        let engine = ["run", "--engine", "scripted", "--scripted", &scripted::options(), "--name", host];
        let args =
            [&engine.map(OsString::from), &self.listen_anywhere(host)[..], &flags("--bootstrap", known)].concat();
        let now = Instant::now();
        self.start(host, "starling-node", &args)?;
        Ok(now)
    }

    /// With the invite of a gateway that runs.
    fn join(&mut self, host: &str) -> Result<()> {
        let invite = self.parts.iter().find_map(|part| part.said("invite"));
        let invite = invite.context("a gateway without nodes shows an invite")?.to_owned();
        let only = ["join", &invite, "--only", "--engine", "scripted", "--name", host];
        let args = [&only.map(OsString::from), &self.listen_anywhere(host)[..]].concat();
        self.start(host, "starling-node", &args)?;
        let stop = self.ground.stop.clone();
        let joined = self.wait_for(host, "the node to join", START_LIMIT, |part| part.said("joined").map(|_| ()));
        self.part_mut(host)?.wait_for_end(Instant::now() + END_LIMIT, &stop);
        self.forget(host);
        joined
    }

    /// Makes a second gateway one of the first one's swarm.
    pub(super) fn share_key(&mut self, from: &str, to: &str) -> Result<()> {
        let [from, to] = [from, to].map(|host| self.data.join(host));
        std::fs::create_dir_all(&to)?;
        std::fs::copy(from.join("swarm.key"), to.join("swarm.key")).context("the swarm's key")?;
        Ok(())
    }

    /// Makes the first administrator of a gateway, and a key.
    pub(super) fn open_door(&mut self, host: &str) -> Result<Door> {
        let code = self.part(host)?.said("setup-code").context("a fresh gateway has a one-time code")?.to_owned();
        let client = format!("{host}-key");
        self.start_client(&client, host, &["key".into(), code.into()])?;
        let key = self.wait_for(&client, "a key", START_LIMIT, |part| part.said("key").map(str::to_owned))?;
        self.forget(&client);
        Ok(Door { host: host.to_owned(), key })
    }

    /// Begins to ask for an answer; `client` is the name of who asks.
    pub(super) fn ask(&mut self, door: &Door, client: &str, seed: u64, tokens: u32) -> Result<()> {
        let args = ["ask".into(), door.key.clone().into(), seed.to_string().into(), tokens.to_string().into()];
        self.start_client(client, &door.host, &args)
    }

    /// What came of it, if it is over.
    pub(super) fn answer(&mut self, client: &str) -> Result<Option<Value>> {
        // A client that has said all it had to say ends.
        let checked = self.part_mut(client)?.check("while it asked");
        let Some(answer) = self.part(client)?.said("answer") else { return checked.map(|()| None) };
        let answer = serde_json::from_str(answer).context("the client's answer")?;
        self.forget(client);
        Ok(Some(answer))
    }

    fn start_client(&mut self, client: &str, host: &str, args: &[OsString]) -> Result<()> {
        let fixed = ["lab-client".into(), format!("http://127.0.0.1:{HTTP_PORT}").into()];
        self.run_inside(client, host, &ourselves(), &[&fixed, args].concat())
    }

    fn start(&mut self, host: &str, program: &str, args: &[OsString]) -> Result<()> {
        let data = ["--data".into(), self.data.join(host).into_os_string()];
        let program = self.ground.programs.join(program);
        self.run_inside(host, host, &program, &[args, &data].concat())
    }

    fn run_inside(&mut self, name: &str, host: &str, program: &Path, args: &[OsString]) -> Result<()> {
        let (ip, args) = self.natlab.inside(host, program, args);
        let part = Part::start(name, ip, &args, &self.logs())?;
        self.forget(name);
        self.parts.push(part);
        Ok(())
    }

    /// `--listen` for public peers: their port is known.
    fn listen(&self, host: &str, port: u16) -> Vec<OsString> {
        flags("--listen", &self.listens(host, port))
    }

    fn listens(&self, host: &str, port: u16) -> Vec<String> {
        let ipv6 = self.natlab.has_ipv6(host).then(|| self.transport.listen("ip6/::", port));
        [ipv6.unwrap_or_default(), self.transport.listen("ip4/0.0.0.0", port)].concat()
    }

    /// What a person types about it is nothing; one transport alone is for the lab.
    fn listen_anywhere(&self, host: &str) -> Vec<OsString> {
        if self.transport == Transport::Both { Vec::new() } else { self.listen(host, 0) }
    }

    /// What a public peer says that it listens on, as others reach it.
    fn addresses(&mut self, host: &str) -> Result<Vec<String>> {
        let reached = self.natlab.public_addresses(host);
        let wanted = self.listens(host, 0).len();
        let is_public = |address: &str| reached.iter().any(|start| address.starts_with(start));
        self.wait_for(host, "its addresses", START_LIMIT, |part| {
            let all = part.all_said("listening").filter(|address| is_public(address));
            let all: Vec<String> = all.map(str::to_owned).collect();
            (all.len() >= wanted).then_some(all)
        })
    }

    /// Waits until `seen` finds something in what a part has said.
    pub(super) fn wait_for<T>(
        &mut self,
        name: &str,
        what: &str,
        limit: Duration,
        seen: impl Fn(&Part) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let part = self.part_mut(name)?;
            let alive = part.check("too early");
            if let Some(found) = seen(part) {
                return Ok(found);
            }
            alive?;
            if Instant::now() >= deadline {
                bail!("{name}: waited {} s for {what}", limit.as_secs());
            }
            self.ground.stop.pause()?;
        }
    }

    /// Takes in what everybody said; fails when one of the programs has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        let programs = self.parts.iter_mut().filter(|part| !part.name().contains('-'));
        programs.into_iter().try_for_each(|part| part.check("while it was in use"))?;
        self.ground.stop.pause()
    }

    /// The newest fact that `wanted` takes, of those said since then.
    pub(super) fn fact_since(
        &self,
        name: &str,
        since: Instant,
        wanted: impl Fn(&Fact) -> bool,
    ) -> Result<Option<Instant>> {
        let mut facts = self.part(name)?.facts().filter(|fact| fact.at >= since);
        Ok(facts.find(|fact| wanted(fact)).map(|fact| fact.at))
    }

    /// Ends a program at once, as a power cut does.
    pub(super) fn kill(&mut self, name: &str) {
        self.forget(name);
    }

    /// Ends a program in order.
    pub(super) fn end(&mut self, name: &str) -> Result<()> {
        let stop = self.ground.stop.clone();
        let part = self.part_mut(name)?;
        part.ask_to_end();
        part.wait_for_end(Instant::now() + END_LIMIT, &stop);
        self.forget(name);
        Ok(())
    }

    fn part(&self, name: &str) -> Result<&Part> {
        self.parts.iter().find(|part| part.name() == name).with_context(|| format!("{name} does not run"))
    }

    fn part_mut(&mut self, name: &str) -> Result<&mut Part> {
        self.parts.iter_mut().find(|part| part.name() == name).with_context(|| format!("{name} does not run"))
    }

    fn forget(&mut self, name: &str) {
        self.parts.retain(|part| part.name() != name);
    }
}

/// `flag value` for each of the values.
fn flags(flag: &str, values: &[String]) -> Vec<OsString> {
    values.iter().flat_map(|value| [flag.into(), value.into()]).collect()
}
