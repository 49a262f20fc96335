//! The programs of one row on loopback, and the hands that are laid on them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::history::{After, Seen, Slots, Stored, Wrong, check_rest};
use super::machine::Disk;
use super::random::Random;
use super::reader::{Door, Reader};
use crate::api::{Login, Session};
use crate::places;
use crate::ports;
use crate::process;
use crate::scripted;
use crate::stop::Stop;
use crate::swarm::part::Part;

/// Starting is a matter of a second; this is for a very busy computer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Programs that were asked to end have this long: their own graces and some more.
const END_LIMIT: Duration = Duration::from_secs(40);
/// Nothing may run any more this long after the last answer.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

pub(super) const BOOTSTRAP: &str = "bootstrap";
pub(super) const GATEWAY: &str = "gateway";
pub(super) const SECOND: &str = "second-gateway";
pub(super) const REDIS: &str = "redis";

/// What all rows share.
pub(super) struct Ground {
    /// The folder with the programs.
    pub(super) programs: PathBuf,
    /// Each row has a folder in it, with data and logs.
    pub(super) data: PathBuf,
    pub(super) stop: Stop,
    /// What chance is made of.
    pub(super) seed: u64,
}

/// How the programs of a row are started.
#[derive(Clone)]
pub(super) struct Shape {
    /// Nodes from the start.
    pub(super) nodes: usize,
    /// Options of their engines.
    pub(super) scripted: String,
    /// Tokens of an answer, as these options say.
    pub(super) tokens: usize,
    /// Further arguments of nodes.
    pub(super) node: Vec<String>,
    /// Further arguments of the gateway.
    pub(super) gateway: Vec<String>,
}

/// A running swarm of one row. Dropping it kills it.
pub(super) struct Rig<'a> {
    pub(super) ground: &'a Ground,
    name: String,
    pub(super) data: PathBuf,
    pub(super) shape: Shape,
    pub(super) random: Random,
    parts: Vec<Part>,
    http: u16,
    /// Of another gateway on the same database, once there is one.
    second: Option<u16>,
    redis: Option<u16>,
    /// Where the gateway listens for peers.
    listen: String,
    /// Where members begin.
    pub(super) known: Vec<String>,
    /// The gateway's own addresses, where `known` leads through a proxy.
    pub(super) direct: Vec<String>,
    pub(super) session: Option<Session>,
    nodes_begun: usize,
    asked: usize,
    /// Every question so far, and in which trial it was asked.
    pub(super) history: Vec<(usize, Seen)>,
    pub(super) trial: usize,
    /// What the next program is started with, as NAME=VALUE.
    pub(super) environment: Vec<String>,
    key: Option<String>,
    /// Dropped after the programs that write there.
    pub(super) disk: Option<Disk>,
}

impl Shape {
    /// Nodes that give so many tokens at that speed.
    pub(super) fn of(nodes: usize, tokens: usize, per_second: u32) -> Self {
        let scripted =
            format!("seed=0,tokens_per_second={per_second},answer_tokens={tokens},slots=4,context_tokens=32768");
        // The tools here ask as fast as they can.
        let gateway = ["--trial-answers", "0", "--limit-address", "0", "--limit-user", "0", "--limit-key", "0"];
        let gateway = gateway.map(str::to_owned).to_vec();
        Self { nodes, scripted, tokens, node: vec![], gateway }
    }
}

impl<'a> Rig<'a> {
    /// Programs of which none runs yet.
    pub(super) fn new(ground: &'a Ground, name: &str, shape: Shape) -> Result<Self> {
        let random = Random::of(ground.seed, name);
        Ok(Self {
            ground,
            name: name.to_owned(),
            data: ground.data.join(name),
            shape,
            random,
            parts: Vec::new(),
            http: ports::free()?,
            second: None,
            redis: None,
            listen: format!("/ip4/127.0.0.1/tcp/{}", ports::free()?),
            known: Vec::new(),
            direct: Vec::new(),
            session: None,
            nodes_begun: 0,
            asked: 0,
            history: Vec::new(),
            trial: 0,
            environment: Vec::new(),
            key: None,
            disk: None,
        })
    }

