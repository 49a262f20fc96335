//! The task that owns the scheduler.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use starling_protocol::{
    ModelId,
    message::Status,
    swarm::{InboundStream, PeerId, Peers},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use super::{DispatchError, MAX_JOBS, Placement, View, status};
use crate::scheduler::{Choice, Fate, Outcome, Scheduler, Ticket};

/// How often silence is noticed and the view is brought up to date.
const TICK: Duration = Duration::from_millis(50);
/// What a refused reader is told.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Status frames that may wait.
const STATUS_QUEUE: usize = 1_024;

/// An order to the actor.
#[derive(Debug)]
pub(super) enum Command {
    /// A job asks for a slot.
    Ask {
        model: ModelId,
        /// Nodes that have failed this job.
        tried: Vec<PeerId>,
        reply: oneshot::Sender<Reply>,
    },
}

/// The answer to [`Command::Ask`].
#[derive(Debug)]
pub(super) enum Reply {
    /// A slot, or why there is none.
    Now(Result<Lease, DispatchError>),
    /// A slot will come.
    Later(oneshot::Receiver<Result<Lease, DispatchError>>),
}

/// A node's word, or its silence.
#[derive(Debug)]
pub(super) enum News {
    Status(PeerId, Status),
    Gone(PeerId),
}

/// A slot on a node. Reports its end when dropped, whatever happens to its job.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) placement: Placement,
    /// Numbers in a vector, as the node offers them.
    pub(super) dimensions: u32,
    /// Another node could do it as well.
    pub(super) others: bool,
    model: ModelId,
    pub(super) outcome: Outcome,
    end: Option<mpsc::OwnedPermit<End>>,
}

#[derive(Debug)]
struct End {
    peer: PeerId,
    model: ModelId,
    outcome: Outcome,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.send(End { peer: self.placement.peer, model: self.model, outcome: self.outcome });
        }
    }
}

struct Waiting {
    model: ModelId,
    reply: oneshot::Sender<Result<Lease, DispatchError>>,
}

/// The dispatcher's task. Run it once.
pub struct Actor {
    scheduler: Scheduler,
    waiting: HashMap<Ticket, Waiting>,
    peers: watch::Receiver<Peers>,
    streams: mpsc::Receiver<InboundStream>,
    asked: mpsc::Receiver<Command>,
    ends: (mpsc::Sender<End>, mpsc::Receiver<End>),
    view: watch::Sender<Arc<View>>,
    stale: bool,
}

impl Actor {
    pub(super) fn new(
        peers: watch::Receiver<Peers>,
        streams: mpsc::Receiver<InboundStream>,
        asked: mpsc::Receiver<Command>,
        view: watch::Sender<Arc<View>>,
    ) -> Self {
        let (scheduler, waiting) = (Scheduler::default(), HashMap::new());
        Self { scheduler, waiting, peers, streams, asked, ends: mpsc::channel(MAX_JOBS), view, stale: false }
    }

    /// Runs until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        let (news_sender, mut news) = mpsc::channel(STATUS_QUEUE);
        let (_, closed) = mpsc::channel(1);
        let streams = std::mem::replace(&mut self.streams, closed);
        let reader = tokio::spawn(status::run(streams, news_sender).instrument(info_span!("status")));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(Command::Ask { model, tried, reply }) = self.asked.recv() => self.on_ask(model, tried, reply),
                Some(end) = self.ends.1.recv() => self.on_end(&end),
                Some(news) = news.recv() => self.on_news(news),
                _ = ticks.tick() => self.on_tick(),
            }
            self.serve_waiting();
        }
        reader.abort();
    }

    fn on_ask(&mut self, model: ModelId, tried: Vec<PeerId>, reply: oneshot::Sender<Reply>) {
        let answer = match self.scheduler.ask(model, tried, Instant::now()) {
            Choice::Place(peer) => Reply::Now(self.lease(peer, model)),
            Choice::Full => Reply::Now(Err(DispatchError::AllBusy { retry_after: RETRY_AFTER })),
            Choice::Nobody => Reply::Now(Err(DispatchError::NoNode)),
            Choice::Wait(ticket) => {
                let (reply, later) = oneshot::channel();
                self.waiting.insert(ticket, Waiting { model, reply });
                Reply::Later(later)
            }
        };
        // A lease that nobody takes reports its end as it is dropped.
        let _ = reply.send(answer);
    }

    fn on_end(&mut self, end: &End) {
        self.scheduler.ended(end.peer, end.model, end.outcome, Instant::now());
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Status(peer, status) => self.scheduler.status(peer, status, Instant::now()),
            News::Gone(peer) => self.scheduler.gone(peer),
        }
        self.stale = true;
    }

    fn on_tick(&mut self) {
        self.stale |= self.scheduler.expire(Instant::now());
        if self.peers.has_changed().unwrap_or(false) {
            for (peer, path) in self.peers.borrow_and_update().iter() {
                self.stale |= self.scheduler.path(*peer, path.is_relayed(), path.rtt);
            }
        }
        let left: Vec<Ticket> =
            self.waiting.iter().filter(|(_, waiting)| waiting.reply.is_closed()).map(|(ticket, _)| *ticket).collect();
        for ticket in left {
            self.waiting.remove(&ticket);
            self.scheduler.forget(ticket);
        }
        if std::mem::take(&mut self.stale) {
            let view = self.scheduler.view();
            self.view.send_if_modified(|seen| {
                let changed = **seen != view;
                *seen = Arc::new(view);
                changed
            });
        }
    }

    fn serve_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        for (ticket, fate) in self.scheduler.placements(Instant::now()) {
            let Some(waiting) = self.waiting.remove(&ticket) else { continue };
            let result = match fate {
                Fate::Placed(peer) => self.lease(peer, waiting.model),
                Fate::Overdue => Err(DispatchError::AllBusy { retry_after: RETRY_AFTER }),
                Fate::Nobody => Err(DispatchError::NoNode),
            };
            let _ = waiting.reply.send(result);
        }
    }

    fn lease(&mut self, peer: PeerId, model: ModelId) -> Result<Lease, DispatchError> {
        let Ok(end) = self.ends.0.clone().try_reserve_owned() else {
            self.scheduler.ended(peer, model, Outcome::Served, Instant::now());
            return Err(DispatchError::AllBusy { retry_after: RETRY_AFTER });
        };
        let (node_name, device, relayed) = self.scheduler.describe(&peer, model);
        let placement = Placement { peer, node_name, device, relayed };
        let dimensions = self.scheduler.dimensions(&peer, model);
        let others = self.scheduler.others(&peer, model);
        Ok(Lease { placement, dimensions, others, model, outcome: Outcome::Served, end: Some(end) })
    }
}
