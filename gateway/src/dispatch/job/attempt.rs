//! One attempt at a job: a slot on a node, and the way to it. Whoever drops it tells the node that it is over.

use std::time::Duration;

use starling_protocol::{
    limits::ADMISSION_TIMEOUT,
    members::Members,
    membership::Claims,
    message::{Accepted, Done, JobEvent, JobRequest, Piece},
    swarm::{Path, PeerId},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug};

use super::{
    Means, Trouble, broken, failed,
    link::{Heard, Link},
    loading::Load,
    refused, vectors,
};
use crate::{
    dispatch::{
        AnswerEvent, DispatchError, Placement, Standing,
        actor::{Command, Lease},
    },
    scheduler::Outcome,
};

/// A node's own deadline for admission, and the way there and back.
const FIRST_EVENT_TIMEOUT: Duration = ADMISSION_TIMEOUT.saturating_add(Duration::from_secs(2));
/// A long prompt on a slow machine takes minutes to read; then a silent node counts as hung.
pub(super) const FIRST_TOKEN_TIMEOUT: Duration = Duration::from_secs(300);
/// A node that has begun and then says nothing for this long counts as hung.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// One that was overtaken may speak for so long, to show that it was only slow.
const LATE: Duration = Duration::from_secs(3);

/// One that was accepted.
pub(super) struct Attempt {
    /// Both until it is over.
    held: Option<(Link, Lease)>,
    accepted: Accepted,
    number: u32,
    /// Pieces so far.
    pieces: u64,
    members: Members,
    /// What the node has shown of itself.
    shown: Option<Claims>,
    standing: watch::Receiver<Standing>,
    tasks: TaskTracker,
}

/// What an attempt gives.
pub(super) enum News {
    Piece(Piece),
    Done(Done),
    /// It goes on over this kind of path.
    Moved(Path),
    /// Its stream broke, and it may come again on another.
    Cut,
}

impl Attempt {
    /// Asks the node for it. A refusal is reported to the scheduler.
    pub(super) async fn begin(
        means: &Means,
        mut lease: Lease,
        request: &JobRequest,
        cancel: &CancellationToken,
    ) -> Result<Self, Trouble> {
        let swarm = means.swarm.clone();
        let mut link = match Link::begin(swarm, means.jobs.clone(), &lease, request).await {
            Ok(link) => link,
            Err(trouble) => {
                lease.outcome = trouble.outcome();
                return Err(trouble);
            }
        };
        let accepted =
            cancel.run_until_cancelled(accepted(means, &mut link, &mut lease)).await.unwrap_or(Err(Trouble::Unread));
        let shown = means.members.roster().borrow().get(&lease.placement.peer).cloned();
        let mut attempt = Self {
            accepted: Accepted::default(),
            number: request.attempt,
            pieces: 0,
            members: means.members.clone(),
            shown,
            standing: lease.standing.clone(),
            held: Some((link, lease)),
            tasks: means.tasks.clone(),
        };
        match accepted {
            Ok(accepted) => attempt.accepted = accepted,
            Err(trouble) => {
                attempt.fail(trouble.outcome());
                return Err(trouble);
            }
        }
        Ok(attempt)
    }

    /// What its reader is told first: who computes it, over which path, and how its text is to be read.
    pub(super) fn started(&self) -> Option<AnswerEvent> {
        let (link, lease) = self.held.as_ref()?;
        let placement = Placement { relayed: link.path() == Path::Relayed, ..lease.placement.clone() };
        Some(AnswerEvent::Started { placement, accepted: self.accepted, attempt: self.number })
    }

    /// The node that has it.
    pub(super) fn peer(&self) -> Option<PeerId> {
        Some(self.held.as_ref()?.1.placement.peer)
    }

    /// How its node stands.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// All vectors, where it has texts to embed.
    pub(super) async fn vectors(&mut self, count: usize) -> Result<(Vec<Vec<f32>>, Done), Trouble> {
        let Some((link, lease)) = &mut self.held else { return Err(Trouble::Unread) };
        let read = tokio::select! {
            read = vectors::read(link, count, lease.dimensions) => read?,
            () = turned_out(&self.members, &self.shown) => return Err(Trouble::Node(DispatchError::NodeLost)),
        };
        lease.seen.piece(0);
        Ok(read)
    }

