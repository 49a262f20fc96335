//! One who watches: a place in the history and, if it wants, one node of which it hears everything.

use std::{collections::VecDeque, sync::Arc};

use starling_protocol::swarm::PeerId;
use tokio::sync::watch;

use super::{
    Topology, chunks,
    facts::{Id, Step},
    history::{Cursor, Next},
};
use crate::{clock::Timestamp, dispatch::NodeView};

/// What it hears.
#[derive(Debug)]
pub enum News {
    /// All that was said before is to be forgotten. The steps that follow lead from `at` to `now` and beyond.
    Picture {
        /// How far back it reaches.
        at: Timestamp,
        /// The last look.
        now: Timestamp,
        /// The gateway that says so.
        me: Id,
    },
    /// What has changed.
    Step(Arc<Step>),
    /// Everything about the chosen node; `None` when it is not there.
    Node(PeerId, Option<Box<NodeView>>),
}

/// Reads at its own pace: what waits for it is one piece at most, cut up; the rest lies in the history for all. One that
/// falls behind gets the picture as it is then.
pub struct Watcher {
    topology: Topology,
    looks: watch::Receiver<u64>,
    cursor: Cursor,
    ready: VecDeque<News>,
    chosen: Option<PeerId>,
    /// What was said of the chosen node last.
    told: Option<Option<NodeView>>,
    /// The chosen node may do otherwise by now.
    stale: bool,
}

impl Watcher {
    pub(super) fn new(topology: Topology, looks: watch::Receiver<u64>) -> Self {
        let (cursor, ready) = (Cursor::default(), VecDeque::new());
        Self { topology, looks, cursor, ready, chosen: None, told: None, stale: false }
    }

    /// From now on it hears everything about this node, or about none.
    pub fn choose(&mut self, node: Option<PeerId>) {
        (self.chosen, self.told, self.stale) = (node, None, true);
    }

    /// What comes next. Cancel safe.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.detail().or_else(|| self.ready.pop_front()) {
                return news;
            }
            match self.topology.next(&mut self.cursor) {
                Some(Next::Picture { now, me, whole }) => {
                    self.ready.push_back(News::Picture { at: whole.at, now, me });
                    self.prepare(Arc::new(whole));
                }
                Some(Next::Step(step)) => self.prepare(step),
                None => {
                    if self.looks.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    self.stale = true;
                }
            }
        }
    }

    fn prepare(&mut self, step: Arc<Step>) {
        self.ready.extend(chunks::cut(step).into_iter().map(News::Step));
    }

    fn detail(&mut self) -> Option<News> {
        if !std::mem::take(&mut self.stale) {
            return None;
        }
        let peer = self.chosen?;
        let node = self.topology.node(&peer);
        if self.told.as_ref() == Some(&node) {
            return None;
        }
        self.told = Some(node.clone());
        Some(News::Node(peer, node.map(Box::new)))
    }
}
