//! Completions in OpenAI's form: a whole one, and the chunks of a streamed one, which look alike.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    logprobs::{Logprobs, Places},
    request::Asked,
};
use crate::api::openai::{
    choices::Choices,
    collected::Collected,
    facts::Facts,
    head::{Head, Usage},
};

#[derive(Serialize, ToSchema)]
#[schema(as = TextCompletion)]
pub(super) struct Completion {
    id: String,
    object: &'static str,
    created: i64,
    model: String,
    choices: Vec<Choice>,
    /// `Some(None)` is "not yet", for a client that has asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
    /// Not of OpenAI's, in the last chunk of a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    starling: Option<Facts>,
}

#[derive(Default, Serialize, ToSchema)]
#[schema(as = TextChoice)]
pub(super) struct Choice {
    pub(super) index: usize,
    pub(super) text: String,
    pub(super) logprobs: Option<Logprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

impl Completion {
    /// A whole one.
    pub(super) fn new(head: Head, collected: Vec<Collected>, choices: &Choices, asked: &Asked) -> Self {
        let choice = |(index, collected): (usize, Collected)| {
            let Collected { text, logprobs, finish, .. } = collected;
            let logprobs = (!logprobs.is_empty()).then(|| Logprobs::new(logprobs, &mut Places::default()));
            let finish_reason = finish.or(Some("stop"));
            Choice { index, text: asked.echo(index).to_owned() + &text, logprobs, finish_reason }
        };
        let all = collected.into_iter().enumerate().map(choice).collect();
        Self { usage: Some(Some(choices.usage().into())), ..Self::of(head, all) }
    }

    /// A chunk of a choice; one of no choice has the usage, at the end.
    pub(super) fn chunk(
        head: Head,
        choice: Option<Choice>,
        usage: Option<Option<Usage>>,
        starling: Option<Facts>,
    ) -> Self {
        Self { usage, starling, ..Self::of(head, choice.into_iter().collect()) }
    }

    fn of(Head { id, created, model }: Head, choices: Vec<Choice>) -> Self {
        Self { id, object: "text_completion", created, model, choices, usage: None, starling: None }
    }
}
