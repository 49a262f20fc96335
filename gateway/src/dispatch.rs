//! From a job to the node that answers it.
//!
//! `Dispatch` is the handle. Behind it one task owns the [`Scheduler`](crate::scheduler::Scheduler):
//! who serves what, how loaded, who waits. The answer itself flows past that task, straight from the
//! job stream into [`Answer::next`].

mod actor;
mod job;
mod seen;
mod status;
mod view;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use starling_protocol::{
    JobId, ModelId,
    members::Members,
    message::{Accepted, Done, JobFailure, LoadFailure, Private, RawPrompt, Task, TokenLogprob},
    swarm::{Handle, InboundStream, PeerId},
};
use thiserror::Error;
use tokio::sync::{
    Semaphore,
    broadcast::{self, error::RecvError},
    mpsc, watch,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use self::actor::Command;
pub use self::{
    actor::Actor,
    view::{ModelState, ModelView, NodeView, View},
};
pub use crate::scheduler::{Estimate, Priority, Standing};
use crate::{
    clock::Timestamp,
    id::UserId,
    metrics::{Jobs, Meter},
    prefix::Labels,
    scheduler::{Need, Rules, Scheduler},
    secret,
    store::tokens::Expected,
    topology::{Flow, Trace},
};

/// Events of one answer that may wait for a slow reader: then the node waits, through the stream's
/// own back-pressure.
const ANSWER_QUEUE: usize = 64;
/// Questions to the scheduler that may wait.
const COMMAND_QUEUE: usize = 1_024;
/// People who are turned out before all jobs have looked whether it is theirs.
const OUTS: usize = 64;
/// Jobs at one time. Each keeps a place in the queue in which it reports its end, so that no end is lost.
const MAX_JOBS: usize = 8_192;

/// What is to be computed, for whichever node gets it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The same over all attempts at it.
    pub id: JobId,
    /// Attempts that were begun before this process was: its own count on from there.
    pub attempts: u32,
    /// The model, by content.
    pub model: ModelId,
    /// What to do with it.
    pub task: Task,
    /// Who goes first when there is a line.
    pub priority: Priority,
    /// Among whom the swarm is shared.
    pub owner: UserId,
}

impl Job {
    /// One that nobody has begun.
    #[must_use]
    pub fn new(model: ModelId, task: Task, priority: Priority, owner: UserId) -> Self {
        Self { id: JobId::generate(), attempts: 0, model, task, priority, owner }
    }

    /// What it may come to, in tokens.
    #[must_use]
    pub fn expected(&self) -> Expected {
        match &self.task {
            Task::Chat(chat) => {
                let said: usize = chat.messages.iter().map(|message| message.content.0.len()).sum();
                let raw = chat.raw.as_ref().map_or(0, RawPrompt::bytes);
                let tools = chat.tools.as_ref().map_or(0, |tools| tools.0.len());
                Expected::new(said + raw + tools, chat.max_tokens)
            }
            Task::Embed(texts) => Expected::new(texts.iter().map(|text| text.0.len()).sum(), Some(0)),
        }
    }
}

/// Who answers a job.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The node.
    pub peer: PeerId,
    /// Its name.
    pub node_name: String,
    /// What computes the model there, in words.
    pub device: String,
    /// Reached through a relay only.
    pub relayed: bool,
}

/// What an answer is made of, in order: any number of pieces (or, for texts to embed, all vectors at once), then
/// `Done`.
#[derive(Clone, Debug)]
pub enum AnswerEvent {
    /// The job waits for a slot. Again whenever its place in the line or the time changes, at most once a second.
    Waiting(Estimate),
    /// A node loads the model for this job. Again as it comes further, a few times a second at most.
    Loading {
        /// Which one.
        placement: Placement,
        /// So much of a thousand.
        permille: u32,
    },
    /// A node has begun. Again, with another attempt, when a node is lost. The answer goes on where it stood: what was
    /// given stays valid and is not given again.
    Started {
        /// Which one.
        placement: Placement,
        /// How to read the answer's text.
        accepted: Accepted,
        /// Which attempt at the job it is.
        attempt: u32,
    },
    /// The answer goes on over another path.
    Moved {
        /// Through a relay.
        relayed: bool,
    },
    /// Tokens and the text they add.
    Piece {
        /// The token ids.
        tokens: Vec<u32>,
        /// May be empty while a character is incomplete.
        text: Private,
        /// One for each token where they were asked for, else empty.
        logprobs: Vec<TokenLogprob>,
    },
    /// The vectors of all texts, in their order.
    Vectors(Vec<Vec<f32>>),
    /// The answer is whole; nothing follows.
    Done(Done),
}

