//! Tells every gateway what this node offers and how busy it is.
//!
//! [`Board`] puts the state together, as a level that others watch; [`run`] keeps one task for each
//! connected gateway, which pushes that level on change and at least once a second.

use std::{
    collections::{HashMap, HashSet},
    io,
    time::{Duration, Instant},
};

use starling_protocol::{
    frame,
    limits::{MAX_LABEL_BYTES, MAX_PAUSE_SECONDS, MAX_REASON_BYTES, STATUS_INTERVAL},
    membership::MemberRole,
    message::{Loadable, Network, Offer, Paused, Status},
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
    polite::{Pause, Seen, Stage},
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
    models: watch::Receiver<Models>,
    shelf: Shelf,
    pause: watch::Receiver<Option<Pause>>,
    hardware: Watcher,
    reachability: watch::Receiver<Reachability>,
    stopping: CancellationToken,
    status: watch::Sender<Status>,
    /// What was offered before the models were freed, or will be.
    usual: Vec<Offer>,
}

/// What a board shows.
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) polite: Seen,
    pub(crate) shelf: Shelf,
    /// What will be offered once it is loaded.
    pub(crate) usual: Vec<Offer>,
}

impl Board {
    pub(crate) fn new(
        shown: Shown,
        hardware: Watcher,
        reachability: watch::Receiver<Reachability>,
        stopping: CancellationToken,
    ) -> Self {
        let Shown { name, polite, shelf, usual } = shown;
        let status = Status {
            name: cut(&name, MAX_LABEL_BYTES),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Status::default()
        };
        let (models, pause, status) = (polite.models, polite.pause, watch::channel(status).0);
        let mut board = Self { models, shelf, pause, hardware, reachability, stopping, status, usual };
        board.refresh();
        board
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Keeps the status true until `cancel`.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let (mut changes, mut watched) = (JoinSet::new(), HashSet::new());
        let mut hardware = self.hardware.seen();
        let mut shelf = self.shelf.changes();
        let mut turn = PauseTurn { models: self.models.clone(), pause: self.pause.clone() };
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
                Ok(()) = turn.changed() => {}
            }
            self.refresh();
        }
    }

    /// Brings the status up to date, and wakes those who push it where that is worth it.
    fn refresh(&mut self) {
        let network = network::to_wire(&self.reachability.borrow());
        let figures = self.hardware.seen().borrow().clone();
        let (served, pause) = (self.served(), self.pause.borrow().clone());
        let offers = self.offers(&served, pause.as_ref());
        let now = Now {
            stopping: self.stopping.is_cancelled() || pause.is_some(),
            paused: pause.as_ref().map(to_wire),
            loadable: self.shelf.loadable(),
            offers,
            figures,
            network,
        };
        self.status.send_if_modified(|status| {
            (status.device, status.warning) = about(&served);
            if let Some(trouble) = pause.map(|pause| pause.trouble).filter(|trouble| !trouble.is_empty()) {
                status.warning = cut(&format!("the models could not be loaded again: {trouble}"), MAX_REASON_BYTES);
            }
            update(status, now)
        });
    }

    /// What is offered; while nothing is loaded, what usually is, and no slot of it.
    fn offers(&mut self, served: &[Served], pause: Option<&Pause>) -> Vec<Offer> {
        let offers = offers(served);
        if pause.is_none_or(|pause| pause.stage == Stage::Light) {
            self.usual.clone_from(&offers);
            return offers;
        }
        let asleep = |offer: &Offer| {
            let (prefixes, trouble) = (vec![], String::new());
            let (slots, slots_free, memory_bytes, throughput_tokens_per_second) = (0, 0, 0, 0.0);
            Offer { slots, slots_free, memory_bytes, throughput_tokens_per_second, prefixes, trouble, ..offer.clone() }
        };
        self.usual.iter().map(asleep).collect()
    }

    /// All that are loaded.
    fn served(&self) -> Vec<Served> {
        self.models.borrow().iter().cloned().chain(self.shelf.served()).collect()
    }
}

