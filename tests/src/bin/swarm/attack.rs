//! Strangers who try to fill a gateway up: false peers with many streams, connections that never say a word,
//! the first packets of QUIC connections that never go on.
//!
//! Whatever the gateway closes is opened again after a pause, so that the pressure stays. Prints what it holds,
//! once a second.

mod initials;
mod peer;
mod sockets;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use libp2p::{Multiaddr, multiaddr::Protocol};
use starling_protocol::program;
use tokio::task::JoinSet;
use tokio::time::sleep;

const TOLD: Duration = Duration::from_secs(1);

#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct Options {
    /// The victim's TCP address in the swarm.
    #[arg(long)]
    victim: Multiaddr,
    /// Its QUIC address.
    #[arg(long)]
    victim_quic: Option<Multiaddr>,
    /// False peers, each with a key of its own.
    #[arg(long, default_value_t = 1_000)]
    peers: usize,
    /// Streams of each.
    #[arg(long, default_value_t = 100)]
    streams: usize,
    /// Connections that never say a word.
    #[arg(long, default_value_t = 5_000)]
    sockets: usize,
    /// First packets of QUIC connections, sent once.
    #[arg(long, default_value_t = 3_000)]
    initials: usize,
    /// Peers, and connections, begun in a second: no more than one computer can begin both ends of.
    #[arg(long, default_value_t = 100)]
    begun: usize,
    /// How streams are misused: each number is one manner, see `stream.rs`.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 2, 3])]
    manners: Vec<usize>,
}

/// What is held now, over all attackers.
#[derive(Debug, Default)]
pub(crate) struct Held {
    peers: AtomicUsize,
    streams: AtomicUsize,
    sockets: AtomicUsize,
    initials: AtomicUsize,
}

/// One more, for as long as this lives.
struct One<'a>(&'a AtomicUsize);

impl<'a> One<'a> {
    fn more(of: &'a AtomicUsize) -> Self {
        of.fetch_add(1, Ordering::Relaxed);
        Self(of)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Attacks until stdin ends.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let victim = socket(&options.victim).context("the victim's address has no IP and port")?;
    let held = Arc::new(Held::default());
    let mut attackers = JoinSet::new();
    let delay = |index: usize| Duration::from_secs_f64(index as f64 / options.begun as f64);
    for index in 0..options.peers {
        attackers.spawn(peer::run(options.clone(), delay(index), held.clone()));
    }
    for index in 0..options.sockets {
        attackers.spawn(sockets::run(victim, delay(index) / 5, held.clone()));
    }
    if let Some(quic) = options.victim_quic.clone() {
        attackers.spawn(initials::run(quic, options.initials, held.clone()));
    }
    tokio::select! {
        ended = stdin_ended() => ended,
        () = tell(&held) => Ok(()),
    }
}

async fn stdin_ended() -> Result<()> {
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    Ok(())
}

async fn tell(held: &Held) {
    loop {
        sleep(TOLD).await;
        let [peers, streams, sockets, initials] =
            [&held.peers, &held.streams, &held.sockets, &held.initials].map(|count| count.load(Ordering::Relaxed));
        program::say(format_args!("held {peers} {streams} {sockets} {initials}"));
    }
}

fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

impl Options {
    /// As flags, for another process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let flag = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
        let counts =
            [("peers", self.peers), ("streams", self.streams), ("sockets", self.sockets), ("initials", self.initials)];
        let mut flags = vec![flag("victim", &self.victim)];
        flags.extend(self.victim_quic.iter().map(|address| flag("victim-quic", address)));
        flags.extend(self.manners.iter().map(|manner| flag("manners", manner)));
        flags.extend(counts.iter().map(|(name, count)| flag(name, count)));
        flags
    }
}
