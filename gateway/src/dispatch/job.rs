//! One job, from the question to the last token: one task, one [`Attempt`] after another.
//!
//! Whatever becomes of a node, the next attempt goes on on another one from the tokens that the reader has, and the
//! reader sees no seam.

mod ask;
mod attempt;
mod course;
mod link;
mod loading;
mod race;
mod rhythm;
#[cfg(test)]
mod simulation;
mod takeover;
mod vectors;
mod warm;

use std::{sync::Arc, time::Duration};

use starling_protocol::{
    members::Members,
    message::{Done, JobFailure, JobRequest, Piece, Refusal, Task},
    swarm::{Handle, Path, PeerId},
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info_span, warn};

pub(super) use self::warm::MAX_WARMINGS;
use self::{
    attempt::{Attempt, News},
    course::Course,
    race::{Race, Step},
    takeover::{Cause, Taken, Takeover},
    warm::Warming,
};
use super::{
    AnswerEvent, DispatchError, Job, View,
    actor::{Command, Lease},
};
use crate::{
    metrics::Jobs,
    scheduler::{Need, Outcome},
};

pub(super) type Events = mpsc::Sender<Result<AnswerEvent, DispatchError>>;

/// How an attempt failed.
enum Trouble {
    /// The node had no slot.
    Busy,
    /// The node's context does not hold the prompt.
    TooLong { tokens: u32, limit: u32 },
    /// The node is of no use to this job; another may be.
    Node(DispatchError),
    /// The same, and it is known already.
    Noted(DispatchError),
    /// No node can do better.
    Job(DispatchError),
    /// Nobody reads the answer any more.
    Unread,
}

impl Trouble {
    /// What it says of the node.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Busy => Outcome::Busy,
            Self::Node(DispatchError::NotLoaded(why)) => Outcome::NotLoaded(*why),
            Self::Node(error) | Self::Noted(error) if *error == STOPPED => Outcome::Stopped,
            Self::Node(_) | Self::Noted(_) => Outcome::Failed,
            Self::TooLong { .. } | Self::Job(_) | Self::Unread => Outcome::Left,
        }
    }
}

/// A node has handed its answer back.
const STOPPED: DispatchError = DispatchError::NodeFailed(JobFailure::Stopping);

/// What a job's task works with.
pub(super) struct Means {
    pub(super) swarm: Handle,
    pub(super) members: Members,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) events: Events,
    pub(super) jobs: Jobs,
    /// Where the ends of attempts are said that nobody waits for.
    pub(super) tasks: TaskTracker,
    /// The reader has left.
    pub(super) cancel: CancellationToken,
    /// One for each node that any job may warm now.
    pub(super) warmings: Arc<Semaphore>,
    /// Tokens of an answer from which on it is worth it.
    pub(super) warm_after: u32,
}

pub(super) async fn run(job: Job, need: Need, means: Means) {
    let request = JobRequest { job: job.id, attempt: job.attempts, model: job.model, task: job.task, beats: true };
    let span = info_span!("job", id = %request.job);
    let events = means.events.clone();
    let (course, warming) = (Course::new(request, need), Warming::new(means.warm_after));
    let running = Running { course, warming, means: Arc::new(means) };
    let last = match running.run().instrument(span).await {
        Ok(done) => Ok(AnswerEvent::Done(done)),
        Err(Trouble::Busy) => Err(DispatchError::AllBusy { retry_after: Duration::from_secs(1) }),
        Err(Trouble::TooLong { tokens, limit }) => Err(DispatchError::PromptTooLong { tokens, limit }),
        Err(Trouble::Node(error) | Trouble::Noted(error) | Trouble::Job(error)) => Err(error),
        Err(Trouble::Unread) => return,
    };
    let _ = events.send(last).await;
}

struct Running {
    course: Course,
    warming: Warming,
    means: Arc<Means>,
}

