//! One job, from the question to the last token: one task, one [`Link`] an attempt.
//!
//! Until the first token is out, another node may take over and nobody sees it. After that a loss is
//! an error, and what was given stays given.

mod link;
mod vectors;

use std::time::Duration;

use starling_protocol::{
    limits::ADMISSION_TIMEOUT,
    members::Members,
    membership::Claims,
    message::{Done, JobEvent, JobFailure, JobRequest, Piece, Refusal, Task},
    swarm::{Handle, Path, PeerId},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use self::link::{Heard, Link};
use super::{
    AnswerEvent, DispatchError, Estimate, Job, Placement,
    actor::{Command, Lease, Reply},
    seen::Seen,
};
use crate::{
    metrics::Jobs,
    scheduler::{Need, Outcome},
};

/// Nodes that one job is tried on.
const MAX_ATTEMPTS: u32 = 8;
/// Engines that one job may end before it is taken for the cause. One may have died of anything.
const MAX_ENGINES_LOST: u32 = 2;
/// A node's own deadline for admission, and the way there and back.
const FIRST_EVENT_TIMEOUT: Duration = ADMISSION_TIMEOUT.saturating_add(Duration::from_secs(2));
/// A long prompt on a slow machine takes minutes to read; then a silent node counts as hung.
const FIRST_TOKEN_TIMEOUT: Duration = Duration::from_secs(300);
/// A node that has begun and then says nothing for this long counts as hung.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

type Found = Result<Lease, DispatchError>;
type Slot = oneshot::Receiver<Found>;
pub(super) type Events = mpsc::Sender<Result<AnswerEvent, DispatchError>>;

/// How an attempt failed.
enum Trouble {
    /// The node had no slot.
    Busy,
    /// The node is of no use to this job; another may be.
    Node(DispatchError),
    /// No node can do better.
    Job(DispatchError),
    /// Nobody reads the answer any more.
    Unread,
}

/// What a job's task works with.
pub(super) struct Means {
    pub(super) swarm: Handle,
    pub(super) members: Members,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) events: Events,
    pub(super) jobs: Jobs,
    /// The reader has left.
    pub(super) cancel: CancellationToken,
}

pub(super) async fn run(job: Job, need: Need, means: Means) {
    let before = job.attempts;
    let request = JobRequest { job: job.id, attempt: before, model: job.model, task: job.task };
    let span = info_span!("job", id = %request.job);
    let events = means.events.clone();
    let attempts = Attempts { request, before, need, means, tried: vec![], lost: vec![], engines_lost: 0, given: 0 };
    let last = match attempts.run().instrument(span).await {
        Ok(done) => Ok(AnswerEvent::Done(done)),
        Err(Trouble::Busy) => Err(DispatchError::AllBusy { retry_after: Duration::from_secs(1) }),
        Err(Trouble::Node(error) | Trouble::Job(error)) => Err(error),
        Err(Trouble::Unread) => return,
    };
    let _ = events.send(last).await;
}