    /// Bootstrap, gateway, administrator and the shape's nodes, all in sight.
    pub(super) fn start(ground: &'a Ground, name: &str, shape: Shape) -> Result<Self> {
        let mut rig = Self::new(ground, name, shape)?;
        rig.start_bootstrap()?;
        rig.start_gateway()?;
        rig.keep_nodes(rig.shape.nodes)?;
        Ok(rig)
    }

    pub(super) fn start_bootstrap(&mut self) -> Result<()> {
        // The port stays the same over a restart, as a public peer's does.
        let port = self.known.first().and_then(|address| address.split('/').nth(4)).unwrap_or("0").to_owned();
        let listen = format!("/ip4/127.0.0.1/tcp/{port}");
        self.launch(BOOTSTRAP, "starling-bootstrap", &words(&["run", "--listen", &listen]))?;
        let address = self.wait_for_word(BOOTSTRAP, "listening")?;
        self.known = vec![address];
        Ok(())
    }

    /// The gateway will listen there, on a transport such as `udp` and `/quic-v1`; the port.
    pub(super) fn listen_on(&mut self, transport: &str, end: &str) -> Result<u16> {
        let port = ports::free()?;
        self.listen = format!("/ip4/127.0.0.1/{transport}/{port}{end}");
        Ok(port)
    }

    /// Starts it, or starts it again; returns how long it took to be ready.
    pub(super) fn start_gateway(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        let http = format!("127.0.0.1:{}", self.http);
        let mut args =
            words(&["run", "--no-port-mapping", "--titles", "words", "--http", &http, "--listen", &self.listen]);
        args.extend(self.shared());
        self.launch(GATEWAY, "starling-gateway", &args)?;
        self.wait_for_word(GATEWAY, "ready")?;
        let took = begun.elapsed();
        if self.session.is_none() {
            let code =
                self.part(GATEWAY)?.said("setup-code").context("a fresh gateway has a one-time code")?.to_owned();
            let login = Login { username: "faults".into(), password: "a long enough password".into() };
            self.session = Some(Session::set_up(&self.url(), &code, &login)?);
        }
        Ok(took)
    }

    /// What all gateways are started with.
    fn shared(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = self.shape.gateway.iter().map(OsString::from).collect();
        args.extend(self.known.iter().flat_map(|address| ["--bootstrap".into(), address.into()]));
        args.extend(self.redis.iter().flat_map(|port| words(&["--redis", &format!("redis://127.0.0.1:{port}")])));
        args
    }

