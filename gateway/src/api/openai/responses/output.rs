//! The items of an answer as they come: thoughts, what it says, calls of functions, one after the other. A state
//! machine that is fed with parts and says what has changed, for a stream; a whole answer is what it has in the end.

use serde::Serialize;
use starling_protocol::message::{JobFailure, TokenLogprob};
use utoipa::ToSchema;

use super::object::Usage;
use crate::{
    api::{
        error::ApiError,
        openai::{
            Begun,
            choices::News,
            head::fresh_id,
            logprobs::{self, Token},
        },
    },
    dispatch::DispatchError,
    style::Part,
    turn::MAX_ANSWER_BYTES,
};

/// Most memory for the log-probabilities of an answer, in bytes.
const MAX_LOGPROB_BYTES: usize = 32 << 20;

/// All of an answer so far.
#[derive(Default)]
pub(super) struct Output {
    items: Vec<Item>,
    /// Whether the last item is still growing.
    open: bool,
    /// Log-probabilities of tokens whose text is held back.
    logprobs: Vec<Token>,
    reasoning_tokens: u32,
    finish: Option<&'static str>,
    bytes: usize,
    logprob_bytes: usize,
}

/// One item.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = OutputItem)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Reasoning {
        id: String,
        status: Status,
        #[schema(value_type = Vec<String>)]
        summary: [(); 0],
        content: Vec<Content>,
    },
    Message {
        id: String,
        status: Status,
        role: &'static str,
        content: Vec<Content>,
    },
    FunctionCall {
        id: String,
        status: Status,
        call_id: String,
        name: String,
        arguments: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ItemStatus)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

/// What an item says.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ItemContent)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content {
    ReasoningText {
        text: String,
    },
    OutputText {
        text: String,
        #[schema(value_type = Vec<String>)]
        annotations: [(); 0],
        logprobs: Vec<Token>,
    },
}

/// What has changed in the last item.
pub(super) enum Change<'a> {
    /// It is new. Its content is empty yet.
    Began(&'a Item),
    /// It says more.
    More { delta: &'a str, logprobs: &'a [Token] },
    /// It has all.
    Ended,
}

impl Output {
    /// Reads an answer to its end. One that breaks off is an error and never a short answer.
    pub(super) async fn whole(begun: Begun) -> Result<(Self, Usage), ApiError> {
        let Begun { mut choices, first } = begun;
        let (mut output, mut next) = (Self::default(), Some(first));
        while let Some(news) = next {
            output.take(news, &mut |_, _| {})?;
            next = choices.next().await?;
        }
        let usage = output.usage(choices.usage());
        Ok((output, usage))
    }

    /// More of it; `tell` hears of each change, with the items as they are then.
    pub(super) fn take(&mut self, news: News, tell: &mut impl FnMut(&[Item], Change<'_>)) -> Result<(), ApiError> {
        let News { parts, tokens, logprobs, finish, .. } = news;
        self.count(&parts, tokens, &logprobs)?;
        self.logprobs.extend(logprobs.into_iter().map(Token::from));
        for part in parts {
            self.part(part, tell);
        }
        if finish.is_some() {
            self.finish = finish;
            self.close(if finish == Some("length") { Status::Incomplete } else { Status::Completed }, tell);
        }
        Ok(())
    }

    /// What there is of it.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// How it ended.
    pub(super) fn status(&self) -> &'static str {
        if self.finish == Some("length") { "incomplete" } else { "completed" }
    }

    /// What it cost.
    pub(super) fn usage(&self, counted: starling_protocol::message::Usage) -> Usage {
        Usage::new(counted, self.reasoning_tokens.min(counted.completion_tokens))
    }

    fn count(&mut self, parts: &[Part], tokens: usize, logprobs: &[TokenLogprob]) -> Result<(), ApiError> {
        if matches!(parts.first(), Some(Part::Thought(_))) {
            self.reasoning_tokens = self.reasoning_tokens.saturating_add(u32::try_from(tokens).unwrap_or(u32::MAX));
        }
        self.bytes += parts.iter().map(Part::bytes).sum::<usize>();
        if self.bytes > MAX_ANSWER_BYTES {
            return Err(DispatchError::NodeFailed(JobFailure::Garbage).into());
        }
        self.logprob_bytes += logprobs::bytes(logprobs);
        if self.logprob_bytes > MAX_LOGPROB_BYTES {
            return Err(ApiError::field("top_logprobs", "are too many for one answer: set a lower max_output_tokens"));
        }
        Ok(())
    }

