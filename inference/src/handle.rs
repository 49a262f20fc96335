//! What the rest of a node holds of an engine: a cheap handle.
//!
//! Nothing here waits for the engine except admission, which waits for the step that is running. One slot is one
//! permit: who gets none is refused at once, because queueing is done elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot, watch};

use crate::request::validate_texts;
use crate::stream::{Bell, Reader, stream};
use crate::{Generation, Invalid, ModelInfo, Request};

/// Asks an engine for answers. Cheap to clone; the runner ends when the last one is dropped.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    bell: Bell,
    load: watch::Receiver<Load>,
}

/// How busy an engine is and how fast it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Answers in progress.
    pub running: u32,
    /// Slots without an answer.
    pub slots_free: u32,
    /// Prompt tokens read per second and answer, lately; 0 until known.
    pub prefill_tokens_per_second: f64,
    /// Tokens given per second and answer, lately; 0 until known.
    pub decode_tokens_per_second: f64,
    /// Tokens given per second lately, all answers together; 0 while nothing runs.
    pub throughput_tokens_per_second: f64,
    /// Slots that there are; fewer than [`ModelInfo::slots`] after trouble with memory.
    pub slots: u32,
    /// Labels ([`Request::prefixes`]) of the conversations whose prefix need not be computed again.
    pub prefixes: Arc<[u64]>,
    /// False once the engine died or was stopped.
    pub alive: bool,
    /// It is not alive, and will be started again.
    pub restarting: bool,
    /// How often the engine had to be started again.
    pub restarts: u32,
    /// Why it is not alive, or why it was started again last; empty when all is well.
    pub trouble: String,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            running: 0,
            slots_free: 0,
            prefill_tokens_per_second: 0.0,
            decode_tokens_per_second: 0.0,
            throughput_tokens_per_second: 0.0,
            slots: 0,
            prefixes: Arc::from([]),
            alive: false,
            restarting: false,
            restarts: 0,
            trouble: String::new(),
        }
    }
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// Every slot is taken.
    #[error("every slot is busy")]
    Busy,
    /// A parameter is out of its limits, or the model's template does not take the conversation.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens, the limit is {limit}")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: u32,
        /// Most tokens that a prompt may have.
        limit: u32,
    },
    /// The engine died and is being started again; soon it will answer.
    #[error("the engine is being started again")]
    Restarting,
    /// The engine died or was stopped.
    #[error("the engine is stopped")]
    Stopped,
}

impl Handle {
    /// What the engine serves.
    pub fn info(&self) -> &ModelInfo {
        &self.shared.info
    }

    /// How busy it is, as a level to look at or wait on.
    pub fn load(&self) -> watch::Receiver<Load> {
        self.load.clone()
    }

    /// Starts an answer. Returns when the prompt is accepted and has its slot, which takes up to one step; an engine
    /// that hangs never answers, so give this a deadline. Dropping the future cancels.
    ///
    /// # Errors
    /// [`Refused`] says why there is no answer; nothing was started then.
    pub async fn generate(&self, request: Request) -> Result<Generation, Refused> {
        request.validate()?;
        self.ask(Work::Answer(Box::new(request))).await
    }

    /// Starts to turn texts into vectors: [`Output::Vector`](crate::Output::Vector)s in the order of the texts. As for
    /// [`Handle::generate`], this returns once the texts are accepted.
    ///
    /// # Errors
    /// [`Refused`] says why there will be none, also when one text alone is too long.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Generation, Refused> {
        validate_texts(&texts)?;
        self.ask(Work::Embed(texts)).await
    }

    async fn ask(&self, work: Work) -> Result<Generation, Refused> {
        let seat = Arc::clone(&self.shared.seats).try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => Refused::Busy,
            TryAcquireError::Closed => Refused::Stopped,
        })?;
        self.ask_in(seat, work).await
    }

    /// As [`Handle::ask`], for one who knows that a seat is free or soon will be.
    pub(crate) async fn ask_patiently(&self, work: Work) -> Result<Generation, Refused> {
        let seat = Arc::clone(&self.shared.seats).acquire_owned().await.map_err(|_| Refused::Stopped)?;
        self.ask_in(seat, work).await
    }

    /// How often the engine was entered and left.
    pub(crate) fn pulse(&self) -> u64 {
        self.shared.pulse.0.load(Ordering::Relaxed)
    }

    /// As [`Handle::ask`], in a seat that the caller has found.
    async fn ask_in(&self, seat: OwnedSemaphorePermit, work: Work) -> Result<Generation, Refused> {
        let (reader, generation) = stream(seat, self.bell.clone());
        let (reply, admitted) = oneshot::channel();
        self.jobs.try_send(Job { work, reply, reader }).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Closed(_) => Refused::Stopped,
        })?;
        self.bell.ring();
        admitted.await.unwrap_or(Err(Refused::Stopped))?;
        Ok(generation)
    }
}

