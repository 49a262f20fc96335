//! The task that owns the scheduler.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use starling_protocol::{
    members::Roster,
    membership::MemberRole,
    message::Status,
    swarm::{InboundStream, PeerId, Peers},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use super::{DispatchError, Estimate, MAX_JOBS, Placement, View, seen::Seen, status};
use crate::scheduler::{Choice, Fate, Need, Observed, Outcome, Placed, Scheduler, Standing, Ticket};

/// How often silence is noticed and the view is brought up to date.
const TICK: Duration = Duration::from_millis(50);
/// How often those who wait are told where they stand.
const ESTIMATES: Duration = Duration::from_secs(1);
/// What a reader is told when the gateway itself has too many jobs.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Status frames that may wait.
const STATUS_QUEUE: usize = 1_024;

/// An order to the actor.
#[derive(Debug)]
pub(super) enum Command {
    /// A job asks for a slot.
    Ask {
        need: Box<Need>,
        /// Nodes that have failed this job.
        tried: Vec<PeerId>,
        reply: oneshot::Sender<Reply>,
    },
    /// An answer that runs wants a second node, if one is idle.
    Spare {
        need: Box<Need>,
        /// Nodes that are not meant.
        tried: Vec<PeerId>,
        reply: oneshot::Sender<Option<Lease>>,
    },
    /// An answer that runs wants a node to compute it as well, if one does nothing.
    Idle {
        need: Box<Need>,
        /// Nodes that are not meant.
        tried: Vec<PeerId>,
        /// Is cancelled when somebody wants the node.
        stop: CancellationToken,
        reply: oneshot::Sender<Option<Lease>>,
    },
    /// A node that was overtaken was only slow.
    Pardon(PeerId),
    /// These nodes, and no others, are given no more.
    Drain(BTreeSet<PeerId>),
}

/// The answer to [`Command::Ask`].
#[derive(Debug)]
pub(super) enum Reply {
    /// A slot, or why there is none.
    Now(Box<Result<Lease, DispatchError>>),
    /// A slot will come; meanwhile, where the job stands.
    Later(oneshot::Receiver<Result<Lease, DispatchError>>, watch::Receiver<Estimate>),
}

/// A node's word, or its silence.
#[derive(Debug)]
pub(super) enum News {
    Status(PeerId, Box<Status>),
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
    /// How the node stands.
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) outcome: Outcome,
    pub(super) seen: Seen,
    placed: Placed,
    end: Option<mpsc::OwnedPermit<End>>,
}

#[derive(Debug)]
struct End {
    placed: Placed,
    outcome: Outcome,
    seen: Observed,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.send(End { placed: self.placed, outcome: self.outcome, seen: self.seen.observed() });
        }
    }
}

struct Waiting {
    reply: oneshot::Sender<Result<Lease, DispatchError>>,
    estimate: watch::Sender<Estimate>,
}

/// What the swarm knows of nodes.
pub(super) struct Known {
    pub(super) peers: watch::Receiver<Peers>,
    pub(super) roster: watch::Receiver<Arc<Roster>>,
}

/// The dispatcher's task. Run it once.
pub struct Actor {
    scheduler: Scheduler,
    waiting: HashMap<Ticket, Waiting>,
    /// What jobs follow of their nodes.
    standings: HashMap<PeerId, watch::Sender<Standing>>,
    /// What is computed in case of need, and how each of it is ended. As many as there may be at one time.
    aside: Vec<(Placed, CancellationToken)>,
    known: Known,
    streams: mpsc::Receiver<InboundStream>,
    asked: mpsc::Receiver<Command>,
    ends: (mpsc::Sender<End>, mpsc::Receiver<End>),
    view: watch::Sender<Arc<View>>,
    stale: bool,
    estimated: Instant,
}

