//! Models that are loaded when somebody asks for one, and unloaded when nobody has for a while.
//!
//! [`Shelf`] is what jobs and the status hold of them; [`Loader`] is the task that loads, one model after the other.
//! Which model goes to make room for another is decided in [`state`].

mod loader;
mod state;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use starling_inference::{Described, DeviceChoice, Kind as EngineKind, Source, describe};
use starling_protocol::{
    ModelId,
    limits::{MAX_LOAD_SECONDS, MAX_LOADABLE, MAX_MODEL_NAME_BYTES, MAX_REASON_BYTES},
    message::{Kind, LoadFailure, Loadable, Refusal},
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

pub(crate) use self::loader::Loader;
use self::{
    loader::Orders,
    state::{State, Verdict},
};
use crate::{
    convert::cut,
    engines::{Apart, Served},
};

/// How long a model is kept that nobody uses, where the owner says nothing.
const KEEP_LOADED: Duration = Duration::from_secs(600);
/// Reading a model from a disk, where nothing was measured: an older SSD.
const BYTES_PER_SECOND: f64 = 200e6;

/// What a node loads on demand.
#[derive(Clone, Debug)]
pub struct OnDemand {
    /// The models.
    pub sources: Vec<Source>,
    /// One that nobody has used for so long is unloaded.
    pub keep_loaded: Duration,
    /// Bytes that they may take together, besides what is free; none: no limit of their own.
    pub limit_bytes: Option<u64>,
    /// What they are computed on, whose free memory counts.
    pub device: DeviceChoice,
}

impl Default for OnDemand {
    fn default() -> Self {
        Self { sources: vec![], keep_loaded: KEEP_LOADED, limit_bytes: None, device: DeviceChoice::Auto }
    }
}

/// How many bytes are free for models.
pub(crate) type Room = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The models of a node that are loaded on demand. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<Inner>);

struct Inner {
    books: BTreeMap<ModelId, Book>,
    state: Mutex<State<Served>>,
    room: Room,
    wanted: mpsc::Sender<ModelId>,
    /// Whoever wants all of them unloaded hears when they are.
    freed: mpsc::Sender<oneshot::Sender<()>>,
    /// Something is loaded, being loaded or gone.
    changes: watch::Sender<()>,
}

/// One of the models.
struct Book {
    source: Source,
    described: Described,
    stage: watch::Sender<Stage>,
    measured: Mutex<Measured>,
}

/// What its loads have shown.
#[derive(Clone, Debug, Default)]
struct Measured {
    /// How long the last one took.
    took: Option<Duration>,
    /// Why the last one failed; empty when it did not.
    trouble: String,
}

/// Where a model is, for those who wait for it.
#[derive(Clone)]
pub(crate) enum Stage {
    /// Not loaded; if it was wanted, this is why.
    Away(LoadFailure),
    /// Being loaded; so far, in permille.
    Loading(u32),
    /// Loaded.
    Here(Served),
}

impl Stage {
    /// How far it is, while it is being loaded.
    pub(crate) fn permille(&self) -> Option<u32> {
        match self {
            Self::Loading(permille) => Some(*permille),
            Self::Away(_) | Self::Here(_) => None,
        }
    }
}

/// A job's right to a model: while it is held, the model is not unloaded.
pub(crate) struct Use {
    shelf: Shelf,
    model: ModelId,
}

/// A model that comes.
pub(crate) struct Coming {
    pub(crate) stage: watch::Receiver<Stage>,
    pub(crate) right: Use,
}

impl Shelf {
    /// Reads what the files say of themselves; what cannot be served is left out, and what is `served` anyway. Blocks,
    /// for as long as it takes to hash what is not known yet. Spawns nothing.
    pub(crate) fn new(on_demand: OnDemand, apart: Apart, served: &[ModelId], room: Room) -> (Self, Loader) {
        let mut books = BTreeMap::new();
        for source in on_demand.sources {
            let described = match describe(&source) {
                Ok(described) => described,
                Err(problem) => {
                    error!(%problem, hint = problem.hint(), "a model is NOT offered; the others are");
                    continue;
                }
            };
            let id = ModelId::new(described.id);
            if served.contains(&id) {
                continue;
            }
            if books.len() >= MAX_LOADABLE {
                warn!(model = described.name, "not offered: a node offers {MAX_LOADABLE} models at most");
                continue;
            }
            let stage = watch::Sender::new(Stage::Away(LoadFailure::Other));
            books.insert(id, Book { source, described, stage, measured: Mutex::default() });
        }
        let needs: Vec<_> = books.iter().map(|(id, book)| (*id, book.described.memory_bytes)).collect();
        let limit = on_demand.limit_bytes.unwrap_or(u64::MAX);
        let state = Mutex::new(State::new(needs, on_demand.keep_loaded, limit));
        // One load at a time, and so one order.
        let (wanted, orders) = mpsc::channel(1);
        let (freed, freeing) = mpsc::channel(1);
        let changes = watch::Sender::new(());
        let shelf = Self(Arc::new(Inner { books, state, room, wanted, freed, changes }));
        (shelf.clone(), Loader::new(shelf, Orders { wanted: orders, freeing }, apart))
    }

