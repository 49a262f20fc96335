//! An answer that is collected before it is sent, whatever form it then takes.

use starling_protocol::message::{JobFailure, TokenLogprob};

use super::{
    Begun,
    call::Call,
    choices::{Choices, News},
    logprobs,
};
use crate::{api::error::ApiError, dispatch::DispatchError, style::Part, turn::MAX_ANSWER_BYTES};

/// Most memory for the texts of one request's choices together, in bytes.
const MAX_TEXT_BYTES: usize = 4 * MAX_ANSWER_BYTES;
/// Most memory for their log-probabilities: those of 4,096 tokens, 20 alternatives each, take 6 MB.
const MAX_LOGPROB_BYTES: usize = 64 << 20;

/// One choice so far, and in the end the whole of it.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) text: String,
    pub(super) thoughts: String,
    pub(super) calls: Vec<Call>,
    pub(super) logprobs: Vec<TokenLogprob>,
    pub(super) finish: Option<&'static str>,
    open: Option<Open>,
}

/// A call that is not whole yet.
struct Open {
    name: String,
    raw: String,
    arguments: String,
}

/// Memory that one request's choices take.
#[derive(Default)]
struct Taken {
    text: usize,
    logprobs: usize,
}

/// Collects all choices to their ends. One that breaks off is an error and never a short answer.
pub(super) async fn whole(begun: Begun) -> Result<(Vec<Collected>, Choices), ApiError> {
    let Begun { mut choices, first } = begun;
    let mut collected: Vec<Collected> = (0..choices.count()).map(|_| Collected::default()).collect();
    let (mut next, mut taken) = (Some(first), Taken::default());
    while let Some(news) = next {
        taken.add(&news)?;
        collected[news.choice].add(news);
        next = choices.next().await?;
    }
    Ok((collected, choices))
}

impl Taken {
    fn add(&mut self, news: &News) -> Result<(), ApiError> {
        self.text += news.parts.iter().map(Part::bytes).sum::<usize>();
        if self.text > MAX_TEXT_BYTES {
            return Err(DispatchError::NodeFailed(JobFailure::Garbage).into());
        }
        self.logprobs += logprobs::bytes(&news.logprobs);
        if self.logprobs > MAX_LOGPROB_BYTES {
            return Err(ApiError::field("logprobs", "are too many for one answer: set stream, or a lower max_tokens"));
        }
        Ok(())
    }
}

impl Collected {
    fn add(&mut self, news: News) {
        for part in news.parts {
            self.add_part(part);
        }
        self.logprobs.extend(news.logprobs);
        self.finish = news.finish;
    }

    fn add_part(&mut self, part: Part) {
        match part {
            Part::Thought(more) => self.thoughts.push_str(&more),
            Part::Text(more) => self.text.push_str(&more),
            Part::Call { name, raw } => self.open = Some(Open { name, raw, arguments: String::new() }),
            Part::Arguments(more) => {
                if let Some(open) = &mut self.open {
                    open.arguments.push_str(&more);
                }
            }
            Part::CallEnd => self.calls.extend(self.open.take().map(|open| Call::new(open.name, open.arguments))),
            // Nothing of it was sent: it is the text that it was.
            Part::CallBroken => self.text.extend(self.open.take().map(|open| open.raw + &open.arguments)),
        }
    }
}