impl Actor {
    pub(super) fn new(
        scheduler: Scheduler,
        known: Known,
        (streams, asked): (mpsc::Receiver<InboundStream>, mpsc::Receiver<Command>),
        view: watch::Sender<Arc<View>>,
    ) -> Self {
        let (waiting, standings, aside) = (HashMap::new(), HashMap::new(), vec![]);
        let (ends, stale, estimated) = (mpsc::channel(MAX_JOBS), false, Instant::now());
        Self { scheduler, waiting, standings, aside, known, streams, asked, ends, view, stale, estimated }
    }

    /// Runs until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        let (news_sender, mut news) = mpsc::channel(STATUS_QUEUE);
        let (_, closed) = mpsc::channel(1);
        let streams = std::mem::replace(&mut self.streams, closed);
        let reader =
            tokio::spawn(status::run(streams, news_sender, self.known.roster.clone()).instrument(info_span!("status")));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(command) = self.asked.recv() => self.on_command(command),
                Some(end) = self.ends.1.recv() => self.on_end(&end),
                Some(news) = news.recv() => self.on_news(news),
                _ = ticks.tick() => self.on_tick(),
            }
        }
        reader.abort();
    }

    fn on_command(&mut self, command: Command) {
        // Whoever asks again has just said how the last attempt ended.
        while let Ok(end) = self.ends.1.try_recv() {
            self.on_end(&end);
        }
        match command {
            Command::Ask { need, tried, reply } => self.on_ask(*need, tried, reply),
            Command::Spare { need, tried, reply } => {
                let placed = self.scheduler.spare(*need, tried, Instant::now());
                // One that nobody takes is given back as it is dropped.
                let _ = reply.send(placed.and_then(|placed| self.lease(placed).ok()));
                self.make_room();
            }
            Command::Idle { need, tried, stop, reply } => {
                let placed = self.scheduler.spare(*need, tried, Instant::now());
                let found = placed.and_then(|placed| Some((placed, self.lease(placed).ok()?)));
                self.aside.extend(found.as_ref().map(|(placed, _)| (*placed, stop)));
                let _ = reply.send(found.map(|(_, lease)| lease));
            }
            Command::Pardon(peer) => self.scheduler.pardon(&peer),
            Command::Drain(peers) => {
                self.scheduler.drain(peers);
                self.stale = true;
            }
        }
    }

    fn on_ask(&mut self, need: Need, tried: Vec<PeerId>, reply: oneshot::Sender<Reply>) {
        let answer = match self.scheduler.ask(need, tried, Instant::now()) {
            Choice::Place(placed) => Reply::Now(Box::new(self.lease(placed))),
            Choice::Full(retry_after) => Reply::Now(Box::new(Err(DispatchError::AllBusy { retry_after }))),
            Choice::Nobody => Reply::Now(Box::new(Err(DispatchError::NoNode))),
            Choice::TooLong { tokens, limit } => {
                Reply::Now(Box::new(Err(DispatchError::PromptTooLong { tokens, limit })))
            }
            Choice::Wait(ticket, estimate) => {
                let (reply, later) = oneshot::channel();
                let (estimate, shown) = watch::channel(estimate);
                self.waiting.insert(ticket, Waiting { reply, estimate });
                Reply::Later(later, shown)
            }
        };
        // A lease that nobody takes reports its end as it is dropped.
        let _ = reply.send(answer);
        self.serve_waiting();
        self.make_room();
    }

    fn on_end(&mut self, end: &End) {
        self.aside.retain(|(placed, _)| *placed != end.placed);
        self.scheduler.ended(end.placed, end.outcome, &end.seen, Instant::now());
        self.serve_waiting();
    }

    fn on_news(&mut self, news: News) {
        match news {
            // Its last words may be read after it was turned out.
            News::Status(peer, _) if !is_node(&self.known.roster.borrow(), &peer) => return,
            News::Status(peer, status) => {
                self.scheduler.status(peer, *status, Instant::now());
                self.show_standing(peer);
            }
            News::Gone(peer) => self.scheduler.gone(peer, Instant::now()),
        }
        self.stale = true;
    }

    fn on_tick(&mut self) {
        self.stale |= self.scheduler.expire(Instant::now());
        if self.known.roster.has_changed().unwrap_or(false) {
            let roster = self.known.roster.borrow_and_update().clone();
            self.stale |= self.scheduler.keep(|peer| is_node(&roster, peer), Instant::now());
        }
        if self.known.peers.has_changed().unwrap_or(false) {
            for (peer, path) in self.known.peers.borrow_and_update().iter() {
                self.stale |= self.scheduler.path(*peer, path.is_relayed(), path.rtt);
            }
        }
        self.show_standings();
        let left: Vec<Ticket> =
            self.waiting.iter().filter(|(_, waiting)| waiting.reply.is_closed()).map(|(ticket, _)| *ticket).collect();
        for ticket in left {
            self.waiting.remove(&ticket);
            self.scheduler.forget(ticket);
        }
        self.serve_waiting();
        self.make_room();
        self.tell_waiting();
        if std::mem::take(&mut self.stale) {
            let view = self.scheduler.view();
            self.view.send_if_modified(|seen| {
                let changed = **seen != view;
                *seen = Arc::new(view);
                changed
            });
        }
    }

    /// To the jobs on that node.
    fn show_standing(&self, peer: PeerId) {
        let Some(shown) = self.standings.get(&peer) else { return };
        let standing = self.scheduler.standing(&peer);
        shown.send_if_modified(|shown| std::mem::replace(shown, standing) != standing);
    }

    fn show_standings(&mut self) {
        self.standings.retain(|_, shown| shown.receiver_count() > 0);
        self.standings.keys().for_each(|peer| self.show_standing(*peer));
    }

    /// News of nodes is left to the next tick: there may be thousands in a second.
    fn serve_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        for (ticket, fate) in self.scheduler.placements(Instant::now()) {
            let waiting = self.waiting.remove(&ticket);
            let result = match fate {
                Fate::Placed(placed) => self.lease(placed),
                Fate::Refused(retry_after) => Err(DispatchError::AllBusy { retry_after }),
                Fate::Nobody => Err(DispatchError::NoNode),
            };
            // A slot of a reader that has left is given back with the lease.
            if let Some(waiting) = waiting {
                let _ = waiting.reply.send(result);
            }
        }
    }

    /// What is computed in case of need gives way to whoever needs its node now.
    fn make_room(&mut self) {
        for (placed, stop) in &self.aside {
            if self.scheduler.is_wanted(placed) {
                stop.cancel();
            }
        }
    }

    fn tell_waiting(&mut self) {
        let now = Instant::now();
        if self.waiting.is_empty() || now.saturating_duration_since(self.estimated) < ESTIMATES {
            return;
        }
        self.estimated = now;
        for (ticket, estimate) in self.scheduler.estimates(now) {
            let Some(waiting) = self.waiting.get(&ticket) else { continue };
            waiting.estimate.send_if_modified(|told| std::mem::replace(told, estimate) != estimate);
        }
    }

    fn lease(&mut self, placed: Placed) -> Result<Lease, DispatchError> {
        let Ok(end) = self.ends.0.clone().try_reserve_owned() else {
            self.scheduler.ended(placed, Outcome::Left, &Observed::default(), Instant::now());
            return Err(DispatchError::AllBusy { retry_after: RETRY_AFTER });
        };
        let Placed { peer, model, .. } = placed;
        let (node_name, device, relayed) = self.scheduler.describe(&peer, model);
        let placement = Placement { peer, node_name, device, relayed };
        let dimensions = self.scheduler.dimensions(&peer, model);
        let others = self.scheduler.others(&peer, model);
        let now = self.scheduler.standing(&peer);
        let standing = self.standings.entry(peer).or_insert_with(|| watch::channel(now).0).subscribe();
        let (outcome, seen, end) = (Outcome::Left, Seen::now(), Some(end));
        Ok(Lease { placement, dimensions, others, standing, outcome, seen, placed, end })
    }
}

/// Whether the peer is a member that computes.
pub(super) fn is_node(roster: &Roster, peer: &PeerId) -> bool {
    roster.get(peer).is_some_and(|claims| claims.role == MemberRole::Node)
}