/// Waits until what a member has shown is taken back.
async fn turned_out(members: &Members, shown: Option<Claims>) {
    let mut revocations = members.revocations();
    if let Some(claims) = shown
        && revocations.wait_for(|revocations| revocations.revokes(&claims)).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

struct Attempts {
    request: JobRequest,
    /// Attempts that are not ours.
    before: u32,
    need: Need,
    means: Means,
    /// Nodes that have failed this job.
    tried: Vec<PeerId>,
    /// Nodes that were lost once, before they gave anything.
    lost: Vec<PeerId>,
    /// Of the former, with the end of their engines.
    engines_lost: u32,
    /// Tokens that the reader has.
    given: usize,
}

impl Attempts {
    async fn run(mut self) -> Result<Done, Trouble> {
        let invalid = |error: starling_protocol::message::Invalid| {
            Trouble::Job(DispatchError::Invalid { field: error.field.to_owned(), reason: error.reason })
        };
        self.request.validate().map_err(invalid)?;
        let mut last = None;
        for attempt in 1..=MAX_ATTEMPTS {
            self.request.attempt = self.before.saturating_add(attempt);
            let cancel = self.means.cancel.clone();
            let lease = cancel.run_until_cancelled(self.lease()).await;
            let mut lease = match lease.unwrap_or(Err(Trouble::Unread)) {
                // That the others failed says more than that nobody is left.
                Err(Trouble::Node(DispatchError::NoNode)) if last.is_some() => break,
                lease => lease?,
            };
            let peer = lease.placement.peer;
            match self.attempt(&mut lease).instrument(info_span!("attempt", %peer)).await {
                Err(Trouble::Busy) => lease.outcome = Outcome::Busy,
                Err(Trouble::Node(error)) => {
                    warn!(%peer, attempt, given = self.given, %error, "the node failed");
                    lease.outcome = Outcome::Failed;
                    if self.given > 0 {
                        return Err(Trouble::Job(error));
                    }
                    self.note(peer, &error);
                    self.blame(&error)?;
                    last = Some(error);
                }
                Ok(done) => {
                    lease.seen.done(&done);
                    lease.outcome = Outcome::Served;
                    return Ok(done);
                }
                end => return end,
            }
        }
        Err(last.map_or(Trouble::Busy, Trouble::Node))
    }

    /// A node that was lost may only have lost the connection that the job began on, such as the worse one of two
    /// that were dialled at the same time: it is asked once more, unless another is quicker.
    fn note(&mut self, peer: PeerId, error: &DispatchError) {
        let again = *error == DispatchError::NodeLost && !self.lost.contains(&peer);
        if again { &mut self.lost } else { &mut self.tried }.push(peer);
    }

    /// A request that ends one engine after another is not given to the next.
    fn blame(&mut self, error: &DispatchError) -> Result<(), Trouble> {
        if let DispatchError::NodeFailed(JobFailure::EngineDied | JobFailure::Hung) = error {
            self.engines_lost += 1;
        }
        if self.engines_lost < MAX_ENGINES_LOST {
            return Ok(());
        }
        warn!("the request has ended {MAX_ENGINES_LOST} engines");
        Err(Trouble::Job(DispatchError::RequestCrashesEngines))
    }

    /// Asks for a slot and waits for it.
    async fn lease(&self) -> Result<Lease, Trouble> {
        let stopping = || Trouble::Job(DispatchError::Stopping);
        let (reply, answer) = oneshot::channel();
        let need = Box::new(self.need.clone());
        let ask = Command::Ask { need, tried: self.tried.clone(), reply };
        self.means.commands.send(ask).await.map_err(|_| stopping())?;
        let lease = match answer.await.map_err(|_| stopping())? {
            Reply::Now(lease) => *lease,
            Reply::Later(later, estimates) => self.wait(later, estimates).await?.ok_or_else(stopping)?,
        };
        lease.map_err(Trouble::Node)
    }

    /// Waits for the slot that will come, and tells how long it may take. `None` when the gateway stops.
    async fn wait(&self, mut later: Slot, mut estimates: watch::Receiver<Estimate>) -> Result<Option<Found>, Trouble> {
        loop {
            let estimate = *estimates.borrow_and_update();
            self.tell(AnswerEvent::Waiting(estimate)).await?;
            let moved = tokio::select! {
                lease = &mut later => return Ok(lease.ok()),
                moved = estimates.changed() => moved,
            };
            // Without a sender the slot is on its way, or will never come.
            if moved.is_err() {
                return Ok(later.await.ok());
            }
        }
    }

    async fn attempt(&mut self, lease: &mut Lease) -> Result<Done, Trouble> {
        let Means { swarm, members, jobs, cancel, .. } = &self.means;
        let (members, cancel) = (members.clone(), cancel.clone());
        let shown = members.roster().borrow().get(&lease.placement.peer).cloned();
        let mut link = Link::begin(swarm.clone(), jobs.clone(), lease, &self.request).await?;
        let following = async {
            tokio::select! {
                end = self.follow(&mut link, lease) => end,
                // It is not waited for as one whose connection broke is: it will not come back.
                () = turned_out(&members, shown) => Err(Trouble::Node(DispatchError::NodeLost)),
            }
        };
        let end = cancel.run_until_cancelled(following).await;
        // However it ended, and whoever has left: the node has to know.
        link.end().await;
        end.unwrap_or(Err(Trouble::Unread))
    }

    async fn follow(&mut self, link: &mut Link, lease: &mut Lease) -> Result<Done, Trouble> {
        let accepted = match self.hear(link, FIRST_EVENT_TIMEOUT).await? {
            JobEvent::Accepted(accepted) => accepted,
            JobEvent::Refused(refusal) => return Err(refused(refusal)),
            JobEvent::Failed(failure) => return Err(failed(failure)),
            JobEvent::Piece(_) | JobEvent::Vector(_) | JobEvent::Done(_) | JobEvent::Resumed => return Err(broken()),
        };
        let relayed = link.path() == Path::Relayed;
        let placement = Placement { relayed, ..lease.placement.clone() };
        self.tell(AnswerEvent::Started { placement, accepted, attempt: self.request.attempt }).await?;
        match &self.request.task {
            Task::Chat(_) => self.read(link, &mut lease.seen).await,
            Task::Embed(texts) => {
                let (vectors, done) = vectors::read(link, texts.len(), lease.dimensions).await?;
                lease.seen.piece(0);
                self.tell(AnswerEvent::Vectors(vectors)).await?;
                Ok(done)
            }
        }
    }

    async fn read(&mut self, link: &mut Link, seen: &mut Seen) -> Result<Done, Trouble> {
        let mut expected = 0;
        let mut patience = FIRST_TOKEN_TIMEOUT;
        loop {
            match self.hear(link, patience).await? {
                JobEvent::Piece(Piece { seq, tokens, text, logprobs })
                    if seq == expected && logprobs.len() <= tokens.len() =>
                {
                    (expected, patience) = (expected + 1, STALL_TIMEOUT);
                    self.given += tokens.len();
                    seen.piece(tokens.len());
                    self.tell(AnswerEvent::Piece { tokens, text, logprobs }).await?;
                    seen.passed_on();
                }
                JobEvent::Done(done) => return Ok(done),
                JobEvent::Failed(failure) => return Err(failed(failure)),
                JobEvent::Piece(_)
                | JobEvent::Vector(_)
                | JobEvent::Accepted(_)
                | JobEvent::Refused(_)
                | JobEvent::Resumed => {
                    return Err(broken());
                }
            }
        }
    }

    /// The node's next event; the reader is told of a new path meanwhile.
    async fn hear(&self, link: &mut Link, patience: Duration) -> Result<JobEvent, Trouble> {
        loop {
            match link.next(patience).await? {
                Heard::Event(event) => return Ok(event),
                Heard::Moved(path) => self.tell(AnswerEvent::Moved { relayed: path == Path::Relayed }).await?,
            }
        }
    }

    async fn tell(&self, event: AnswerEvent) -> Result<(), Trouble> {
        self.means.events.send(Ok(event)).await.map_err(|_| Trouble::Unread)
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
        Refusal::PromptTooLong { tokens, limit } => Trouble::Job(DispatchError::PromptTooLong { tokens, limit }),
        Refusal::UnknownModel | Refusal::Stopping | Refusal::NotHere | Refusal::NotMember(_) => {
            Trouble::Node(DispatchError::NodeLost)
        }
    }
}
