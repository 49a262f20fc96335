//! The task that loads models and unloads them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use starling_inference::{Handle, OpenError, Progress, Reason, host::Host};
use starling_protocol::{ModelId, limits::LOADING_STALL, message::LoadFailure};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Shelf, Stage, state::State};
use crate::{
    Stops,
    engines::{self, Apart, Served},
};

/// How often it looks for models that nobody uses.
const LOOK: Duration = Duration::from_secs(1);
/// What an engine that has to go may take for it.
const LAST_MOMENT: Duration = Duration::from_secs(5);
/// Memory that was given back is not there at once.
const SETTLING: Duration = Duration::from_secs(1);

/// Loads what is wanted. Run it once.
pub(crate) struct Loader {
    shelf: Shelf,
    orders: Orders,
    apart: Apart,
    /// What keeps the processes of the engines.
    hosts: HashMap<ModelId, JoinHandle<()>>,
}

/// What a loader is told.
pub(super) struct Orders {
    /// A model to load.
    pub(super) wanted: mpsc::Receiver<ModelId>,
    /// All of them are to go.
    pub(super) freeing: mpsc::Receiver<oneshot::Sender<()>>,
}

/// Why a load has failed.
struct Failed {
    why: LoadFailure,
    what: String,
}

type Opened = Result<(Handle, Option<Host>), Failed>;

impl Loader {
    pub(super) fn new(shelf: Shelf, orders: Orders, apart: Apart) -> Self {
        Self { shelf, orders, apart, hosts: HashMap::new() }
    }

    /// Runs until `cancel`; then all of its engines end. When a shift takes no more jobs, the load that is under way is
    /// given up.
    pub(crate) async fn run(mut self, shift: watch::Receiver<Stops>, cancel: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(model) = self.orders.wanted.recv() => {
                    let accepting = shift.borrow().accepting.clone();
                    if accepting.run_until_cancelled(self.load(model)).await.is_none() {
                        self.shelf.fails(model, LoadFailure::Other, String::new());
                    }
                }
                Some(done) = self.orders.freeing.recv() => {
                    drop(self.shelf.unload(State::unload_all));
                    self.settle().await;
                    // Whoever wanted it may have gone.
                    let _ = done.send(());
                }
                _ = looks.tick() => self.unload_idle(),
            }
        }
        for host in self.hosts.into_values() {
            host.abort();
            let _ = host.await;
        }
    }

    fn unload_idle(&mut self) {
        // Looked at first: a change wakes whoever tells the gateways.
        if self.shelf.state().is_any_over(Instant::now()) {
            for served in self.shelf.unload(|state| state.unload_idle(Instant::now())) {
                info!(model = served.engine.info().name, "unloaded: nobody has used it for a while");
            }
        }
    }

    async fn load(&mut self, model: ModelId) {
        let begin = Instant::now();
        let opened = loop {
            self.settle().await;
            let opened = self.open(model).await;
            let short = matches!(&opened, Err(failed) if failed.why == LoadFailure::Memory);
            let gone = if short { self.shelf.unload(|state| state.make_room().into_iter().collect()) } else { vec![] };
            let Some(served) = gone.first() else { break opened };
            info!(model = served.engine.info().name, "unloaded, to make room");
            drop(gone);
            self.settle().await;
            sleep(SETTLING).await;
        };
        match opened {
            Ok((engine, host)) => self.loaded(model, engine, host, begin.elapsed()),
            Err(Failed { why, what }) => {
                warn!(problem = what, "a model could not be loaded");
                self.shelf.fails(model, why, what);
            }
        }
    }

    /// Waits until the processes of engines that had to go are gone, so that their memory is free.
    async fn settle(&mut self) {
        let here: Vec<ModelId> = self.shelf.state().engines().map(|(model, _)| *model).collect();
        let gone: Vec<ModelId> = self.hosts.keys().filter(|model| !here.contains(model)).copied().collect();
        for model in gone {
            let Some(mut host) = self.hosts.remove(&model) else { continue };
            if timeout(LAST_MOMENT, &mut host).await.is_err() {
                host.abort();
                let _ = host.await;
            }
        }
    }

    /// Opens the engine, and shows how far that is. One that comes no further is given up.
    async fn open(&self, model: ModelId) -> Opened {
        let other = |what: &str| Failed { why: LoadFailure::Other, what: what.to_owned() };
        let Some(book) = self.shelf.0.books.get(&model) else { return Err(other("there is no such model")) };
        let progress = Progress::new();
        let mut seen = progress.seen();
        let opening = engines::load(book.source.clone(), &self.apart, &progress);
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => {
                    let (engine, host) = opened.map_err(failed)?;
                    if engine.info().id == book.described.id {
                        return Ok((engine, host));
                    }
                    return Err(Failed { why: LoadFailure::File, what: "the file is another one now".to_owned() });
                }
                moved = timeout(LOADING_STALL, seen.changed()) => match moved {
                    Ok(Ok(())) => drop(book.stage.send_replace(Stage::Loading(*seen.borrow_and_update()))),
                    Ok(Err(_)) => return Err(other("its engine was never opened")),
                    Err(_) => {
                        let what = format!("it came no further for {} s", LOADING_STALL.as_secs());
                        return Err(Failed { why: LoadFailure::Stalled, what });
                    }
                },
            }
        }
    }

    fn loaded(&mut self, model: ModelId, engine: Handle, host: Option<Host>, took: Duration) {
        let info = engine.info();
        info!(model = info.name, slots = info.slots, device = info.device, seconds = took.as_secs_f32(), "loaded");
        if !info.warning.is_empty() {
            warn!(model = info.name, "{}", info.warning);
        }
        if let Some(host) = host {
            self.hosts.insert(model, tokio::spawn(host.run()));
        }
        self.shelf.succeeds(Served { id: model, engine }, took);
    }
}

fn failed(error: OpenError) -> Failed {
    let why = match error.reason() {
        Reason::Memory => LoadFailure::Memory,
        Reason::File => LoadFailure::File,
        Reason::Other => LoadFailure::Other,
    };
    Failed { why, what: error.to_string() }
}
