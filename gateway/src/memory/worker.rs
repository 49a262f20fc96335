//! The one task that cuts what was said and has it embedded, a bounded batch at a time, behind everybody else's work.
//!
//! The database is its queue: whatever has no vector of the present model is due. So nothing is lost by a restart, and
//! nothing is done twice but a batch whose answer was lost.

use std::time::Duration;

use starling_index::Vector;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Memory, chooser::Chooser, embed, passages};
use crate::{
    choice::Choice,
    dispatch::{DispatchError, Priority},
    store::{StoreError, memories::work::Unread},
};

/// Passages that one person may have; the oldest make room.
const MAX_PASSAGES: i64 = 100_000;
/// Messages that are cut in one go.
const MESSAGES: i64 = 64;
/// Texts in one job: few enough that a node is free again at once.
const TEXTS: i64 = 32;
/// It looks again after this long without having been told of anything: another gateway may have said something.
const LOOK: Duration = Duration::from_secs(30);
/// How often it looks who serves models.
const GLANCE: Duration = Duration::from_secs(2);
/// How long it waits after a failure, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

impl Memory {
    /// Works until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&self) {
        let mut pause = PAUSES.0;
        let present = loop {
            match self.0.store.model_of_most_vectors().await {
                Ok(model) => break model,
                Err(error) => tracing::warn!(%error, "memory waits for the database"),
            }
            sleep(PAUSES.1).await;
        };
        let mut chooser = Chooser::new(self.0.options.memory_model.clone(), present);
        loop {
            self.choose(&mut chooser);
            match self.go_on().await {
                Ok(true) => pause = PAUSES.0,
                Ok(false) => self.rest(&mut chooser).await,
                Err(Trouble::Store(error)) => {
                    tracing::warn!(%error, "memory waits for the database");
                    wait_longer(&mut pause).await;
                }
                Err(Trouble::Dispatch(error)) => {
                    tracing::debug!(%error, "memory waits for a node");
                    wait_longer(&mut pause).await;
                }
            }
        }
    }

    fn choose(&self, chooser: &mut Chooser) {
        let now = chooser.choose(&self.0.dispatch.view().borrow(), Instant::now());
        self.0.model.send_if_modified(|model| {
            let other = *model != now;
            if other {
                tracing::info!(model = now.as_ref().map(|model| model.name.as_str()), "what embeds memories");
                *model = now;
            }
            other
        });
    }

    /// Does the next bit of work; false when there was none.
    async fn go_on(&self) -> Result<bool, Trouble> {
        let cut = self.cut().await?;
        let Some(model) = self.model() else { return Ok(cut) };
        Ok(self.embed(&model).await? || cut)
    }

    async fn cut(&self) -> Result<bool, StoreError> {
        let said = self.0.store.said_and_uncut(MESSAGES).await?;
        for said in &said {
            let passages = if said.counts { passages::cut(&said.text.0) } else { vec![] };
            self.0.store.keep_passages(said, &passages, MAX_PASSAGES).await?;
        }
        Ok(!said.is_empty())
    }

    async fn embed(&self, model: &Choice) -> Result<bool, Trouble> {
        let unread = self.0.store.to_embed(model.id, TEXTS).await?;
        let Some(owner) = unread.first().map(|first| first.user) else { return Ok(false) };
        let texts = unread.iter().map(|unread| unread.text.0.clone()).collect();
        let made = match embed::all(&self.0.dispatch, model, texts, Priority::Background, owner).await {
            Ok(vectors) => unread.into_iter().zip(vectors).collect(),
            // One of them is to blame, and the others must not wait for it.
            Err(
                DispatchError::PromptTooLong { .. }
                | DispatchError::Invalid { .. }
                | DispatchError::RequestCrashesEngines,
            ) => self.one_by_one(model, unread).await?,
            Err(error) => return Err(error.into()),
        };
        self.0.store.keep_vectors(model.id, &made).await?;
        Ok(true)
    }

    async fn one_by_one(
        &self,
        model: &Choice,
        unread: Vec<Unread>,
    ) -> Result<Vec<(Unread, Option<Vector>)>, DispatchError> {
        let mut made = Vec::with_capacity(unread.len());
        for unread in unread {
            let text = &unread.text.0;
            let vector = embed::one(&self.0.dispatch, model, text, Priority::Background, unread.user).await?;
            made.push((unread, vector));
        }
        Ok(made)
    }

    /// Until there may be something to do again.
    async fn rest(&self, chooser: &mut Chooser) {
        let (until, before) = (Instant::now() + LOOK, self.model());
        while Instant::now() < until && timeout(GLANCE, self.0.wake.notified()).await.is_err() {
            self.choose(chooser);
            if self.model() != before {
                break;
            }
        }
        self.0.indexes.drop_idle();
    }
}

enum Trouble {
    Store(StoreError),
    Dispatch(DispatchError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DispatchError> for Trouble {
    fn from(error: DispatchError) -> Self {
        Self::Dispatch(error)
    }
}

async fn wait_longer(pause: &mut Duration) {
    sleep(*pause).await;
    *pause = (*pause * 2).min(PAUSES.1);
}