/// What an engine can be asked; which of the two it does is its [`Kind`](crate::Kind).
#[derive(Serialize, Deserialize)]
pub(crate) enum Work {
    Answer(Box<Request>),
    Embed(Vec<String>),
}

/// A request on its way to the runner.
pub(crate) struct Job {
    pub(crate) work: Work,
    reply: oneshot::Sender<Result<(), Refused>>,
    pub(crate) reader: Reader,
}

impl Job {
    /// The two ends that wait: for the answer, and for whether there will be one.
    pub(crate) fn split(self) -> (Reader, Caller) {
        let (_, reader, caller) = self.parts();
        (reader, caller)
    }

    /// Those, and what is asked.
    pub(crate) fn parts(self) -> (Work, Reader, Caller) {
        (self.work, self.reader, Caller(self.reply))
    }

    /// Tells the caller why not; the seat is free before it knows.
    pub(crate) fn refuse(self, refused: Refused) {
        drop(self.reader);
        let _ = self.reply.send(Err(refused));
    }
}

/// Waits to hear whether there will be an answer.
pub(crate) struct Caller(oneshot::Sender<Result<(), Refused>>);

impl Caller {
    /// Says that there will not, and why.
    pub(crate) fn refuse(self, refused: Refused) {
        let _ = self.0.send(Err(refused));
    }

    /// Says that there will.
    pub(crate) fn accept(self) {
        // The caller may have left; then the reader is gone too, which the runner notices.
        let _ = self.0.send(Ok(()));
    }
}

/// What the handles share.
struct Shared {
    info: ModelInfo,
    seats: Arc<Semaphore>,
    pulse: Pulse,
}

/// Counts how often the engine was entered and left, so that somebody else can see that it does not come back: odd
/// while a call into it is under way.
#[derive(Clone, Default)]
pub(crate) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Call before the engine is entered; it is left when what comes back is dropped.
    pub(crate) fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(Arc::clone(&self.0))
    }
}

/// The engine is at work.
pub(crate) struct Entered(Arc<AtomicU64>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The other ends of everything that a handle holds, for whoever serves it: a runner, or the keeper of a process,
/// each of which hears the bell in its own way.
pub(crate) struct Ends<Heard = Receiver<()>> {
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) bell: Heard,
    pub(crate) load: watch::Sender<Load>,
    pub(crate) pulse: Pulse,
    pub(crate) seats: Arc<Semaphore>,
    handles: Weak<Shared>,
}

impl<Heard> Ends<Heard> {
    /// Whether every handle was dropped.
    pub(crate) fn abandoned(&self) -> bool {
        self.handles.strong_count() == 0
    }

    /// From now on every request is refused as `Stopped`, also those on their way. `trouble` is why, unless it was
    /// wanted.
    pub(crate) fn close(&mut self, trouble: Option<&str>) {
        self.seats.close();
        self.jobs.close();
        while self.jobs.try_recv().is_ok() {}
        self.load.send_modify(|load| {
            load.alive = false;
            load.trouble = trouble.unwrap_or_default().to_owned();
        });
    }
}

/// A handle for an engine that serves `info`, and the ends of it for whoever serves them on a thread.
pub(crate) fn pair(info: ModelInfo) -> (Handle, Ends) {
    let (bell, bell_end) = sync_channel(1);
    // Full: it is ringing already. Disconnected: nobody is left to wake.
    let bell = Bell::new(move || {
        let _ = bell.try_send(());
    });
    pair_with(info, bell, bell_end)
}

/// As [`pair`], for whoever hears the bell in another way.
pub(crate) fn pair_with<Heard>(info: ModelInfo, bell: Bell, bell_end: Heard) -> (Handle, Ends<Heard>) {
    let slots = info.slots as usize;
    // Whoever queues holds a seat, so this queue is never full.
    let (jobs, jobs_end) = mpsc::channel(slots.max(1));
    let load = Load { slots_free: info.slots, slots: info.slots, alive: true, ..Load::default() };
    let (load_end, load) = watch::channel(load);
    let (seats, pulse) = (Arc::new(Semaphore::new(slots)), Pulse::default());
    let shared = Arc::new(Shared { info, seats: Arc::clone(&seats), pulse: pulse.clone() });
    let handles = Arc::downgrade(&shared);
    let handle = Handle { shared, jobs, bell, load };
    (handle, Ends { jobs: jobs_end, bell: bell_end, load: load_end, pulse, seats, handles })
}
