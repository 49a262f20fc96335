//! One job, from the question to the last token: one task, one stream an attempt.
//!
//! Until the first token is out, another node may take over and nobody sees it. After that a loss is
//! an error, and what was given stays given.

mod vectors;

use std::{io, time::Duration};

use futures::AsyncWriteExt;
use starling_protocol::{
    JobId,
    frame::{self, FrameError},
    limits::{ADMISSION_TIMEOUT, MAX_EVENT_FRAME},
    message::{Done, JobEvent, JobFailure, JobOpening, JobRequest, Piece, Refusal, Task},
    swarm::{Handle, PeerId, Stream},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{Instrument, debug, info_span, warn};

use super::{
    AnswerEvent, DispatchError, Job,
    actor::{Command, Lease, Reply},
};
use crate::scheduler::Outcome;

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

type Events = mpsc::Sender<Result<AnswerEvent, DispatchError>>;

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

pub(super) async fn run(job: Job, swarm: Handle, commands: mpsc::Sender<Command>, events: Events) {
    let request = JobRequest { job: JobId::generate(), attempt: 0, model: job.model, task: job.task };
    let span = info_span!("job", id = %request.job);
    let attempts =
        Attempts { request, swarm, commands, events: events.clone(), tried: vec![], engines_lost: 0, given: 0 };
    let last = match attempts.run().instrument(span).await {
        Ok(done) => Ok(AnswerEvent::Done(done)),
        Err(Trouble::Busy) => Err(DispatchError::AllBusy { retry_after: Duration::from_secs(1) }),
        Err(Trouble::Node(error) | Trouble::Job(error)) => Err(error),
        Err(Trouble::Unread) => return,
    };
    let _ = events.send(last).await;
}

struct Attempts {
    request: JobRequest,
    swarm: Handle,
    commands: mpsc::Sender<Command>,
    events: Events,
    /// Nodes that have failed this job.
    tried: Vec<PeerId>,
    /// Of these, with the end of their engines.
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
            self.request.attempt = attempt;
            let mut lease = match self.lease().await {
                // That the others failed says more than that nobody is left.
                Err(Trouble::Node(DispatchError::NoNode)) if last.is_some() => break,
                lease => lease?,
            };
            let peer = lease.placement.peer;
            match self.attempt(&lease).instrument(info_span!("attempt", %peer)).await {
                Err(Trouble::Busy) => lease.outcome = Outcome::Busy,
                Err(Trouble::Node(error)) => {
                    warn!(%peer, attempt, given = self.given, %error, "the node failed");
                    lease.outcome = Outcome::Failed;
                    if self.given > 0 {
                        return Err(Trouble::Job(error));
                    }
                    self.tried.push(peer);
                    self.blame(&error)?;
                    last = Some(error);
                }
                end => return end,
            }
        }
        Err(last.map_or(Trouble::Busy, Trouble::Node))
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
        let ask = Command::Ask { model: self.request.model, tried: self.tried.clone(), reply };
        self.commands.send(ask).await.map_err(|_| stopping())?;
        let lease = match answer.await.map_err(|_| stopping())? {
            Reply::Now(lease) => lease,
            Reply::Later(later) => {
                self.tell(AnswerEvent::Waiting).await?;
                later.await.map_err(|_| stopping())?
            }
        };
        lease.map_err(Trouble::Node)
    }

    async fn attempt(&mut self, lease: &Lease) -> Result<Done, Trouble> {
        let lost = || Trouble::Node(DispatchError::NodeLost);
        let mut stream = self.swarm.open_job(lease.placement.peer).await.map_err(|error| {
            debug!(%error, "no stream");
            lost()
        })?;
        // A refusal may be there before the request is out; so a failed write is left to the read.
        match frame::write(&mut stream, &JobOpening::Begin(self.request.clone())).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(lost()),
            Err(error) => debug!(%error, "the request was not taken"),
            Ok(()) => {}
        }
        let accepted = match next(&mut stream, FIRST_EVENT_TIMEOUT).await? {
            JobEvent::Accepted(accepted) => accepted,
            JobEvent::Refused(refusal) => return Err(refused(refusal)),
            JobEvent::Failed(failure) => return Err(failed(failure)),
            JobEvent::Piece(_) | JobEvent::Vector(_) | JobEvent::Done(_) | JobEvent::Resumed => return Err(lost()),
        };
        self.tell(AnswerEvent::Started { placement: lease.placement.clone(), accepted }).await?;
        let done = match &self.request.task {
            Task::Chat(_) => self.read(&mut stream).await?,
            Task::Embed(texts) => {
                let (vectors, done) = vectors::read(&mut stream, texts.len(), lease.dimensions).await?;
                self.tell(AnswerEvent::Vectors(vectors)).await?;
                done
            }
        };
        // The whole answer is here: how the stream closes changes nothing.
        let _ = stream.close().await;
        Ok(done)
    }

    async fn read(&mut self, stream: &mut Stream) -> Result<Done, Trouble> {
        let mut expected = 0;
        let mut patience = FIRST_TOKEN_TIMEOUT;
        loop {
            match next(stream, patience).await? {
                JobEvent::Piece(Piece { seq, tokens, text, logprobs })
                    if seq == expected && logprobs.len() <= tokens.len() =>
                {
                    (expected, patience) = (expected + 1, STALL_TIMEOUT);
                    self.given += tokens.len();
                    self.tell(AnswerEvent::Piece { tokens, text, logprobs }).await?;
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

    async fn tell(&self, event: AnswerEvent) -> Result<(), Trouble> {
        self.events.send(Ok(event)).await.map_err(|_| Trouble::Unread)
    }
}

async fn next(stream: &mut Stream, patience: Duration) -> Result<JobEvent, Trouble> {
    let why = match timeout(patience, frame::read::<JobEvent>(stream, MAX_EVENT_FRAME)).await {
        Ok(Ok(event)) => return Ok(event),
        // Never a clean end: that is what `Done` is for.
        Ok(Err(FrameError::End)) => "the stream ended without `Done`".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("silent for {} s", patience.as_secs()),
    };
    debug!(why, "the node was lost");
    Err(Trouble::Node(DispatchError::NodeLost))
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
