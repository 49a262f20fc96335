//! One who follows a turn wherever it is given: when another gateway goes on with it, so does the reader, from behind
//! what it has seen.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{Begun, Ended, News, Reader, Turns};
use crate::{
    id::{ConversationId, TurnId, UserId},
    store::{StoreError, messages::Status},
};

/// The wait between looks for who goes on.
const AGAIN: Duration = Duration::from_millis(50);

/// Follows one turn.
pub struct Follower {
    turns: Turns,
    user: UserId,
    conversation: ConversationId,
    turn: TurnId,
    reader: Reader,
}

impl Turns {
    /// Follows a user's turn from behind the first `seen` bytes.
    #[must_use]
    pub fn follow(&self, user: UserId, begun: Begun, seen: u64) -> Follower {
        let Begun { turn, accepted, log } = begun;
        let reader = Reader::new(log, seen);
        Follower { turns: self.clone(), user, conversation: accepted.conversation.id, turn, reader }
    }
}

impl Follower {
    /// What is new, or waits for it. `None` after the end, or when this gateway stops before it.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.reader.next().await {
                return Some(news);
            }
            if self.reader.has_ended() || self.turns.life.drain.is_cancelled() {
                return None;
            }
            match self.look().await {
                Ok(Some(ended)) => {
                    self.reader.ends();
                    return Some(News::Ended(Arc::new(ended)));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "who goes on cannot be seen"),
            }
            sleep(AGAIN).await;
        }
    }

    /// Finds who gives it now, or how it has ended.
    async fn look(&mut self) -> Result<Option<Ended>, StoreError> {
        if let Some(begun) = self.turns.find(self.user, self.conversation).await?
            && begun.turn == self.turn
        {
            self.reader = Reader::new(begun.log, self.reader.seen());
            return Ok(None);
        }
        let message = self.turns.store.message(self.user, self.conversation, self.turn).await?;
        if message.as_ref().is_some_and(|message| message.status == Status::Running) {
            return Ok(None);
        }
        let error = message.as_ref().and_then(|message| message.error.clone());
        Ok(Some(Ended { message, error }))
    }
}
