//! A title for a new conversation, by the model that has just answered in it. It is asked behind everybody else's
//! questions; where it does not come in time, or is none, the question's first words stay.

use std::{sync::Arc, time::Duration};

use starling_protocol::{
    ModelId,
    message::{Chat, ChatMessage, Reasoning, Role, Sampling, Style, Task},
};
use tokio::time::timeout;

use super::Turns;
use crate::{
    dispatch::{Answer, AnswerEvent, DispatchError, Job, Priority},
    events::Event,
    id::{ConversationId, UserId},
    store::{
        StoreError,
        branches::UpTo,
        conversations::{Conversation, TitledBy},
        messages::{Message, Status},
    },
    style::{Parser, Part},
    title,
};

/// Tokens of a title: more than any good one has.
const MAX_TOKENS: u32 = 32;
/// Of the question and of the answer, what the title is made from, in letters.
const EXCERPT: usize = 1_000;
/// Longer than that nobody waits for a title.
const PATIENCE: Duration = Duration::from_secs(120);
const WISH: &str = "Give this conversation a title of two to six words, in its own language. \
    Write the title and nothing else.";

impl Turns {
    /// Finds a title for a conversation that has none but its first words. Never fails: there is one already.
    pub(super) async fn name(&self, user: UserId, conversation: ConversationId, model: ModelId) {
        if !self.names {
            return;
        }
        let work = self.life.drain.run_until_cancelled(timeout(PATIENCE, self.find_name(user, conversation, model)));
        match work.await {
            Some(Ok(Ok(Some(named)))) => self.events.tell(user, Event::Titled(Arc::new(named))),
            Some(Ok(Err(error))) => tracing::debug!(%error, "a title was not found"),
            Some(Ok(Ok(None)) | Err(_)) | None => {}
        }
    }

    async fn find_name(
        &self,
        user: UserId,
        id: ConversationId,
        model: ModelId,
    ) -> Result<Option<Conversation>, StoreError> {
        let there = self.dispatch.view().borrow().chat_models().any(|chat| chat.id == model && !chat.demo);
        let found = self.store.conversation(user, id).await?;
        if !there || found.is_none_or(|conversation| conversation.titled_by != TitledBy::Words) {
            return Ok(None);
        }
        let Some(branch) = self.store.branch(user, id, UpTo::End).await? else { return Ok(None) };
        let Some(messages) = wish(&branch.messages) else { return Ok(None) };
        let task = Task::Chat(Chat {
            messages,
            sampling: Sampling { temperature: Some(0.3), ..Sampling::default() },
            max_tokens: Some(MAX_TOKENS),
            thinking: Some(false),
            ..Chat::default()
        });
        let answer = self.dispatch.start(Job::new(model, task, Priority::Background, user));
        match said(answer).await {
            Ok(text) => match title::from_model(&text) {
                Some(title) => self.store.title_by_model(id, &title).await,
                None => Ok(None),
            },
            Err(error) => {
                tracing::debug!(%error, "no node has found a title");
                Ok(None)
            }
        }
    }
}

/// The first question and its answer, and the wish for a title; `None` while there is no whole answer.
fn wish(messages: &[Message]) -> Option<Vec<ChatMessage>> {
    let at = messages.iter().position(|message| message.role == Role::User)?;
    let (question, answer) = (&messages[at], messages.get(at + 1)?);
    if answer.status != Status::Complete || answer.text.0.is_empty() {
        return None;
    }
    let excerpt = |message: &Message| message.text.0.chars().take(EXCERPT).collect::<String>();
    Some(vec![
        ChatMessage::new(Role::User, excerpt(question)),
        ChatMessage::new(Role::Assistant, excerpt(answer)),
        ChatMessage::new(Role::User, WISH),
    ])
}

/// All that is said in an answer, without thoughts.
async fn said(mut answer: Answer) -> Result<String, DispatchError> {
    let mut parser = Parser::new(Style { reasoning: Reasoning::default(), tool_calls: false });
    let mut text = String::new();
    let mut take = |parts: Vec<Part>| {
        for part in parts {
            if let Part::Text(piece) = part {
                text.push_str(&piece);
            }
        }
    };
    loop {
        match answer.next().await? {
            AnswerEvent::Started { accepted, attempt: _, placement: _ } => parser = Parser::new(accepted.style),
            AnswerEvent::Piece { text, .. } => take(parser.push(&text.0)),
            AnswerEvent::Done(_) => break,
            _ => {}
        }
    }
    take(parser.end());
    Ok(text)
}