    fn part(&mut self, part: Part, tell: &mut impl FnMut(&[Item], Change<'_>)) {
        match part {
            Part::Thought(more) => {
                if !(self.open && matches!(self.items.last(), Some(Item::Reasoning { .. }))) {
                    self.begin(Item::reasoning(), tell);
                }
                self.more(&more, tell);
            }
            Part::Text(more) => {
                // What a model leaves between its thoughts and its calls is nothing that it says.
                let says = self.open && matches!(self.items.last(), Some(Item::Message { .. }));
                if !says && more.trim().is_empty() && !self.items.is_empty() {
                    return;
                }
                if !says {
                    self.begin(Item::message(), tell);
                }
                self.more(&more, tell);
            }
            Part::Call { name, .. } => self.begin(Item::call(name), tell),
            Part::Arguments(more) => self.more(&more, tell),
            Part::CallEnd => self.close(Status::Completed, tell),
            // What was said of it cannot be taken back.
            Part::CallBroken => self.close(Status::Incomplete, tell),
        }
    }

    fn begin(&mut self, item: Item, tell: &mut impl FnMut(&[Item], Change<'_>)) {
        self.close(Status::Completed, tell);
        tell(&self.items, Change::Began(&item));
        self.items.push(item);
        self.open = true;
    }

    fn more(&mut self, delta: &str, tell: &mut impl FnMut(&[Item], Change<'_>)) {
        let Some(last) = self.items.last_mut().filter(|_| self.open) else { return };
        let logprobs = last.add(delta, &mut self.logprobs);
        tell(&self.items, Change::More { delta, logprobs: &logprobs });
    }

    fn close(&mut self, status: Status, tell: &mut impl FnMut(&[Item], Change<'_>)) {
        let Some(last) = self.items.last_mut().filter(|_| self.open) else { return };
        *last.status() = status;
        self.open = false;
        tell(&self.items, Change::Ended);
    }
}

impl Item {
    fn reasoning() -> Self {
        let content = vec![Content::ReasoningText { text: String::new() }];
        Self::Reasoning { id: fresh_id("rs_"), status: Status::InProgress, summary: [], content }
    }

    fn message() -> Self {
        let content = vec![Content::OutputText { text: String::new(), annotations: [], logprobs: vec![] }];
        Self::Message { id: fresh_id("msg_"), status: Status::InProgress, role: "assistant", content }
    }

    fn call(name: String) -> Self {
        let (id, call_id) = (fresh_id("fc_"), fresh_id("call_"));
        Self::FunctionCall { id, status: Status::InProgress, call_id, name, arguments: String::new() }
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Reasoning { id, .. } | Self::Message { id, .. } | Self::FunctionCall { id, .. } => id,
        }
    }

    /// What it says, where it is no call.
    pub(super) fn content(&self) -> Option<&Content> {
        match self {
            Self::Reasoning { content, .. } | Self::Message { content, .. } => content.first(),
            Self::FunctionCall { .. } => None,
        }
    }

    /// The same without what it says: how it is shown when it begins.
    pub(super) fn without_content(&self) -> Self {
        let mut bare = self.clone();
        match &mut bare {
            Self::Reasoning { content, .. } | Self::Message { content, .. } => content.clear(),
            Self::FunctionCall { .. } => {}
        }
        bare
    }

    fn status(&mut self) -> &mut Status {
        match self {
            Self::Reasoning { status, .. } | Self::Message { status, .. } | Self::FunctionCall { status, .. } => status,
        }
    }

    /// Takes more of it, and of the waiting log-probabilities those that belong to a text that is said.
    fn add(&mut self, more: &str, waiting: &mut Vec<Token>) -> Vec<Token> {
        let new = std::mem::take(waiting);
        match self {
            Self::Reasoning { content, .. } => {
                if let Some(Content::ReasoningText { text }) = content.first_mut() {
                    text.push_str(more);
                }
            }
            Self::Message { content, .. } => {
                if let Some(Content::OutputText { text, logprobs, .. }) = content.first_mut() {
                    text.push_str(more);
                    logprobs.extend(new.iter().cloned());
                    return new;
                }
            }
            Self::FunctionCall { arguments, .. } => arguments.push_str(more),
        }
        vec![]
    }
}

#[cfg(test)]
mod tests;
