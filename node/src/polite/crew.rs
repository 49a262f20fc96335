//! The models that a node serves from its start on: loaded, freed for whoever needs the machine, and loaded again.

use std::time::Duration;

use starling_inference::{Described, Kind as EngineKind, Source, describe};
use starling_protocol::{
    ModelId,
    limits::{MAX_MODEL_NAME_BYTES, MAX_OFFERS},
    message::{Kind, Offer},
    program::Exit,
};
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep_until},
};

use crate::{
    convert::{self, cut},
    engines::{self, Apart, Models, Served},
    tensorrt::choose::{Decided, Wish, settle},
};

/// What an engine that has to go may take for it; then its process is ended.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// Keeps them. Whoever drops it ends their processes.
pub(crate) struct Crew {
    sources: Vec<Source>,
    /// Until it is known which engine serves each.
    wish: Option<Wish>,
    decided: watch::Sender<Vec<Decided>>,
    apart: Apart,
    models: watch::Sender<Models>,
    hosts: JoinSet<()>,
    /// Says when one is lost.
    mourners: JoinSet<()>,
}

impl Crew {
    /// Nothing is loaded yet.
    pub(crate) fn new(sources: Vec<Source>, wish: Option<Wish>, apart: Apart) -> Self {
        let (hosts, mourners, decided) = (JoinSet::new(), JoinSet::new(), watch::Sender::new(vec![]));
        Self { sources, wish, decided, apart, models: watch::Sender::new(Models::from([])), hosts, mourners }
    }

    /// Those that are loaded, as a level.
    pub(crate) fn models(&self) -> watch::Receiver<Models> {
        self.models.subscribe()
    }

    /// Which engines serve them, and why; nothing before they are loaded first.
    pub(crate) fn decided(&self) -> watch::Receiver<Vec<Decided>> {
        self.decided.subscribe()
    }

    /// What it offers while all is loaded; where nothing is yet, what its files say.
    pub(crate) async fn usual(&self) -> Vec<Offer> {
        let loaded = self.models.borrow().clone();
        if !loaded.is_empty() {
            return loaded.iter().filter_map(|model| convert::offer(model.id, &model.engine)).collect();
        }
        let sources = self.sources.clone();
        // What cannot be described cannot be loaded either, and its owner is told then.
        let described = spawn_blocking(move || sources.iter().filter_map(|source| describe(source).ok()).collect());
        let described: Vec<Described> = described.await.unwrap_or_default();
        described.into_iter().take(MAX_OFFERS).map(to_come).collect()
    }

    /// Loads all that can be, on the engines that are the best here: the first time that is tested, which takes the card.
    /// Dropping the future gives it up, and ends what was begun.
    ///
    /// # Errors
    /// When there is none that can be, unless there is none at all, or an engine that was asked for by name cannot be had.
    pub(crate) async fn load(&mut self) -> Result<(), Exit> {
        if let Some(wish) = &self.wish {
            let (sources, decided) = settle(self.sources.clone(), wish, &self.apart).await?;
            (self.sources, self.wish) = (sources, None);
            self.decided.send_replace(decided);
        }
        let (models, hosts) = engines::open(self.sources.clone(), &self.apart).await?;
        for host in hosts {
            self.hosts.spawn(host.run());
        }
        self.mourners.spawn(engines::mourn(models.clone()));
        self.models.send_replace(models);
        Ok(())
    }

    /// Ends the engines and waits until their processes are gone, and so their memory is free. No answer should run.
    pub(crate) async fn free(&mut self) {
        self.mourners.shutdown().await;
        let gone: Vec<Served> = self.models.send_replace(Models::from([])).to_vec();
        let loads: Vec<_> = gone.iter().map(|model| model.engine.load()).collect();
        // They end with their last handle, which a job that is just over may still have.
        drop(gone);
        let deadline = Instant::now() + LAST_MOMENT;
        let gone = async {
            while self.hosts.join_next().await.is_some() {}
            for mut load in loads {
                // An error is the very end of it.
                let _ = load.wait_for(|load| !load.alive).await;
            }
        };
        tokio::select! {
            () = gone => {}
            () = sleep_until(deadline) => self.hosts.shutdown().await,
        }
    }

    /// Ends all of it at once: the node ends.
    pub(crate) async fn end(&mut self) {
        self.mourners.shutdown().await;
        self.hosts.shutdown().await;
    }

    /// Waits until something that keeps an engine ends, which it does not by itself. Cancel safe.
    pub(crate) async fn broken(&mut self) {
        if self.hosts.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn to_come(described: Described) -> Offer {
    let (kind, dimensions) = match described.kind {
        EngineKind::Chat => (Kind::Chat, 0),
        EngineKind::Embedding { dimensions } => (Kind::Embedding, dimensions),
    };
    let name = cut(&described.name, MAX_MODEL_NAME_BYTES);
    let context_tokens = described.context_tokens;
    Offer { kind, dimensions, context_tokens, ..Offer::new(ModelId::new(described.id), name) }
}

/// Bytes that these engines say they have.
pub(crate) fn memory(models: &[Served]) -> u64 {
    models.iter().fold(0, |sum, model| sum.saturating_add(model.engine.info().memory_bytes))
}