/// Why there is no answer, or no more of it.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum DispatchError {
    /// Nobody serves the model now.
    #[error("no node in the swarm serves this model right now")]
    NoNode,
    /// Every slot stayed taken for as long as a job may wait, or the line is longer than that.
    #[error("every node is busy; try again in about {} s", whole_seconds(*retry_after))]
    AllBusy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The request is wrong wherever it is sent.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field at fault.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The prompt fits no node's context. Clients of OpenAI's API know that by these words.
    #[error("this model's maximum context length is {limit} tokens, and the prompt has {tokens}")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: u32,
        /// What the context holds.
        limit: u32,
    },
    /// The last node that there was for it said that it failed.
    #[error("{0}")]
    NodeFailed(JobFailure),
    /// The engines of two nodes have died or hung over it, before the first token.
    #[error(
        "the engines of two nodes have failed over this request, so it is not tried again: change it, \
        or tell the model's operator"
    )]
    RequestCrashesEngines,
    /// Nobody who has the model's file could load it.
    #[error("the model could not be loaded: {0}")]
    NotLoaded(LoadFailure),
    /// The last node that there was for it was lost or broke the protocol.
    #[error("the node was lost in mid-answer")]
    NodeLost,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// Whoever asked may not any more.
    #[error("this account was closed")]
    AccountClosed,
}

/// Asks for answers and shows the swarm. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dispatch {
    view: watch::Receiver<Arc<View>>,
    commands: mpsc::Sender<Command>,
    swarm: Option<(Handle, Members)>,
    labels: Labels,
    jobs: Jobs,
    flow: Flow,
    tasks: TaskTracker,
    warmings: Arc<Semaphore>,
    warm_after: u32,
    /// Who is turned out: their answers end.
    outs: broadcast::Sender<UserId>,
}

/// A scheduler for the nodes of `swarm` that are `members` of it, which push their status through `status`.
/// Spawns nothing.
#[must_use]
pub fn new(swarm: Handle, status: mpsc::Receiver<InboundStream>, members: Members, rules: Rules) -> (Dispatch, Actor) {
    let (commands, asked) = mpsc::channel(COMMAND_QUEUE);
    let (publish, view) = watch::channel(Arc::default());
    let known = actor::Known { peers: swarm.peers(), roster: members.roster() };
    let actor = Actor::new(Scheduler::new(rules), known, (status, asked), publish);
    (Dispatch { warm_after: rules.warm_after, ..Dispatch::of(view, commands, Some((swarm, members))) }, actor)
}

impl Dispatch {
    /// Without a swarm: there is never a node.
    #[must_use]
    pub fn detached() -> Self {
        let (_, view) = watch::channel(Arc::default());
        let (commands, _) = mpsc::channel(1);
        Self::of(view, commands, None)
    }

    fn of(view: watch::Receiver<Arc<View>>, commands: mpsc::Sender<Command>, swarm: Option<(Handle, Members)>) -> Self {
        let (labels, jobs, flow, tasks) = (Labels::generate(), Jobs::default(), Flow::default(), TaskTracker::new());
        let (warmings, warm_after) = (Arc::new(Semaphore::new(job::MAX_WARMINGS)), 0);
        let outs = broadcast::Sender::new(OUTS);
        Self { view, commands, swarm, labels, jobs, flow, tasks, warmings, warm_after, outs }
    }

    /// Ends all that is computed for somebody, whoever reads it.
    pub fn turn_out(&self, owner: UserId) {
        // Nobody listens while nothing is computed.
        let _ = self.outs.send(owner);
    }

    /// Waits until every node has been told that its answers are over. Begin none any more.
    pub async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The swarm as it is now; changes wake the receiver.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// These nodes, and no others, are given no more from now on; what they compute they finish.
    pub async fn drain(&self, nodes: BTreeSet<PeerId>) {
        // Without an actor there are no nodes either.
        let _ = self.commands.send(Command::Drain(nodes)).await;
    }