impl Running {
    async fn run(mut self) -> Result<Done, Trouble> {
        let invalid = |error: starling_protocol::message::Invalid| {
            Trouble::Job(DispatchError::Invalid { field: error.field.to_owned(), reason: error.reason })
        };
        self.course.request.validate().map_err(invalid)?;
        while self.course.may_try() {
            let cancel = self.means.cancel.clone();
            self.warming.settle(&self.means, &mut self.course).await;
            let lease = cancel.run_until_cancelled(self.means.lease(&mut self.course)).await;
            let lease = lease.unwrap_or(Err(Trouble::Unread))?;
            let peer = lease.placement.peer;
            match self.attempt(lease).instrument(info_span!("attempt", %peer)).await {
                Err(Trouble::Busy) => {}
                Err(Trouble::TooLong { tokens, limit }) => self.course.too_long(peer, tokens, limit),
                Err(Trouble::Node(error)) => self.failed(peer, error)?,
                Err(Trouble::Job(refusal)) if self.course.is_unknown(&refusal) => self.course.too_old(peer),
                Err(Trouble::Noted(_)) => {}
                end => return end,
            }
        }
        Err(if self.course.has_failed() { Trouble::Job(self.course.error()) } else { Trouble::Busy })
    }

    fn failed(&mut self, peer: PeerId, error: DispatchError) -> Result<(), Trouble> {
        let (attempt, given) = (self.course.request.attempt, self.course.need.answered);
        warn!(%peer, attempt, given, %error, "the node failed");
        let reason = reason(&error);
        self.course.failed(peer, error).map_err(Trouble::Job)?;
        if self.course.has_begun() {
            self.means.jobs.continued(reason);
        }
        Ok(())
    }

    async fn attempt(&mut self, lease: Lease) -> Result<Done, Trouble> {
        let request = self.course.next();
        let (means, cancel) = (Arc::clone(&self.means), self.means.cancel.clone());
        let mut attempt = Attempt::begin(&means, lease, &request, &cancel).await?;
        drop(request);
        let end = cancel.run_until_cancelled(self.follow(&mut attempt)).await.unwrap_or(Err(Trouble::Unread));
        match &end {
            Ok(done) => attempt.finish(done).await,
            Err(Trouble::Unread) => drop(attempt),
            Err(trouble) => attempt.fail(trouble.outcome()),
        }
        end
    }

    async fn follow(&mut self, attempt: &mut Attempt) -> Result<Done, Trouble> {
        self.warming.taken_over(&self.means, &mut self.course, attempt.peer());
        self.means.tell(attempt.started().ok_or(Trouble::Unread)?).await?;
        match &self.course.request.task {
            Task::Chat(_) => self.read(attempt).await,
            Task::Embed(texts) => {
                let (vectors, done) = attempt.vectors(texts.len()).await?;
                self.means.tell(AnswerEvent::Vectors(vectors)).await?;
                Ok(done)
            }
        }
    }

    /// Reads the attempt to its end, or the one that takes over.
    async fn read(&mut self, attempt: &mut Attempt) -> Result<Done, Trouble> {
        let mut race = Race::default();
        loop {
            match race.step(attempt).await {
                Step::News(Ok(News::Piece(piece))) => self.piece(attempt, &mut race, piece).await?,
                Step::News(Ok(News::Done(done))) => return Ok(whole(done)),
                Step::News(Ok(News::Moved(path))) => {
                    self.means.tell(AnswerEvent::Moved { relayed: path == Path::Relayed }).await?;
                }
                Step::News(Ok(News::Cut)) => race.cut(),
                Step::News(Err(Trouble::Node(error))) if race.is_on() => {
                    // The other one is on its way already.
                    attempt.peer().map_or(Ok(()), |peer| self.failed(peer, error.clone()))?;
                    race.lost(error);
                }
                Step::News(Err(trouble)) => return Err(trouble),
                Step::Wanted(cause) => {
                    let second = self.second(attempt.peer(), cause).await?;
                    race.asked(second);
                }
                Step::Taken(begun, Ok(Taken { attempt: new, first })) => {
                    self.take_over(attempt, *new, &begun).await?;
                    race = Race::default();
                    match first {
                        Some(News::Piece(piece)) => self.piece(attempt, &mut race, piece).await?,
                        Some(News::Done(done)) => return Ok(whole(done)),
                        Some(News::Moved(_) | News::Cut) | None => {}
                    }
                }
                Step::Taken(begun, Err(trouble)) => {
                    if let Trouble::Node(error) = trouble {
                        self.failed(begun.peer, error)?;
                    }
                    if let Some(error) = race.failed() {
                        return Err(Trouble::Noted(error));
                    }
                }
            }
        }
    }