    /// Starts the Redis, or starts it again.
    pub(super) fn start_redis(&mut self) -> Result<()> {
        let port = match self.redis {
            Some(port) => port,
            None => ports::free()?,
        };
        self.redis = Some(port);
        let args = words(&["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        self.parts.retain(|part| part.name() != REDIS);
        self.parts.push(Part::start(REDIS, Path::new("redis-server"), &args, &self.data.join("logs"))?);
        self.wait_until("the Redis", START_LIMIT, |_| Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()))
            .map(|_| ())
    }

    /// Starts a second gateway of the swarm on the first one's database, and waits until it sees the nodes.
    pub(super) fn start_second_gateway(&mut self) -> Result<()> {
        let known = self.known.clone();
        self.make_member(SECOND, &known, &["--gateway"])?;
        let (first, folder) = (self.data.join(GATEWAY), self.data.join(SECOND));
        std::os::unix::fs::symlink(first.join("starling.db"), folder.join("starling.db"))?;
        let port = ports::free()?;
        let http = format!("127.0.0.1:{port}");
        let mut args = words(&["run", "--no-port-mapping", "--titles", "words", "--http", &http]);
        args.extend(words(&["--listen", "/ip4/127.0.0.1/tcp/0", "--master-key"]));
        args.push(first.join("master.key").into());
        args.extend(self.shared());
        self.launch(SECOND, "starling-gateway", &args)?;
        self.wait_for_word(SECOND, "ready")?;
        let nodes = self.node_names().len().to_string();
        self.wait_until("the second gateway to see the nodes", START_LIMIT, |rig| {
            rig.check()?;
            Ok(rig.part(SECOND)?.said("nodes") == Some(&nodes))
        })?;
        self.second = Some(port);
        Ok(())
    }

    /// Starts a node that nobody knows yet; its name.
    pub(super) fn start_node(&mut self, scripted: &str, more: &[String]) -> Result<String> {
        let known = self.known.clone();
        self.start_node_at(&known, scripted, more)
    }

    /// Starts one beside the proxy.
    pub(super) fn start_direct_node(&mut self) -> Result<String> {
        let (known, scripted, more) = (self.direct.clone(), self.shape.scripted.clone(), self.shape.node.clone());
        self.start_node_at(&known, &scripted, &more)
    }

    fn start_node_at(&mut self, known: &[String], scripted: &str, more: &[String]) -> Result<String> {
        self.nodes_begun += 1;
        let name = format!("node-{}", self.nodes_begun);
        self.make_member(&name, known, &[])?;
        let mut args = words(&["run", "--no-port-mapping", "--name", &name, "--engine", "scripted"]);
        args.extend(words(&["--scripted", scripted]));
        args.extend(known.iter().flat_map(|address| ["--bootstrap".into(), address.into()]));
        args.extend(more.iter().map(OsString::from));
        self.launch(&name, "starling-node", &args)?;
        Ok(name)
    }

    /// Without an invite: that would cost a second, and it names the gateway's own address.
    fn make_member(&self, name: &str, known: &[String], more: &[&str]) -> Result<()> {
        let mut helper = self.helper(&["member"]);
        helper.args(more);
        helper.arg(self.data.join(name)).arg("--swarm-key").arg(self.data.join(GATEWAY).join("swarm.key"));
        for address in known {
            helper.args(["--address", address]);
        }
        process::output(&mut helper).context("no membership could be made").map(|_| ())
    }

    /// Starts nodes until so many are in sight and have a free slot.
    pub(super) fn keep_nodes(&mut self, count: usize) -> Result<()> {
        let (scripted, more) = (self.shape.scripted.clone(), self.shape.node.clone());
        while self.node_names().len() < count {
            self.start_node(&scripted, &more)?;
        }
        let names = self.node_names();
        self.wait_until("the nodes to be in sight", START_LIMIT, |rig| {
            let slots = rig.slots()?;
            Ok(names.iter().all(|name| slots.iter().any(|slots| slots.node == *name && slots.free > 0)))
        })
        .map(|_| ())
    }

    pub(super) fn node_names(&self) -> Vec<String> {
        let names = self.parts.iter().map(Part::name).filter(|name| name.starts_with("node-"));
        names.map(str::to_owned).collect()
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    pub(super) fn session(&self) -> Result<&Session> {
        self.session.as_ref().context("nobody has signed in")
    }

    /// An API key of the administrator's.
    pub(super) fn key(&mut self) -> Result<String> {
        if self.key.is_none() {
            self.key = Some(self.session()?.make_key("faults")?);
        }
        self.key.clone().context("no key")
    }

    pub(super) fn process(&self, name: &str) -> Result<u32> {
        Ok(self.part(name)?.id())
    }

    pub(super) fn door(&self) -> Result<Door> {
        let ports = [Some(self.http), self.second].into_iter().flatten();
        let addresses = ports.map(|port| ([127, 0, 0, 1], port).into()).collect();
        Ok(Door { addresses, access: self.session()?.access() })
    }

    /// Somebody asks a question that nobody has asked before.
    pub(super) fn ask(&mut self) -> Result<Reader> {
        self.asked += 1;
        let prompt = format!("What is number {} of {}?", self.asked, self.name);
        let expected = scripted::answer_to(&prompt, u32::try_from(self.shape.tokens)?);
        Ok(Reader::ask(&self.door()?, prompt, expected))
    }

    /// Asks, and waits until so many tokens have come.
    pub(super) fn ask_up_to(&mut self, tokens: usize) -> Result<Reader> {
        let reader = self.ask()?;
        match reader.wait_for_tokens(tokens, START_LIMIT, &self.ground.stop) {
            Ok(_) => Ok(reader),
            Err(why) => {
                let seen = reader.end(Duration::ZERO, &self.ground.stop)?;
                self.history.push((self.trial, seen));
                Err(why)
            }
        }
    }

    /// The node that gives this answer now.
    pub(super) fn node_of(&self, reader: &Reader) -> Result<String> {
        reader.look(|seen| seen.starts.last().map(|(_, name)| name.clone())).context("no node has begun")
    }

    /// Waits for the answer's end and writes it into the history.
    pub(super) fn finish(&mut self, reader: Reader, limit: Duration) -> Result<Seen> {
        let seen = reader.end(limit, &self.ground.stop)?;
        self.history.push((self.trial, seen.clone()));
        Ok(seen)
    }

    /// Waits until nothing runs any more, at most half a minute; what still does then.
    pub(super) fn settle(&mut self) -> Result<Vec<Wrong>> {
        let deadline = Instant::now() + SETTLE_LIMIT;
        loop {
            let rest = self.rest().map(|after| check_rest(&after));
            match rest {
                Ok(rest) if rest.is_empty() => return Ok(rest),
                rest if Instant::now() >= deadline => return rest,
                _ => self.pause()?,
            }
        }
    }

    /// What is left, without the database.
    fn rest(&self) -> Result<After> {
        let metrics = self.session()?.get("/metrics")?.into_body().read_to_string()?;
        Ok(After { stored: vec![], running: gauge(&metrics, "jobs_running")?, slots: self.slots()? })
    }

    /// All that is left.
    pub(super) fn after(&self) -> Result<After> {
        Ok(After { stored: self.stored()?, ..self.rest()? })
    }

    pub(super) fn stored(&self) -> Result<Vec<Stored>> {
        let mut helper = self.helper(&["messages"]);
        let lines = process::output(helper.arg(self.database())).context("the database cannot be read")?;
        lines.lines().map(|line| Ok(stored(&serde_json::from_str(line)?))).collect()
    }

    pub(super) fn database(&self) -> PathBuf {
        self.data.join(GATEWAY).join("starling.db")
    }

    /// What the gateway says of the nodes' slots.
    pub(super) fn slots(&self) -> Result<Vec<Slots>> {
        let view: Value = self.session()?.get("/api/swarm")?.into_body().read_json()?;
        let slots = |node: &Value| Slots {
            node: node["name"].as_str().unwrap_or_default().to_owned(),
            free: node["slots_free"].as_u64().unwrap_or_default(),
            total: node["slots_total"].as_u64().unwrap_or_default(),
        };
        Ok(view["nodes"].as_array().context("no nodes in the view")?.iter().map(slots).collect())
    }

    /// Of our own programs for this.
    pub(super) fn helper(&self, args: &[&str]) -> std::process::Command {
        let mut command = process::command(places::program(&self.ground.programs, "rig"));
        command.args(args);
        command
    }

    /// One that goes on running, and takes orders.
    pub(super) fn launch_helper(&mut self, name: &str, args: &[OsString]) -> Result<()> {
        let program = places::program(&self.ground.programs, "rig");
        self.parts.retain(|part| part.name() != name);
        self.parts.push(Part::start_obedient(name, &program, args, &self.data.join("logs"))?);
        Ok(())
    }

    /// Gives a helper an order, and waits until it is carried out.
    pub(super) fn order(&mut self, name: &str, order: &str) -> Result<Instant> {
        let part = self.parts.iter_mut().find(|part| part.name() == name).context("it does not run")?;
        part.news("done");
        part.order(order)?;
        self.wait_for_word(name, "done")?;
        Ok(Instant::now())
    }

    fn launch(&mut self, name: &str, program: &str, args: &[OsString]) -> Result<()> {
        let program = places::program(&self.ground.programs, program);
        ensure!(program.is_file(), "{} is not built", program.display());
        let mut args = [args, &["--data".into(), self.data.join(name).into()]].concat();
        let mut started = program.as_path();
        if !self.environment.is_empty() {
            args = [
                &self.environment.iter().map(OsString::from).collect::<Vec<_>>(),
                &[program.clone().into()][..],
                &args,
            ]
            .concat();
            started = Path::new("env");
        }
        self.parts.retain(|part| part.name() != name);
        self.parts.push(Part::start(name, started, &args, &self.data.join("logs"))?);
        Ok(())
    }

    /// Ends a program at once, as a power cut does, and waits until it is gone.
    pub(super) fn kill(&mut self, name: &str) -> Result<Instant> {
        self.signal(name, Signal::SIGKILL)?;
        let now = Instant::now();
        self.parts.retain(|part| part.name() != name);
        Ok(now)
    }

    /// Asks a program to end, and does not wait for it.
    pub(super) fn ask_to_end(&mut self, name: &str) -> Result<Instant> {
        self.part(name)?.ask_to_end();
        Ok(Instant::now())
    }

    /// Waits until a program that was asked to end has; how long that took.
    pub(super) fn wait_for_end(&mut self, name: &str) -> Result<Duration> {
        let (begun, stop) = (Instant::now(), self.ground.stop.clone());
        let part = self.parts.iter_mut().find(|part| part.name() == name).context("it does not run")?;
        part.wait_for_end(begun + END_LIMIT, &stop);
        self.parts.retain(|part| part.name() != name);
        Ok(begun.elapsed())
    }

    pub(super) fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        send(self.part(name)?.id(), signal)
    }

    /// The process of a node's engine.
    pub(super) fn engine_of(&self, node: &str) -> Result<u32> {
        children(self.part(node)?.id())?.first().copied().with_context(|| format!("{node} has no engine's process"))
    }

    /// Fails when one of the programs has ended that should run.
    pub(super) fn check(&mut self) -> Result<()> {
        self.parts.iter_mut().try_for_each(|part| part.check("while it was in use"))
    }

    pub(super) fn pause(&self) -> Result<()> {
        self.ground.stop.pause()
    }

    /// Lets time go by; it fails when we are asked to stop.
    pub(super) fn wait(&self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.pause()?;
        }
        Ok(())
    }

