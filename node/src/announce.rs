//! Tells every gateway what this node offers and how busy it is.
//!
//! [`Board`] puts the state together, as a level that others watch; [`run`] keeps one task for each
//! connected gateway, which pushes that level on change and at least once a second.

use std::{
    collections::{HashMap, HashSet},
    io,
    time::Duration,
};

use starling_protocol::{
    frame,
    limits::{MAX_LABEL_BYTES, MAX_REASON_BYTES, STATUS_INTERVAL},
    membership::MemberRole,
    message::{Loadable, Network, Offer, Status},
    swarm::{Handle, Peer, PeerId, Reachability},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use crate::{
    convert::{self, cut},
    engines::{Models, Served},
    hardware::{Hardware, Watcher},
    network,
    shelf::Shelf,
};

/// Between two pushes at least: under load a slot changes hands hundreds of times a second.
const MIN_INTERVAL: Duration = Duration::from_millis(20);
/// Before a broken status stream is opened again.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Gateways told at one time.
const MAX_GATEWAYS: usize = 64;

/// Puts the node's status together.
pub(crate) struct Board {
    models: Models,
    shelf: Shelf,
    hardware: Watcher,
    reachability: watch::Receiver<Reachability>,
    stopping: CancellationToken,
    status: watch::Sender<Status>,
}

impl Board {
    pub(crate) fn new(
        name: &str,
        (models, shelf): (Models, Shelf),
        hardware: Watcher,
        reachability: watch::Receiver<Reachability>,
        stopping: CancellationToken,
    ) -> Self {
        let (device, warning) = about(&models);
        let status = Status {
            name: cut(name, MAX_LABEL_BYTES),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device,
            offers: offers(&models),
            loadable: shelf.loadable(),
            warning,
            ..Status::default()
        };
        Self { models, shelf, hardware, reachability, stopping, status: watch::channel(status).0 }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Keeps the status true until `cancel`.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let (mut changes, mut watched) = (JoinSet::new(), HashSet::new());
        let mut hardware = self.hardware.seen();
        let mut shelf = self.shelf.changes();
        loop {
            let served = self.served();
            // One that was unloaded may come again, with another engine.
            watched.retain(|id| served.iter().any(|model| model.id == *id));
            for model in served.iter().filter(|model| watched.insert(model.id)) {
                changes.spawn(next_change(model.engine.load()));
            }
            drop(served);
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.stopping.cancelled(), if !self.status.borrow().stopping => {}
                Some(Ok(Some(load))) = changes.join_next() => { changes.spawn(next_change(load)); }
                Ok(()) = shelf.changed() => {}
                Ok(()) = hardware.changed() => {}
                Ok(()) = self.reachability.changed() => {}
            }
            let network = network::to_wire(&self.reachability.borrow_and_update());
            let figures = hardware.borrow_and_update().clone();
            let served = self.served();
            let models = (offers(&served), self.shelf.loadable());
            self.status.send_if_modified(|status| {
                (status.device, status.warning) = about(&served);
                update(status, models, self.stopping.is_cancelled(), figures, network)
            });
        }
    }

    /// All that are loaded.
    fn served(&self) -> Vec<Served> {
        self.models.iter().cloned().chain(self.shelf.served()).collect()
    }
}

/// What computes, and what the owner should know of it.
fn about(served: &[Served]) -> (String, String) {
    let device = served.first().map(|model| model.engine.info().device.clone()).unwrap_or_default();
    (cut(&device, MAX_LABEL_BYTES), cut(&warning(served), MAX_REASON_BYTES))
}

/// Brings the status up to date; true when that is worth a push.
fn update(
    status: &mut Status,
    (offers, loadable): (Vec<Offer>, Vec<Loadable>),
    stopping: bool,
    figures: Hardware,
    network: Network,
) -> bool {
    // How far a load has come is a figure for people; that one begins or ends is not.
    let which = |models: &[Loadable]| models.iter().map(|one| (one.model, one.loading.is_some())).collect::<Vec<_>>();
    let changed = (&status.offers, status.stopping, which(&status.loadable)) != (&offers, stopping, which(&loadable));
    (status.offers, status.loadable, status.stopping) = (offers, loadable, stopping);
    // Figures for people go along with the next push, which is a second away at most: a push of their own
    // would hold up the change of a slot.
    (status.gpus, status.ram, status.network) = (figures.gpus, figures.ram, network);
    changed
}