    /// Its answers as they go by.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// What it counts of its jobs.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// What a model is called by one who serves it.
    fn model_name(&self, model: &ModelId) -> Option<String> {
        let view = self.view.borrow();
        let mut offers = view.nodes.iter().flat_map(|node| &node.offers);
        offers.find(|offer| offer.model == *model).map(|offer| offer.name.clone())
    }

    /// Begins a job. Returns at once; the first [`Answer::next`] waits for a node.
    #[must_use]
    pub fn start(&self, mut job: Job) -> Answer {
        let mut labels = vec![];
        if let Task::Chat(chat) = &mut job.task {
            if chat.sampling.seed.is_none() {
                // Every attempt has to choose its tokens alike.
                chat.sampling.seed = Some(u64::from_le_bytes(secret::random()));
                chat.sampling.drawn = true;
            }
            labels = self.labels.of(&job.model, chat);
            chat.prefixes = labels.iter().map(|label| label.label).collect();
        }
        let trace = matches!(job.task, Task::Chat(_)).then(|| self.flow.begin());
        let meter = self.jobs.begin(operation(&job.task), self.model_name(&job.model));
        let (owner, out) = (job.owner, CancellationToken::new());
        let need = Need::new(job.model, &job.task, labels, job.priority, owner);
        let (events, received) = mpsc::channel(ANSWER_QUEUE);
        let cancel = CancellationToken::new();
        let reader = cancel.clone().drop_guard();
        let fallback = if self.swarm.is_some() { DispatchError::Stopping } else { DispatchError::NoNode };
        if let Some((swarm, members)) = self.swarm.clone() {
            let (view, commands) = (self.view.clone(), self.commands.clone());
            let (jobs, tasks) = (self.jobs.clone(), self.tasks.clone());
            let (warmings, warm_after) = (Arc::clone(&self.warmings), self.warm_after);
            let turned_out = turned_out(self.outs.subscribe(), owner, out.clone(), cancel.clone());
            let means =
                job::Means { swarm, members, view, commands, events, jobs, tasks, cancel, warmings, warm_after };
            self.tasks.spawn(async move {
                let running = job::run(job, need, means);
                tokio::pin!(running);
                tokio::select! {
                    () = &mut running => {}
                    () = turned_out => running.await,
                }
            });
        }
        Answer { events: received, fallback: Some(fallback), out, meter, trace, _reader: reader }
    }
}

/// Waits until the owner of a job is turned out, and ends the job as if nobody read it.
async fn turned_out(
    mut outs: broadcast::Receiver<UserId>,
    owner: UserId,
    out: CancellationToken,
    cancel: CancellationToken,
) {
    loop {
        match outs.recv().await {
            Ok(user) if user == owner => break,
            // So many at once are not to be feared: each of them is an administrator's doing.
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
    out.cancel();
    cancel.cancel();
}

/// What a job is for, in OpenTelemetry's words.
fn operation(task: &Task) -> &'static str {
    match task {
        Task::Chat(_) => "chat",
        Task::Embed(_) => "embeddings",
    }
}

/// One answer on its way. Dropping it cancels the job on the node.
#[derive(Debug)]
pub struct Answer {
    events: mpsc::Receiver<Result<AnswerEvent, DispatchError>>,
    /// What a task that ended without a word means.
    fallback: Option<DispatchError>,
    /// Its owner was turned out.
    out: CancellationToken,
    meter: Meter,
    /// For those who watch the swarm; vectors are not shown there.
    trace: Option<Trace>,
    /// While it is here, somebody reads.
    _reader: DropGuard,
}

impl Answer {
    /// The next event. Cancel safe. After `Done` or an error it must not be called again.
    ///
    /// # Errors
    /// See [`DispatchError`]; what came before it stays valid.
    pub async fn next(&mut self) -> Result<AnswerEvent, DispatchError> {
        let event = match self.events.recv().await {
            Some(event) => event,
            None if self.out.is_cancelled() => Err(DispatchError::AccountClosed),
            None => Err(self.fallback.take().unwrap_or(DispatchError::Stopping)),
        };
        self.meter.see(&event);
        if let Some(trace) = &mut self.trace {
            trace.see(&event, Timestamp::now());
        }
        event
    }
}

/// Rounded up: one who comes back after this long is not sent away again.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