    /// Unloads all of them, and waits until their processes are gone. No job should want one meanwhile.
    pub(crate) async fn free(&self) {
        let (done, freed) = oneshot::channel();
        // An error means that the node ends, and they with it.
        if self.0.freed.send(done).await.is_ok() {
            let _ = freed.await;
        }
    }

    /// The models, loaded or not.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ModelId> {
        self.0.books.keys().copied()
    }

    /// Those that are loaded.
    pub(crate) fn served(&self) -> Vec<Served> {
        self.state().engines().map(|(_, served)| served.clone()).collect()
    }

    /// Those that are not, or not yet.
    pub(crate) fn loadable(&self) -> Vec<Loadable> {
        let here: Vec<ModelId> = self.state().engines().map(|(model, _)| *model).collect();
        self.0.books.iter().filter(|(id, _)| !here.contains(id)).map(|(id, book)| book.loadable(*id)).collect()
    }

    /// Wakes when one is loaded, begins to be, or goes.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// A job wants a model: it comes, if it is not here already. None: it is none of these.
    ///
    /// # Errors
    /// Why it does not come.
    pub(crate) fn want(&self, model: ModelId) -> Option<Result<Coming, Refusal>> {
        let book = self.0.books.get(&model)?;
        let verdict = self.change(|state| {
            if state.engines().any(|(id, served)| *id == model && is_lost(served)) {
                state.lost(model);
            }
            let verdict = state.want(model, (self.0.room)(), Instant::now());
            if let Some(Verdict::Load { gone }) = &verdict {
                gone.iter().for_each(|served| self.show(served.id, Stage::Away(LoadFailure::Other)));
                self.show(model, Stage::Loading(0));
            }
            verdict
        });
        match verdict? {
            Verdict::Busy => return Some(Err(Refusal::Busy)),
            Verdict::NoRoom => return Some(Err(Refusal::NotLoaded(LoadFailure::Memory))),
            Verdict::Here(_) | Verdict::Comes => {}
            // There is room for the order, since nothing else is being loaded.
            Verdict::Load { .. } if self.0.wanted.try_send(model).is_ok() => {}
            Verdict::Load { .. } => self.fails(model, LoadFailure::Other, "the node is stopping".to_owned()),
        }
        Some(Ok(Coming { stage: book.stage.subscribe(), right: Use { shelf: self.clone(), model } }))
    }

    /// Takes engines out of their places. They end with what comes back.
    fn unload(&self, choose: impl FnOnce(&mut State<Served>) -> Vec<Served>) -> Vec<Served> {
        self.change(|state| {
            let gone = choose(state);
            gone.iter().for_each(|served| self.show(served.id, Stage::Away(LoadFailure::Other)));
            gone
        })
    }

    fn fails(&self, model: ModelId, why: LoadFailure, trouble: String) {
        self.change(|state| {
            state.lost(model);
            if let Some(book) = self.0.books.get(&model) {
                book.measured().trouble = trouble;
            }
            self.show(model, Stage::Away(why));
        });
    }

    fn succeeds(&self, served: Served, took: Duration) {
        let (model, bytes) = (served.id, served.engine.info().memory_bytes);
        self.change(|state| {
            state.loaded(model, served.clone(), bytes, Instant::now());
            if let Some(book) = self.0.books.get(&model) {
                *book.measured() = Measured { took: Some(took), trouble: String::new() };
            }
            self.show(model, Stage::Here(served));
        });
    }

    /// Changes the state, and the stages that are shown with it, as one: nobody sees one without the other.
    fn change<T>(&self, change: impl FnOnce(&mut State<Served>) -> T) -> T {
        let changed = change(&mut self.state());
        self.0.changes.send_replace(());
        changed
    }

    fn show(&self, model: ModelId, stage: Stage) {
        if let Some(book) = self.0.books.get(&model) {
            book.stage.send_replace(stage);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<Served>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the node is started again, or the model is loaded anew.
fn is_lost(served: &Served) -> bool {
    let load = served.engine.load();
    let load = load.borrow();
    !load.alive && !load.restarting
}

impl Book {
    fn measured(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loadable(&self, model: ModelId) -> Loadable {
        let Described { name, kind, context_tokens, bytes, .. } = &self.described;
        let (kind, dimensions) = match kind {
            EngineKind::Chat => (Kind::Chat, 0),
            EngineKind::Embedding { dimensions } => (Kind::Embedding, *dimensions),
        };
        let loading = self.stage.borrow().permille();
        let Measured { took, trouble } = self.measured().clone();
        let guess = *bytes as f64 / BYTES_PER_SECOND;
        let seconds = took.map_or(guess, |took| took.as_secs_f64()).ceil().clamp(1.0, f64::from(MAX_LOAD_SECONDS));
        Loadable {
            kind,
            context_tokens: *context_tokens,
            dimensions,
            bytes: *bytes,
            loading,
            seconds: seconds as u32,
            trouble: cut(&trouble, MAX_REASON_BYTES),
            ..Loadable::new(model, cut(name, MAX_MODEL_NAME_BYTES))
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.shelf.state().release(self.model, Instant::now());
    }
}

#[cfg(test)]
mod tests;
