//! One attempt at a job: a slot on a node, and the way to it. Whoever drops it tells the node that it is over.

use std::time::Duration;

use starling_protocol::{
    limits::ADMISSION_TIMEOUT,
    message::{Accepted, Done, JobEvent, JobRequest, Piece},
    swarm::Path,
};
use tracing::Instrument;

use super::{
    Means, Trouble, broken, failed,
    link::{Heard, Link},
    loading::Load,
    refused,
};
use crate::{
    dispatch::{AnswerEvent, Placement, actor::Lease},
    scheduler::Outcome,
};

/// A node's own deadline for admission, and the way there and back.
const FIRST_EVENT_TIMEOUT: Duration = ADMISSION_TIMEOUT.saturating_add(Duration::from_secs(2));
/// A long prompt on a slow machine takes minutes to read; then a silent node counts as hung.
pub(super) const FIRST_TOKEN_TIMEOUT: Duration = Duration::from_secs(300);
/// A node that has begun and then says nothing for this long counts as hung.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// One that was accepted.
pub(super) struct Attempt {
    /// Both until it is over.
    held: Option<(Link, Lease)>,
    accepted: Accepted,
    number: u32,
    /// Pieces so far.
    pieces: u64,
    tasks: tokio_util::task::TaskTracker,
}

/// What an attempt gives.
pub(super) enum News {
    Piece(Piece),
    Done(Done),
    /// It goes on over this kind of path.
    Moved(Path),
}

impl Attempt {
    /// Asks the node for it. A refusal is reported to the scheduler.
    pub(super) async fn begin(means: &Means, mut lease: Lease, request: &JobRequest) -> Result<Self, Trouble> {
        let swarm = means.swarm.clone();
        let mut link = match Link::begin(swarm, means.jobs.clone(), &lease, request).await {
            Ok(link) => link,
            Err(trouble) => {
                lease.outcome = trouble.outcome();
                return Err(trouble);
            }
        };
        let accepted = means
            .cancel
            .run_until_cancelled(accepted(means, &mut link, &mut lease))
            .await
            .unwrap_or(Err(Trouble::Unread));
        let (held, tasks) = (Some((link, lease)), means.tasks.clone());
        let mut attempt = Self { held, accepted: Accepted::default(), number: request.attempt, pieces: 0, tasks };
        match accepted {
            Ok(accepted) => attempt.accepted = accepted,
            Err(trouble) => {
                attempt.fail(trouble.outcome());
                return Err(trouble);
            }
        }
        Ok(attempt)
    }

    /// How its text is to be read.
    pub(super) fn accepted(&self) -> Accepted {
        self.accepted
    }

    /// Which attempt at the job it is.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Who computes it, over which path.
    pub(super) fn placement(&self) -> Option<Placement> {
        let (link, lease) = self.held.as_ref()?;
        Some(Placement { relayed: link.path() == Path::Relayed, ..lease.placement.clone() })
    }

    /// Its link and its lease, for what is no chat.
    pub(super) fn parts(&mut self) -> Option<&mut (Link, Lease)> {
        self.held.as_mut()
    }

    /// What comes next. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<News, Trouble> {
        let Some((link, lease)) = &mut self.held else { return Err(Trouble::Unread) };
        let patience = if self.pieces == 0 { FIRST_TOKEN_TIMEOUT } else { STALL_TIMEOUT };
        match link.next(patience).await? {
            Heard::Moved(path) => Ok(News::Moved(path)),
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
            Heard::Moved(_) => {}
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