    /// What comes next. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<News, Trouble> {
        let Some((link, lease)) = &mut self.held else { return Err(Trouble::Unread) };
        let patience = if self.pieces == 0 { FIRST_TOKEN_TIMEOUT } else { STALL_TIMEOUT };
        let heard = tokio::select! {
            heard = link.next(patience) => heard?,
            // It is not waited for as one whose connection broke is: it will not come back.
            () = turned_out(&self.members, &self.shown) => return Err(Trouble::Node(DispatchError::NodeLost)),
        };
        match heard {
            Heard::Moved(path) => Ok(News::Moved(path)),
            Heard::Cut => Ok(News::Cut),
            Heard::Event(JobEvent::Piece(piece))
                if piece.seq == self.pieces && piece.logprobs.len() <= piece.tokens.len() =>
            {
                self.pieces += 1;
                lease.seen.piece(piece.tokens.len());
                Ok(News::Piece(piece))
            }
            Heard::Event(JobEvent::Done(done)) => Ok(News::Done(done)),
            Heard::Event(JobEvent::Failed(failure)) => Err(failed(failure)),
            Heard::Event(
                JobEvent::Piece(_)
                | JobEvent::Vector(_)
                | JobEvent::Accepted(_)
                | JobEvent::Refused(_)
                | JobEvent::Loading(_)
                | JobEvent::Resumed,
            ) => Err(broken()),
        }
    }

    /// Tells the node that we are there, while the reader takes its time. Never ends.
    pub(super) async fn keep_up(&mut self) {
        match &mut self.held {
            Some((link, _)) => link.keep_up().await,
            None => std::future::pending().await,
        }
    }

    /// The reader has taken what came last.
    pub(super) fn passed_on(&mut self) {
        if let Some((_, lease)) = &mut self.held {
            lease.seen.passed_on();
        }
    }

    /// It has ended without an answer: the scheduler knows it before it is asked for another node.
    pub(super) fn fail(mut self, outcome: Outcome) {
        if let Some((link, mut lease)) = self.held.take() {
            lease.outcome = outcome;
            drop(lease);
            self.tasks.spawn(link.end().in_current_span());
        }
    }

    /// Another one was faster: it counts as failed, unless its way is whole and it speaks again after all.
    pub(super) fn doubt(mut self, means: &Means) {
        let Some((mut link, mut lease)) = self.held.take() else { return };
        let (peer, commands) = (lease.placement.peer, means.commands.clone());
        lease.outcome = Outcome::Failed;
        drop(lease);
        let listen = async move {
            let heard = if link.is_cut() { None } else { timeout(LATE, link.next(FIRST_TOKEN_TIMEOUT)).await.ok() };
            link.end().await;
            if let Some(Ok(Heard::Event(JobEvent::Piece(_) | JobEvent::Done(_)))) = heard {
                debug!(%peer, "it was only slow");
                let _ = commands.send(Command::Pardon(peer)).await;
            }
        };
        self.tasks.spawn(listen.in_current_span());
    }

    /// Nobody wants it any more. Returns when the slot is free.
    pub(super) async fn leave(mut self) {
        let Some((link, lease)) = self.held.take() else { return };
        link.end().await;
        drop(lease);
    }

    /// It has ended with a whole answer.
    pub(super) async fn finish(mut self, done: &Done) {
        let Some((link, mut lease)) = self.held.take() else { return };
        lease.seen.done(done);
        lease.outcome = Outcome::Served;
        link.end().await;
    }
}

impl Drop for Attempt {
    /// Nobody wants it any more. The slot is free once the node knows.
    fn drop(&mut self) {
        let Some((link, lease)) = self.held.take() else { return };
        let end = async move {
            link.end().await;
            drop(lease);
        };
        self.tasks.spawn(end.in_current_span());
    }
}

async fn accepted(means: &Means, link: &mut Link, lease: &mut Lease) -> Result<Accepted, Trouble> {
    let mut load = Load::new();
    loop {
        match link.next(FIRST_EVENT_TIMEOUT).await? {
            Heard::Moved(_) | Heard::Cut => {}
            Heard::Event(JobEvent::Loading(loading)) => {
                if let Some(permille) = load.came(loading).map_err(Trouble::Node)? {
                    means.tell(AnswerEvent::Loading { placement: lease.placement.clone(), permille }).await?;
                }
            }
            Heard::Event(JobEvent::Accepted(accepted)) => {
                if load.has_begun() {
                    lease.seen.loaded();
                }
                return Ok(accepted);
            }
            Heard::Event(JobEvent::Refused(refusal)) => return Err(refused(refusal)),
            Heard::Event(JobEvent::Failed(failure)) => return Err(failed(failure)),
            Heard::Event(JobEvent::Piece(_) | JobEvent::Vector(_) | JobEvent::Done(_) | JobEvent::Resumed) => {
                return Err(broken());
            }
        }
    }
}

/// Waits until what a member has shown is taken back.
async fn turned_out(members: &Members, shown: &Option<Claims>) {
    let mut revocations = members.revocations();
    if let Some(claims) = shown
        && revocations.wait_for(|revocations| revocations.revokes(claims)).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
