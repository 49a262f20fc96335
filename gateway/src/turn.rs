//! Turns: a question, and the answer that is being given to it.
//!
//! A turn belongs to the gateway and not to a socket: it goes on when its reader leaves, and any of
//! its user's sockets may follow it. `Turns` knows which run; each is one task (`run.rs`). What it has of its answer
//! is kept while it grows (`keep.rs`), so that it also outlives the gateway's process (`resume.rs`).

mod begin;
mod elsewhere;
mod facts;
mod follow;
mod keep;
mod log;
mod mirror;
mod naming;
mod owners;
mod resume;
mod run;
mod seats;

use starling_protocol::limits::MAX_PROMPT_BYTES;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

pub use begin::{Begun, Question, Says};
pub use follow::Follower;
pub use log::{Ended, Loading, Log, News, Reader, Started};
pub use seats::Running;

use crate::{
    cache::Cache,
    choice::NoModel,
    config::Titles,
    dispatch::{Dispatch, DispatchError},
    events::{Events, Order},
    id::{ConversationId, TurnId, UserId},
    life::Life,
    memory::Memory,
    store::{Store, StoreError, branches::MAX_VERSIONS, messages::TurnError},
};

/// Answers one person may have running at once.
pub const MAX_TURNS_PER_USER: usize = 4;
/// Answers the gateway may have running at once.
pub const MAX_TURNS: usize = 4_096;

/// An answer longer than this comes from a node that does not keep to what was asked of it.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Why a question was not taken.
#[derive(Debug, Error)]
pub enum TurnRefused {
    /// The conversation is not there, or another's.
    #[error("there is no such conversation")]
    NoSuchConversation,
    /// There is no such message in it, or it is not one that this can be done with.
    #[error("there is no such message in this conversation, or it has no versions of that kind")]
    NoSuchMessage,
    /// It has been edited or answered as often as may be.
    #[error("this message has {MAX_VERSIONS} versions, which are as many as may be: go on from one of them")]
    TooManyVersions,
    /// All branches together are too long.
    #[error("this conversation is full: begin a new one")]
    ConversationFull,
    /// Its last answer is not finished.
    #[error("an answer is still being given in this conversation: wait for it, or stop it first")]
    TurnRunning,
    /// The user has too many running.
    #[error("{MAX_TURNS_PER_USER} answers are running already: wait for one of them, or stop it")]
    TooManyTurns,
    /// All users together have too many running.
    #[error("the gateway is busy: try again in a moment")]
    Full,
    /// The gateway takes no more.
    #[error("the gateway is stopping: try again in a moment")]
    Stopping,
    /// Nobody serves the model.
    #[error(transparent)]
    NoModel(#[from] NoModel),
    /// There is no such answer, it is whole, nothing of it is kept, or something was said after it.
    #[error("this answer cannot go on: it is whole, or nothing is kept to go on from; ask again instead")]
    NothingToGoOnFrom,
    /// Nothing was asked.
    #[error("the question is empty")]
    Empty,
    /// The conversation has become longer than a job may be.
    #[error("the conversation is {bytes} bytes long and may be {MAX_PROMPT_BYTES}: begin a new one")]
    PromptTooLong {
        /// All of it.
        bytes: usize,
    },
    /// The question could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The stable code of each way in which dispatching fails.
#[must_use]
pub fn code(error: &DispatchError) -> &'static str {
    match error {
        DispatchError::NoNode => "no_node",
        DispatchError::AllBusy { .. } => "all_busy",
        DispatchError::Invalid { .. } => "invalid_field",
        DispatchError::PromptTooLong { .. } => "prompt_too_long",
        DispatchError::NodeFailed(_) => "node_failed",
        DispatchError::RequestCrashesEngines => "request_crashed_engines",
        DispatchError::NotLoaded(_) => "not_loaded",
        DispatchError::NodeLost => "node_lost",
        DispatchError::Stopping => "stopping",
        DispatchError::AccountClosed => "account_closed",
    }
}

/// What a person reads when an answer was cut off by the gateway's own end, and no node came to go on with it.
#[must_use]
pub fn interrupted() -> TurnError {
    let message = "The gateway was stopped while this answer was being given, and no node was there in time to go on \
        with it."
        .to_owned();
    TurnError { code: "interrupted".to_owned(), message }
}

/// Begins turns, finds those that run and stops them. Cheap to clone.
#[derive(Clone)]
pub struct Turns {
    seats: seats::Seats,
    store: Store,
    dispatch: Dispatch,
    memory: Memory,
    life: Life,
    cache: Cache,
    events: Events,
    /// Models name conversations.
    names: bool,
    /// Cancelled when what runs is another gateway's to go on with, or the next start's.
    leave: CancellationToken,
}

/// What turns need.
pub struct Means {
    pub store: Store,
    pub dispatch: Dispatch,
    pub memory: Memory,
    pub life: Life,
    pub cache: Cache,
    pub events: Events,
    pub titles: Titles,
}

impl Turns {
    /// None runs yet.
    #[must_use]
    pub fn new(means: Means) -> Self {
        let Means { store, dispatch, memory, life, cache, events, titles } = means;
        let (leave, names) = (life.cancel.child_token(), titles == Titles::Model);
        Self { seats: seats::Seats::default(), store, dispatch, memory, life, cache, events, names, leave }
    }

    /// Takes a question and begins to answer it. Runs to its end even when the caller is dropped: a
    /// question that was stored is always answered.
    ///
    /// # Errors
    /// See [`TurnRefused`]. Nothing was stored then.
    pub async fn begin(&self, question: Question) -> Result<Begun, TurnRefused> {
        let turns = self.clone();
        let task = self.life.tasks.spawn(async move { turns.begin_now(question).await });
        task.await.unwrap_or(Err(TurnRefused::Stopping))
    }

    /// The turn that runs in a user's conversation.
    #[must_use]
    pub fn running_in(&self, user: UserId, conversation: ConversationId) -> Option<(TurnId, Running)> {
        self.seats.running_in(user, conversation)
    }

    /// Whether something is being answered in a conversation, or just about to be.
    #[must_use]
    pub fn is_busy(&self, conversation: ConversationId) -> bool {
        self.seats.is_taken(conversation)
    }

    /// How many run here.
    #[must_use]
    pub fn running(&self) -> usize {
        self.seats.running().len()
    }

    /// Stops a user's turn, here or at another gateway.
    pub fn stop(&self, user: UserId, turn: TurnId) {
        if !self.seats.stop(user, turn) {
            self.events.order(&Order::Stop(user, turn));
        }
    }

    /// Stops what is being given in a conversation here.
    pub fn stop_in(&self, user: UserId, conversation: ConversationId) {
        if let Some((turn, _)) = self.running_in(user, conversation) {
            self.seats.stop(user, turn);
        }
    }
}