    /// Looks for a second node, where one is idle.
    async fn second(&mut self, peer: Option<PeerId>, cause: Cause) -> Result<Option<Takeover>, Trouble> {
        let Some(peer) = peer.filter(|_| self.course.may_try() && self.course.may_continue()) else {
            return Ok(None);
        };
        self.warming.settle(&self.means, &mut self.course).await;
        let Some(lease) = self.means.spare(&self.course, peer).await? else { return Ok(None) };
        if cause == Cause::Silence {
            self.means.jobs.hedged("begun");
        }
        Ok(Some(Takeover::begin(&self.means, lease, self.course.next(), cause)))
    }

    /// The answer goes on with the attempt that has come.
    async fn take_over(&mut self, attempt: &mut Attempt, new: Attempt, begun: &Takeover) -> Result<(), Trouble> {
        let old = std::mem::replace(attempt, new);
        match begun.cause {
            Cause::Silence => {
                self.means.jobs.hedged("won");
                old.doubt(&self.means);
            }
            Cause::Stopping => drop(old),
        }
        self.means.jobs.continued(begun.cause.word());
        self.warming.taken_over(&self.means, &mut self.course, attempt.peer());
        self.means.tell(attempt.started().ok_or(Trouble::Unread)?).await
    }

    async fn piece(&mut self, attempt: &mut Attempt, race: &mut Race, piece: Piece) -> Result<(), Trouble> {
        // Behind these tokens the other one would say them again.
        race.came();
        let Piece { tokens, text, logprobs, .. } = piece;
        self.course.gave(&tokens);
        self.warming.grown(&self.means, &mut self.course, attempt.peer());
        tokio::select! {
            told = self.means.tell(AnswerEvent::Piece { tokens, text, logprobs }) => told?,
            () = attempt.keep_up() => {}
        }
        attempt.passed_on();
        Ok(())
    }
}

impl Means {
    async fn tell(&self, event: AnswerEvent) -> Result<(), Trouble> {
        self.events.send(Ok(event)).await.map_err(|_| Trouble::Unread)
    }
}

/// A node that went on from given tokens may count those among what it held; a reader knows of a prompt only.
fn whole(mut done: Done) -> Done {
    done.usage.cached_tokens = done.usage.cached_tokens.min(done.usage.prompt_tokens);
    done
}

/// Why an answer goes on elsewhere, for the metrics: a fixed set of words.
fn reason(error: &DispatchError) -> &'static str {
    match error {
        DispatchError::NodeFailed(JobFailure::OutOfMemory) => "out_of_memory",
        DispatchError::NodeFailed(JobFailure::EngineDied) => "engine_died",
        DispatchError::NodeFailed(JobFailure::Garbage) => "garbage",
        DispatchError::NodeFailed(JobFailure::Hung) => "hung",
        DispatchError::NodeFailed(JobFailure::Stopping) => "stopping",
        DispatchError::NotLoaded(_) => "not_loaded",
        _ => "lost",
    }
}

/// The node said what it must not.
fn broken() -> Trouble {
    warn!("the node broke the protocol");
    Trouble::Node(DispatchError::NodeLost)
}

fn failed(failure: JobFailure) -> Trouble {
    Trouble::Node(DispatchError::NodeFailed(failure))
}

fn refused(refusal: Refusal) -> Trouble {
    match refusal {
        Refusal::Busy => Trouble::Busy,
        Refusal::Invalid { field, reason } => Trouble::Job(DispatchError::Invalid { field, reason }),
        Refusal::NotLoaded(why) => Trouble::Node(DispatchError::NotLoaded(why)),
        Refusal::PromptTooLong { tokens, limit } => Trouble::TooLong { tokens, limit },
        // It was asked before its last status was here.
        Refusal::Stopping => failed(JobFailure::Stopping),
        Refusal::UnknownModel | Refusal::NotHere | Refusal::NotMember(_) => Trouble::Node(DispatchError::NodeLost),
    }
}
