//! The last ten minutes of the swarm's life, for those who watch it: who was there, over which path, how loaded, and which
//! answers moved where.
//!
//! One task looks once a second at what others own (the scheduler's view, the connections, the answers that go by) and
//! writes down what has changed. Who watches holds a place in that history and reads at its own pace; nothing waits for
//! it. No words of a chat and no names of people: a node, a count of tokens, an opaque number for an answer.

mod chunks;
mod facts;
mod flow;
mod history;
mod sight;
#[cfg(test)]
mod tests;
mod watcher;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use starling_protocol::swarm::PeerId;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

pub use self::{
    facts::{Card, Event, Id, Link, Pulse, Role, Seen, Step, Totals, What},
    flow::{Flow, Trace},
    watcher::{News, Watcher},
};
use self::{
    history::{Cursor, History, Next},
    sight::Sight,
};
use crate::{
    clock::Timestamp,
    dispatch::{Dispatch, NodeView, View},
    membership::Network,
};

/// How often the swarm is looked at.
const TICK: Duration = Duration::from_secs(1);

/// What is known of the last ten minutes. Cheap to clone.
#[derive(Clone)]
pub struct Topology(Arc<Parts>);

struct Parts {
    sight: Sight,
    /// The lock is held for a look and never while anything is awaited.
    history: Mutex<History>,
    /// Goes up with every look.
    looks: watch::Sender<u64>,
}

impl Topology {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(dispatch: &Dispatch, network: &Network) -> Self {
        let sight = Sight::new(dispatch, network);
        let history = Mutex::new(History::new(network.swarm.local_peer()));
        Self(Arc::new(Parts { sight, history, looks: watch::Sender::new(0) }))
    }

    /// Looks once a second, until `cancel`.
    pub async fn run(self, cancel: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            self.record(Timestamp::now(), self.0.sight.look());
        }
    }

    /// Writes down what is seen now.
    pub(crate) fn record(&self, now: Timestamp, seen: Seen) {
        self.with(|history| history.record(now, seen));
        self.0.looks.send_modify(|looks| *looks += 1);
    }

    /// Begins to watch.
    #[must_use]
    pub fn watch(&self) -> Watcher {
        Watcher::new(self.clone(), self.0.looks.subscribe())
    }

    fn next(&self, cursor: &mut Cursor) -> Option<Next> {
        self.with(|history| history.next(cursor))
    }

    fn node(&self, peer: &PeerId) -> Option<NodeView> {
        let view: Arc<View> = self.0.sight.view();
        view.nodes.iter().find(|node| node.peer == *peer).cloned()
    }

    fn with<T>(&self, look: impl FnOnce(&mut History) -> T) -> T {
        look(&mut self.0.history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
