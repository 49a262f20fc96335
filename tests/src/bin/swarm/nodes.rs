//! One process of nodes: real libp2p, scripted engines.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use starling_inference::Source;
use starling_node::{Apart, Node, OnDemand};
use starling_protocol::{
    Identity,
    membership::{Clock, MemberRole, Membership, SwarmKey},
    program,
    swarm::{self, Multiaddr, PeerId, Role},
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;

use crate::now;

/// Who leaves in order lets its answers finish for this long, as the program does.
const GRACE: Duration = Duration::from_secs(10);

#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct Options {
    /// The swarm's key, as it lies in its founder's folder: nodes make themselves members with it, so that joining
    /// is no part of what is measured.
    #[arg(long)]
    pub(crate) swarm_key: PathBuf,
    /// Peers to begin with.
    #[arg(long, value_parser = swarm::parse_bootstrap)]
    pub(crate) bootstrap: Vec<Multiaddr>,
    /// Where each node listens.
    #[arg(long, default_values = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"])]
    pub(crate) listen: Vec<Multiaddr>,
    /// What the nodes log on stderr.
    #[arg(long, env = "STARLING_LOG", default_value = "error")]
    pub(crate) log: String,
    /// The scripted engine's options.
    #[arg(long)]
    pub(crate) scripted: String,
}

/// Runs until stdin ends.
pub(crate) async fn run(options: &Options) -> Result<()> {
    program::init_log(&options.log).map_err(|exit| anyhow::anyhow!("{exit:?}"))?;
    let key = copied(&options.swarm_key)?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut starting: JoinSet<Result<Node>> = JoinSet::new();
    let mut leaving = JoinSet::new();
    // The oldest first.
    let mut nodes: VecDeque<Node> = VecDeque::new();
    loop {
        tokio::select! {
            order = orders.next_line() => match order?.as_deref() {
                None => return Ok(()),
                Some("start") => drop(starting.spawn(start(options.clone(), key.clone()))),
                Some("leave") => {
                    if let Some(node) = take(&mut nodes) {
                        leaving.spawn(node.stop(GRACE));
                    }
                }
                Some("kill") => drop(take(&mut nodes)),
                Some(other) => bail!("what is {other:?}?"),
            },
            Some(node) = starting.join_next() => nodes.push_back(node??),
            Some(_) = leaving.join_next() => {}
        }
    }
}

/// The one that has been here longest, which ends now.
fn take(nodes: &mut VecDeque<Node>) -> Option<Node> {
    let node = nodes.pop_front()?;
    say("ended", node.swarm().local_peer(), now());
    Some(node)
}

/// The file itself is in use: its owner keeps it locked.
fn copied(key: &Path) -> Result<SwarmKey> {
    let dir = tempfile::tempdir()?;
    let copy = dir.path().join("swarm.key");
    std::fs::copy(key, &copy).with_context(|| format!("no swarm's key at {}", key.display()))?;
    Ok(SwarmKey::load_or_create(&copy)?)
}

async fn start(options: Options, key: SwarmKey) -> Result<Node> {
    let began = now();
    let identity = Identity::generate().context("no identity")?;
    let certificate = key.certify(identity.peer(), MemberRole::Node, Clock::default().now());
    let config = starling_node::Config {
        membership: Membership { certificate, addresses: vec![] },
        swarm: swarm::Config {
            identity,
            swarm: Some(key.id()),
            role: Role::Node,
            listen: options.listen,
            external: vec![],
            bootstrap: options.bootstrap,
            serve_relay: false,
            port_mapping: false,
            address_book: None,
            passing: false,
            agent: "bench".to_owned(),
        },
        name: "bench node".to_owned(),
        sources: vec![Source::Scripted(options.scripted.parse()?)],
        engines: Apart::default(),
        on_demand: OnDemand::default(),
        polite: starling_node::polite::Options::default(),
        tensorrt: None,
        data: None,
    };
    let node = Box::pin(starling_node::start(config)).await;
    let node = node.map_err(|exit| anyhow::anyhow!("a node did not start: {exit:?}"))?;
    say("started", node.swarm().local_peer(), began);
    Ok(node)
}

fn say(what: &str, peer: PeerId, at: f64) {
    program::say(format_args!("{what} {peer} {at}"));
}

impl Options {
    /// As flags, for another process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let flag = |name: &str, value: String| format!("--{name}={value}");
        let mut flags =
            vec![flag("swarm-key", self.swarm_key.display().to_string()), flag("scripted", self.scripted.clone())];
        flags.push(flag("log", self.log.clone()));
        flags.extend(self.bootstrap.iter().map(|address| flag("bootstrap", address.to_string())));
        flags.extend(self.listen.iter().map(|address| flag("listen", address.to_string())));
        flags
    }
}