/// What the owner should know of any model, each thing once.
fn warning(models: &[Served]) -> String {
    let mut warnings: Vec<&str> = vec![];
    for model in models.iter() {
        let warning = model.engine.info().warning.as_str();
        if !warning.is_empty() && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings.join("; ")
}

type LoadSeen = watch::Receiver<starling_inference::Load>;

/// Waits for one change of a model's engine; none when there will be no more.
async fn next_change(mut load: LoadSeen) -> Option<LoadSeen> {
    load.changed().await.ok()?;
    load.borrow_and_update();
    Some(load)
}

fn offers(models: &[Served]) -> Vec<Offer> {
    models.iter().filter_map(|model| convert::offer(model.id, &model.engine)).collect()
}

/// Pushes to every gateway of the swarm that is connected, until `cancel`.
pub(crate) async fn run(swarm: Handle, status: watch::Receiver<Status>, cancel: CancellationToken) {
    let mut peers = swarm.peers();
    let mut told: HashMap<PeerId, DropGuard> = HashMap::new();
    loop {
        let gateways: Vec<PeerId> = {
            let peers = peers.borrow_and_update();
            peers.iter().filter(|(_, peer)| is_ours(peer)).map(|(id, _)| *id).take(MAX_GATEWAYS).collect()
        };
        told.retain(|gateway, _| gateways.contains(gateway));
        for gateway in gateways {
            told.entry(gateway).or_insert_with(|| {
                let stop = cancel.child_token();
                let push = push(swarm.clone(), gateway, status.clone());
                tokio::spawn({
                    let stop = stop.clone();
                    async move { stop.run_until_cancelled(push).await }
                });
                stop.drop_guard()
            });
        }
        match cancel.run_until_cancelled(peers.changed()).await {
            Some(Ok(())) => {}
            _ => return,
        }
    }
}

/// A gateway that has shown its certificate, and has seen ours.
fn is_ours(peer: &Peer) -> bool {
    peer.takes_status && peer.member == Some(MemberRole::Gateway)
}

async fn push(swarm: Handle, gateway: PeerId, mut status: watch::Receiver<Status>) {
    loop {
        match push_until_broken(&swarm, gateway, &mut status).await {
            Ok(()) => return,
            Err(error) => debug!(%gateway, %error, "the status stream broke"),
        }
        sleep(RETRY_DELAY).await;
    }
}

/// Ends well only when there is no more status.
async fn push_until_broken(swarm: &Handle, gateway: PeerId, status: &mut watch::Receiver<Status>) -> io::Result<()> {
    let mut stream = swarm.open_status(gateway).await.map_err(io::Error::other)?;
    loop {
        let now = status.borrow_and_update().clone();
        frame::write(&mut stream, &now).await?;
        sleep(MIN_INTERVAL).await;
        if let Ok(Err(_)) = timeout(STATUS_INTERVAL, status.changed()).await {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use starling_protocol::{
        ModelId,
        message::{Gpu, Memory},
    };

    use super::*;

    #[test]
    fn figures_ride_along_and_slots_are_pushed() {
        let offer = |slots_free| Offer { slots: 2, slots_free, ..Offer::new(ModelId::new([1; 32]), "m") };
        let mut status = Status { offers: vec![offer(2)], ..Status::default() };
        let hot = Hardware {
            gpus: vec![Gpu { temperature_celsius: Some(80), ..Gpu::default() }],
            ram: Memory { total: 2, used: 1 },
        };
        assert!(
            !update(&mut status, (vec![offer(2)], vec![]), false, hot.clone(), Network::default()),
            "a warmer card is no news to a scheduler"
        );
        assert_eq!((status.gpus[0].temperature_celsius, status.ram.used), (Some(80), 1));
        assert!(update(&mut status, (vec![offer(1)], vec![]), false, hot.clone(), Network::default()));
        assert!(update(&mut status, (vec![offer(1)], vec![]), true, hot.clone(), Network::default()));
        let other = |loading| vec![Loadable { loading, ..Loadable::new(ModelId::new([2; 32]), "other") }];
        for (loading, is_news) in [(None, true), (Some(1), true), (Some(500), false), (None, true)] {
            let models = (vec![offer(1)], other(loading));
            assert_eq!(update(&mut status, models, true, hot.clone(), Network::default()), is_news, "{loading:?}");
        }
    }
}
