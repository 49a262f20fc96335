//! Answers that go on: those that an earlier process left running, and those that were cut short and that a person
//! wants more of. Both go on in place, from their tokens, on any node that serves their model.

use std::{sync::Arc, time::Duration};

use starling_protocol::{JobId, ModelId, message::ChatMessage};
use tokio::time::timeout;

use super::{
    Begun, TurnRefused, Turns,
    begin::{job, prompt, said, size},
    interrupted,
};
use crate::{
    choice::NoModel,
    dispatch::Answer,
    id::{TurnId, UserId},
    store::{branches::UpTo, messages::TurnError, progress::Unfinished, tokens::Expected},
};

/// How long an answer that was taken up again waits for a node of its model: longer than nodes take to come back
/// to a gateway that was away for a moment.
const NODE_PATIENCE: Duration = Duration::from_secs(30);
/// More attempts than can have begun after the last of them was kept.
const UNKEPT_ATTEMPTS: u32 = 16;

impl Turns {
    /// Takes up what an earlier process left running. Their readers can join at once.
    pub fn take_up(&self, unfinished: Vec<Unfinished>) {
        for mut unfinished in unfinished {
            let seat = self.seats.take(unfinished.turn, unfinished.user, unfinished.accepted.conversation.id);
            // What an attempt of the old process says must not be taken for what this one's say.
            unfinished.progress.attempts = unfinished.progress.attempts.saturating_add(UNKEPT_ATTEMPTS);
            let answer = self.clone().found_again(unfinished.clone());
            let Unfinished { accepted, progress, .. } = unfinished;
            self.run(seat, Arc::new(accepted), progress, answer);
        }
    }

    async fn found_again(self, unfinished: Unfinished) -> Result<Answer, TurnError> {
        let messages = self.said_before(&unfinished).await.map_err(|error| {
            tracing::warn!(%error, "an answer could not be taken up again");
            interrupted()
        })?;
        let model = unfinished.progress.model;
        let mut view = self.dispatch.view();
        let there = view.wait_for(|view| view.chat_models().any(|chat| chat.id == model));
        if !matches!(timeout(NODE_PATIENCE, there).await, Ok(Ok(_))) {
            return Err(interrupted());
        }
        Ok(self.dispatch.start(job(
            &unfinished.progress,
            messages,
            unfinished.accepted.conversation.sampling,
            unfinished.user,
        )))
    }

    /// Goes on with a user's answer that was cut short. Runs to its end even when the caller is dropped.
    ///
    /// # Errors
    /// See [`TurnRefused`]; the answer stays as it is.
    pub async fn go_on(&self, user: UserId, turn: TurnId) -> Result<Begun, TurnRefused> {
        let turns = self.clone();
        let task = self.life.tasks.spawn(async move { turns.go_on_now(user, turn).await });
        task.await.unwrap_or(Err(TurnRefused::Stopping))
    }

    async fn go_on_now(&self, user: UserId, turn: TurnId) -> Result<Begun, TurnRefused> {
        if self.life.drain.is_cancelled() {
            return Err(TurnRefused::Stopping);
        }
        let mut unfinished = self.store.resumable(user, turn).await?.ok_or(TurnRefused::NothingToGoOnFrom)?;
        let progress = &mut unfinished.progress;
        self.is_served(progress.model, &progress.model_name)?;
        // The nodes have been told that the old job is over.
        (progress.job, progress.attempts) = (JobId::generate(), 0);
        let seat = self.seats.reserve(turn, user, unfinished.accepted.conversation.id)?;
        let messages = self.said_before(&unfinished).await?;
        unfinished.progress.prompt_tokens = Expected::new(size(&messages), None).prompt;
        if !self.store.reopen(&unfinished).await? {
            return Err(TurnRefused::NothingToGoOnFrom);
        }
        let answer =
            self.dispatch.start(job(&unfinished.progress, messages, unfinished.accepted.conversation.sampling, user));
        let Unfinished { accepted, progress, .. } = unfinished;
        Ok(self.run(seat, Arc::new(accepted), progress, async { Ok(answer) }))
    }

    /// The conversation as it was asked: up to the question, without this answer.
    async fn said_before(&self, unfinished: &Unfinished) -> Result<Vec<ChatMessage>, TurnRefused> {
        let Unfinished { turn, user, accepted, .. } = unfinished;
        let before = self.store.branch(*user, accepted.conversation.id, UpTo::Before(*turn)).await?;
        let before = before.ok_or(TurnRefused::NothingToGoOnFrom)?;
        let remembers = self.store.remembers(*user).await?;
        let recalled = remembers.then_some(&unfinished.progress.recalled[..]);
        prompt(said(&before.messages, None, recalled))
    }

    fn is_served(&self, model: ModelId, name: &str) -> Result<(), NoModel> {
        let view = self.dispatch.view();
        let there = view.borrow().chat_models().any(|chat| chat.id == model);
        if there { Ok(()) } else { Err(NoModel::Gone { model: name.to_owned() }) }
    }
}