    pub(super) fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut is_so: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            let seen = is_so(self);
            if matches!(seen, Ok(true)) {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > limit {
                seen?;
                bail!("waited {} s for {what}", limit.as_secs());
            }
            self.pause()?;
        }
    }

    /// The newest value that a program has said for a key.
    pub(super) fn wait_for_word(&mut self, name: &str, key: &str) -> Result<String> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let part = self.parts.iter_mut().find(|part| part.name() == name).context("it does not run")?;
            let alive = part.check("too early");
            if let Some(value) = part.said(key) {
                return Ok(value.to_owned());
            }
            alive?;
            ensure!(Instant::now() < deadline, "{}", part.too_slow(key, START_LIMIT));
            self.ground.stop.pause()?;
        }
    }

    fn part(&self, name: &str) -> Result<&Part> {
        self.parts.iter().find(|part| part.name() == name).with_context(|| format!("{name} does not run"))
    }
}

pub(super) fn send(process: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(process)?), signal).with_context(|| format!("{signal} to {process}"))
}

pub(super) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// A port that was free a moment ago.
/// Processes that a process has started.
fn children(parent: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // Behind the name, which may hold anything: the state, then the parent.
        let of = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        if of == Some(parent) {
            found.push(process);
        }
    }
    Ok(found)
}

fn stored(message: &Value) -> Stored {
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    Stored { id: text("id"), role: text("role"), text: text("text"), status: text("status") }
}

/// A figure without labels of a page of metrics.
fn gauge(page: &str, name: &str) -> Result<u64> {
    let mut lines = page.lines().filter_map(|line| line.split_once(' '));
    let value = lines.find(|(found, _)| found.trim_start_matches("starling_") == name).map(|(_, value)| value);
    let value = value.with_context(|| format!("there is no {name} in the metrics"))?;
    Ok(value.parse::<f64>()? as u64)
}
