//! What a person's conversations leave behind: facts that they wrote and passages of what was said, found again by what
//! they mean, and told to the model before a question that they fit.
//!
//! The database holds all of it; vectors are made by embedding models on nodes. [`Memory::run`] is the one task that
//! cuts and embeds, always behind what people wait for; [`Memory::recall`] finds what fits a question, and gives up in
//! time. Without a node that embeds, memory waits and nothing else does.

mod chooser;
mod embed;
mod indexes;
mod notes;
mod options;
mod passages;
mod worker;

use std::{sync::Arc, time::Duration};

use starling_index::{Hit, Vector};
use starling_protocol::message::Private;
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

pub use notes::{Room, write_into};
pub use options::Options;

use crate::{
    choice::Choice,
    dispatch::{Dispatch, DispatchError, Priority},
    id::{MemoryId, MessageId, UserId},
    life::Life,
    memory::indexes::Indexes,
    store::{Store, StoreError, memories, memories::recalled::Recalled},
};

/// How many of the nearest are looked at for one question: the budget holds fewer.
const CANDIDATES: usize = 32;
/// And for each message that is shown already some more,
const PER_MESSAGE: usize = 4;
/// up to this many.
const MAX_CANDIDATES: usize = 256;
/// How often a search looks again when what it found is not there any more.
const LOOKS: usize = 3;

/// A user's memories, for all users. Cheap to clone.
#[derive(Clone)]
pub struct Memory(Arc<Parts>);

struct Parts {
    store: Store,
    dispatch: Dispatch,
    options: Options,
    indexes: Indexes,
    /// What embeds now; nobody while there is no node for it.
    model: watch::Sender<Option<Choice>>,
    /// There may be something to do.
    wake: Notify,
}

/// What the model reads anyway.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// What was said in this conversation.
    pub messages: Vec<MessageId>,
    /// What was put before earlier questions in it.
    pub memories: Vec<MemoryId>,
}

impl Shown {
    fn has(&self, memory: &memories::Memory) -> bool {
        memory.message.is_some_and(|message| self.messages.contains(&message)) || self.memories.contains(&memory.id)
    }
}

/// A memory that was found.
pub struct Found {
    /// Which.
    pub memory: memories::Memory,
    /// The cosine of the angle to what was looked for.
    pub similarity: f32,
}

/// Why nothing could be looked for.
#[derive(Debug, Error)]
pub enum SearchError {
    /// Nobody embeds.
    #[error("no node in the swarm makes vectors right now, so memories can be listed and not searched")]
    NoModel,
    /// It took too long.
    #[error("the search took too long: try again in a moment")]
    Late,
    /// The words were not made into a vector.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Memory {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(store: Store, dispatch: Dispatch, options: Options, life: Life) -> Self {
        let indexes = Indexes::new(store.clone(), options.index_bytes(), life);
        let (model, _) = watch::channel(None);
        Self(Arc::new(Parts { store, dispatch, options, indexes, model, wake: Notify::new() }))
    }

    /// There may be something new to cut or to embed.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// What embeds now.
    #[must_use]
    pub fn model(&self) -> Option<Choice> {
        self.0.model.borrow().clone()
    }

    /// What fits a question, the best first, within the room there is; nothing where it would take too long, or where
    /// the person wants none. What is shown already is not repeated.
    pub async fn recall(&self, user: UserId, question: &Private, shown: &Shown, room: Room) -> Vec<Recalled> {
        let options = &self.0.options;
        let room = room.within(options.memory_tokens);
        if self.model().is_none() || !room.is_any() {
            return vec![];
        }
        let deadline = Instant::now() + options.deadline();
        match timeout_at(deadline, self.fitting(user, question, shown)).await {
            Ok(Ok(found)) => notes::chosen(found, options.memory_similarity, room),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a question goes on without memories");
                vec![]
            }
            Err(_) => {
                tracing::debug!("a question goes on without memories: they took too long");
                vec![]
            }
        }
    }

    async fn fitting(&self, user: UserId, question: &Private, shown: &Shown) -> Result<Vec<Found>, SearchError> {
        if !self.0.store.remembers(user).await? {
            return Ok(vec![]);
        }
        // What is shown may well be what is nearest.
        let count = (CANDIDATES + PER_MESSAGE * shown.messages.len()).min(MAX_CANDIDATES);
        let mut found = self.find(user, question, count).await?;
        found.retain(|found| !shown.has(&found.memory));
        Ok(found)
    }

    /// A user's memories that mean most nearly this, the nearest first.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn search(
        &self,
        user: UserId,
        words: &Private,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Found>, SearchError> {
        timeout_at(Instant::now() + limit, self.find(user, words, count)).await.unwrap_or(Err(SearchError::Late))
    }

    async fn find(&self, user: UserId, words: &Private, count: usize) -> Result<Vec<Found>, SearchError> {
        let model = self.model().ok_or(SearchError::NoModel)?;
        if !self.0.store.has_vectors(user, model.id).await? {
            return Ok(vec![]);
        }
        let words = passages::excerpt(&words.0);
        let made = embed::one(&self.0.dispatch, &model, &words, Priority::Interactive, user).await?;
        let Some(query) = made else { return Ok(vec![]) };
        for _ in 0..LOOKS {
            let hits = self.0.indexes.search(user, &model, &query, count).await?;
            let (found, gone) = self.read(user, &hits).await?;
            if gone.is_empty() {
                return Ok(found);
            }
            self.0.indexes.forget(user, &gone);
        }
        Ok(vec![])
    }

    /// What was found, as it stands in the database now, and what does not stand there any more.
    async fn read(&self, user: UserId, hits: &[Hit]) -> Result<(Vec<Found>, Vec<MemoryId>), StoreError> {
        let ids: Vec<MemoryId> = hits.iter().map(|hit| MemoryId::of_key(hit.key)).collect();
        let mut there = self.0.store.memories_of(user, &ids).await?;
        let (mut found, mut gone) = (vec![], vec![]);
        for (hit, id) in hits.iter().zip(ids) {
            match there.iter().position(|memory| memory.id == id) {
                Some(at) => found.push(Found { memory: there.swap_remove(at), similarity: hit.similarity }),
                None => gone.push(id),
            }
        }
        Ok((found, gone))
    }

    /// These of a user's memories are gone, or mean something else now.
    pub fn forget(&self, user: UserId, ids: &[MemoryId]) {
        self.0.indexes.forget(user, ids);
    }

    /// All of a user's memories are gone.
    pub fn forget_all(&self, user: UserId) {
        self.0.indexes.drop_all(user);
    }
}

/// What a node made of a text, as something to search with; `None` where it has no direction.
fn vector(values: &[f32]) -> Option<Vector> {
    Vector::new(values)
}
