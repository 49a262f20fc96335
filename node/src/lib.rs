//! A node: engines on one side, the swarm on the other.
//!
//! [`start`] opens the engines, joins the swarm and spawns every task there is. It has no HTTP server
//! and no SQL, and the only text it handles passes through [`job`] on its way between the two.

mod accept;
mod announce;
pub mod bench;
pub mod config;
mod convert;
pub mod desk;
mod disk;
pub mod doctor;
mod engines;
mod fair;
pub mod hardware;
mod helper;
mod job;
pub mod membership;
pub mod models;
pub mod network;
pub mod polite;
pub mod selftest;
pub mod service;
mod shelf;
pub mod status;
pub mod tensorrt;
pub mod update;

use std::{sync::Arc, time::Duration};

use starling_protocol::{
    members::{self, Members, Standing},
    membership::Clock,
    program::Exit,
    swarm::{self, Handle},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info, info_span, warn};

pub use config::Config;
pub use engines::{Apart, Served};
pub use shelf::OnDemand;

/// Running answers get this long to finish when the node stops.
const GRACE: Duration = Duration::from_secs(10);

/// A running node.
pub struct Node {
    handle: Handle,
    members: Members,
    served: watch::Receiver<engines::Models>,
    stops: Stops,
    /// The few long-lived parts; each of them ends only when told to.
    parts: JoinSet<()>,
    jobs: TaskTracker,
}

/// The three things that are told to stop, in this order.
#[derive(Clone, Debug, Default)]
struct Stops {
    /// Take no more jobs.
    accepting: CancellationToken,
    /// End the jobs that still run.
    jobs: CancellationToken,
    /// Leave the swarm.
    swarm: CancellationToken,
}

impl Stops {
    /// From one pause to the next: ends with these, or before them.
    fn shift(&self) -> Self {
        let (accepting, jobs) = (self.accepting.child_token(), self.jobs.child_token());
        Self { accepting, jobs, swarm: self.swarm.clone() }
    }
}

/// Opens the engines and joins the swarm.
///
/// # Errors
/// When a model cannot be opened or an address cannot be listened on.
pub async fn start(config: Config) -> Result<Node, Exit> {
    // First what fails quickly: a port in use should not wait for a model to load.
    let (handle, inbound, actor) = swarm::new(config.swarm)?;
    let files = config.data.as_deref().map(membership::Files::new);
    let (members, introducing) = members::new(members::Config {
        swarm: handle.clone(),
        inbound: inbound.member,
        standing: Standing::Member(config.membership),
        revocations: files.as_ref().map(|files| files.revocations.clone()),
        membership: files.as_ref().map(|files| files.membership.clone()),
        clock: Clock::default(),
    })?;
    let hardware = hardware::Watcher::start()
        .map_err(|error| Exit::failed(format!("cannot start the thread that watches the hardware: {error}")))?;
    let (stops, jobs, mut parts) = (Stops::default(), TaskTracker::new(), JoinSet::new());
    let crew = polite::Crew::new(config.sources, config.tensorrt, config.engines.clone());
    let decided = crew.decided();
    let (mut polite, seen_pause) = polite::Polite::new(&config.polite, crew, &hardware, &stops).await?;
    polite.begin().await?;
    let usual = polite.crew().usual().await;
    let served = seen_pause.models.clone();
    let own: Vec<_> = usual.iter().map(|offer| offer.model).collect();
    let (room, apart, on_demand) = (hardware.room(config.on_demand.device), config.engines, config.on_demand);
    let offered = tokio::task::spawn_blocking(move || shelf::Shelf::new(on_demand, apart, &own, room));
    let (shelf, loader) = offered.await.map_err(|error| Exit::failed(format!("reading the models: {error}")))?;
    if usual.is_empty() && shelf.ids().next().is_none() {
        return Err(Exit::failed("there is no model to serve"));
    }
    parts.spawn(actor.run(stops.swarm.clone()));
    parts.spawn(introducing.run(stops.swarm.clone()).instrument(info_span!("members")));
    let (watching, stopping) = (membership::Files::watch(files, members.own()), stops.swarm.clone());
    parts.spawn(async move {
        stopping.run_until_cancelled(watching).await;
        stopping.cancelled().await;
    });
    handle.serve(usual.iter().map(|offer| offer.model).chain(shelf.ids()).collect()).await;
    let shift = &seen_pause.shift;
    parts.spawn(loader.run(shift.clone(), stops.swarm.clone()).instrument(info_span!("loader")));
    let shown = announce::Shown { name: config.name, polite: seen_pause.clone(), shelf: shelf.clone(), usual };
    let status = announce::Board::new(shown, hardware, handle.reachability(), stops.accepting.clone());
    let seen = status.subscribe();
    if let Some(data) = &config.data {
        match desk::Desk::open(data, handle.clone(), seen.clone(), seen_pause.pause.clone(), decided) {
            Ok(desk) => drop(parts.spawn(desk.run(stops.swarm.clone()).instrument(info_span!("desk")))),
            // A node that cannot be asked computes as well as any other.
            Err(error) => warn!(%error, "`starling-node status` will not find this node"),
        }
        match polite::Orders::open(data, seen_pause.orders.clone()) {
            Ok(orders) => drop(parts.spawn(orders.run(stops.swarm.clone()).instrument(info_span!("orders")))),
            Err(error) => warn!(%error, "`starling-node pause` will not find this node"),
        }
    }
    parts.spawn(status.run(stops.swarm.clone()).instrument(info_span!("status")));
    parts.spawn(announce::run(handle.clone(), seen, stops.swarm.clone()).instrument(info_span!("announce")));
    let serving = job::Jobs::new(served.clone(), shelf.clone(), shift.clone());
    let door = accept::Door { jobs: serving, stops: stops.clone(), tasks: jobs.clone() };
    parts.spawn(door.run(inbound.jobs).instrument(info_span!("accept")));
    let yielding = polite.run(handle.clone(), shelf, stops.swarm.clone());
    parts.spawn(yielding.instrument(info_span!("polite")));
    Ok(Node { handle, members, served, stops, parts, jobs })
}

impl Node {
    /// The swarm, for its addresses and peers.
    #[must_use]
    pub fn swarm(&self) -> &Handle {
        &self.handle
    }

    /// Who of the swarm is a member, and what we are ourselves.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The models served; none while it leaves the machine to others.
    #[must_use]
    pub fn models(&self) -> Arc<[Served]> {
        self.served.borrow().clone()
    }

    /// Runs until `cancel` and then stops in order.
    ///
    /// # Errors
    /// When a part ended by itself: better no node than half a one. An engine that died is no such part.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), Exit> {
        let broken = tokio::select! {
            () = cancel.cancelled() => None,
            Some(part) = self.parts.join_next() => Some(match part {
                Ok(()) => "a part of the node ended by itself".to_owned(),
                Err(error) => format!("a part of the node failed: {error}"),
            }),
        };
        self.stop(GRACE).await;
        broken.map_or(Ok(()), |what| Err(Exit::failed(what)))
    }

    /// Takes no more jobs, lets those that run finish for `grace`, ends the rest, leaves the swarm.
    pub async fn stop(mut self, grace: Duration) {
        self.stops.accepting.cancel();
        self.jobs.close();
        info!(jobs = self.jobs.len(), "taking no more jobs");
        if tokio::time::timeout(grace, self.jobs.wait()).await.is_err() {
            self.stops.jobs.cancel();
            self.jobs.wait().await;
        }
        self.stops.swarm.cancel();
        while self.parts.join_next().await.is_some() {}
    }
}