/// Both that change with a pause.
struct PauseTurn {
    models: watch::Receiver<Models>,
    pause: watch::Receiver<Option<Pause>>,
}

impl PauseTurn {
    async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        tokio::select! {
            changed = self.models.changed() => changed,
            changed = self.pause.changed() => changed,
        }
    }
}

/// A pause, as the swarm hears of it: the kind, and no more.
fn to_wire(pause: &Pause) -> Paused {
    let seconds = pause.back.map(|back| back.saturating_duration_since(Instant::now()).as_secs());
    let seconds = seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX).min(MAX_PAUSE_SECONDS));
    Paused { kind: pause.kind, seconds, returning: pause.stage == Stage::Returning }
}

/// What computes, and what the owner should know of it.
fn about(served: &[Served]) -> (String, String) {
    let device = served.first().map(|model| model.engine.info().device.clone()).unwrap_or_default();
    (cut(&device, MAX_LABEL_BYTES), cut(&warning(served), MAX_REASON_BYTES))
}

/// How it is now.
#[derive(Clone, Default)]
struct Now {
    offers: Vec<Offer>,
    loadable: Vec<Loadable>,
    stopping: bool,
    paused: Option<Paused>,
    figures: Hardware,
    network: Network,
}

/// Brings the status up to date; true when that is worth a push.
fn update(status: &mut Status, now: Now) -> bool {
    let Now { offers, loadable, stopping, paused, figures, network } = now;
    // How far a load has come is a figure for people; that one begins or ends is not.
    let which = |models: &[Loadable]| models.iter().map(|one| (one.model, one.loading.is_some())).collect::<Vec<_>>();
    // Nor is how long a pause still lasts.
    let why = |paused: Option<Paused>| paused.map(|paused| Paused { seconds: None, ..paused });
    let is = (&offers, stopping, why(paused), which(&loadable));
    let changed = (&status.offers, status.stopping, why(status.paused), which(&status.loadable)) != is;
    (status.offers, status.loadable, status.stopping, status.paused) = (offers, loadable, stopping, paused);
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
        message::{Gpu, Memory, PauseKind},
    };

    use super::*;

    #[test]
    fn figures_ride_along_and_slots_are_pushed() {
        let offer = |slots_free| Offer { slots: 2, slots_free, ..Offer::new(ModelId::new([1; 32]), "m") };
        let mut status = Status { offers: vec![offer(2)], ..Status::default() };
        let hot = Hardware {
            gpus: vec![Gpu { temperature_celsius: Some(80), ..Gpu::default() }],
            ram: Memory { total: 2, used: 1 },
            ..Hardware::default()
        };
        let now = Now { offers: vec![offer(2)], figures: hot, ..Now::default() };
        assert!(!update(&mut status, now.clone()), "a warmer card is no news to a scheduler");
        assert_eq!((status.gpus[0].temperature_celsius, status.ram.used), (Some(80), 1));
        let now = Now { offers: vec![offer(1)], ..now };
        assert!(update(&mut status, now.clone()));
        let now = Now { stopping: true, ..now };
        assert!(update(&mut status, now.clone()));
        let pause = |seconds, returning| Some(Paused { kind: PauseKind::Battery, seconds, returning });
        for (paused, is_news) in [
            (pause(None, false), true),
            (pause(Some(30), false), false),
            (pause(Some(29), false), false),
            (pause(None, true), true),
        ] {
            assert_eq!(update(&mut status, Now { paused, ..now.clone() }), is_news, "{paused:?}");
            assert_eq!(status.paused, paused);
        }
        assert!(update(&mut status, now.clone()));
        let other = |loading| vec![Loadable { loading, ..Loadable::new(ModelId::new([2; 32]), "other") }];
        for (loading, is_news) in [(None, true), (Some(1), true), (Some(500), false), (None, true)] {
            let now = Now { loadable: other(loading), ..now.clone() };
            assert_eq!(update(&mut status, now), is_news, "{loading:?}");
        }
    }
}
