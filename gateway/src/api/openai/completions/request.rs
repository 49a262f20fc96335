//! What a client may ask of `/v1/completions`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use starling_protocol::{
    ModelId,
    limits::{MAX_PROMPT_BYTES, MAX_PROMPT_TOKENS, MAX_TOP_LOGPROBS},
    message::{Chat, Private, PrivateTokens, RawPrompt},
};
use utoipa::ToSchema;

use crate::{
    api::{
        error::ApiError,
        openai::{
            fields::{Stop, StreamOptions, check_choices, check_max, sampling},
            order::{Order, Terms},
        },
        openapi::text_or_texts,
    },
    dispatch::Priority,
    id::UserId,
};

/// Most answers to one request, to all of its prompts together.
const MAX_ANSWERS: usize = 32;
/// OpenAI's own default for this endpoint.
const DEFAULT_MAX_TOKENS: u32 = 16;

/// The body, as it comes. What is not known (`user`) changes nothing.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct CompletionRequest {
    model: String,
    prompt: Value,
    max_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    logit_bias: Option<BTreeMap<String, f32>>,
    seed: Option<i64>,
    n: Option<u32>,
    best_of: Option<u32>,
    #[schema(schema_with = text_or_texts)]
    stop: Option<Stop>,
    logprobs: Option<u32>,
    echo: Option<bool>,
    suffix: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

/// A request that makes sense.
pub(in crate::api::openai) struct Asked {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    prompts: Vec<RawPrompt>,
    /// To each prompt.
    choices: u32,
    echo: bool,
    /// All but the prompt.
    chat: Chat,
}

impl CompletionRequest {
    /// Checks every field against its limit, and names the first that is beyond it.
    pub(in crate::api::openai) fn check(self) -> Result<Asked, ApiError> {
        let choices = check_choices(self.n)?;
        if self.best_of.is_some_and(|of| of != choices) {
            return Err(ApiError::field("best_of", "is not supported: answers are not compared, set n alone"));
        }
        if self.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()) {
            return Err(ApiError::field("suffix", "is not supported: models here go on from a text, and fill no gaps"));
        }
        if self.logprobs.is_some_and(|top| top as usize > MAX_TOP_LOGPROBS) {
            return Err(ApiError::field("logprobs", format!("must be at most {MAX_TOP_LOGPROBS}")));
        }
        let echo = self.echo.unwrap_or(false);
        if echo && self.logprobs.is_some() {
            return Err(ApiError::field("echo", "cannot stand with logprobs: those of a prompt are not computed"));
        }
        let max_tokens = check_max(self.max_tokens, "max_tokens")?.or(Some(DEFAULT_MAX_TOKENS));
        let sampling = sampling!(self, self.logprobs)?;
        let prompts = prompts(self.prompt)?;
        if prompts.len() * choices as usize > MAX_ANSWERS {
            let reason = format!("there are at most {MAX_ANSWERS} answers to one request, n times the prompts");
            return Err(ApiError::field("prompt", reason));
        }
        if echo && prompts.iter().any(|prompt| matches!(prompt, RawPrompt::Tokens(_))) {
            return Err(ApiError::field("echo", "needs prompts that are texts: the gateway cannot read token ids"));
        }
        Ok(Asked {
            model: self.model,
            stream: self.stream.unwrap_or(false),
            include_usage: StreamOptions::wants_usage(self.stream_options),
            prompts,
            choices,
            echo,
            chat: Chat { sampling, max_tokens, stop: Stop::check(self.stop)?, ..Chat::default() },
        })
    }
}

impl Asked {
    /// The jobs of all answers: those to the first prompt, then those to the next.
    pub(in crate::api::openai) fn order(&self, model: ModelId, owner: UserId) -> Order {
        let chat = |prompt: &RawPrompt| Chat { raw: Some(prompt.clone()), ..self.chat.clone() };
        let chats: Vec<Chat> = self.prompts.iter().map(chat).collect();
        Order::new(&chats, self.choices, Terms { model, owner, priority: Priority::Normal })
    }

    /// What an answer begins with: its prompt, where that was asked for.
    pub(super) fn echo(&self, answer: usize) -> &str {
        match self.prompts.get(answer / self.choices as usize) {
            Some(RawPrompt::Text(text)) if self.echo => &text.0,
            _ => "",
        }
    }

    /// How many answers there are.
    pub(super) fn answers(&self) -> usize {
        self.prompts.len() * self.choices as usize
    }
}

/// `prompt`: a text, token ids, or a list of either.
fn prompts(prompt: Value) -> Result<Vec<RawPrompt>, ApiError> {
    let items = match prompt {
        Value::Array(items) if !items.iter().all(Value::is_number) => items,
        one => vec![one],
    };
    if items.len() > MAX_ANSWERS {
        return Err(ApiError::field("prompt", format!("must be at most {MAX_ANSWERS}, there are {}", items.len())));
    }
    let prompts: Vec<RawPrompt> = items.into_iter().map(one).collect::<Result<_, _>>()?;
    let bytes: usize = prompts.iter().map(RawPrompt::bytes).sum();
    if bytes > MAX_PROMPT_BYTES {
        return Err(ApiError::field("prompt", format!("has {bytes} bytes, the limit is {MAX_PROMPT_BYTES}")));
    }
    Ok(prompts)
}

fn one(prompt: Value) -> Result<RawPrompt, ApiError> {
    let wrong = |reason: &str| Err(ApiError::field("prompt", reason));
    match prompt {
        Value::String(text) if text.is_empty() => wrong("must not be empty"),
        Value::String(text) => Ok(RawPrompt::Text(Private(text))),
        Value::Array(ids) if ids.is_empty() => wrong("must not be empty"),
        Value::Array(ids) if ids.len() > MAX_PROMPT_TOKENS => {
            wrong(&format!("must be at most {MAX_PROMPT_TOKENS} tokens"))
        }
        Value::Array(ids) => {
            let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
            match ids.iter().map(id).collect() {
                Some(ids) => Ok(RawPrompt::Tokens(PrivateTokens(ids))),
                None => wrong("token ids must be whole numbers from 0"),
            }
        }
        _ => wrong("must be a text, token ids, or a list of either"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use starling_protocol::message::Task;

    use super::*;
    use crate::{api::extract, dispatch::Job};

    fn read(change: Value) -> Result<Asked, ApiError> {
        let mut body = json!({"model": "m", "prompt": "once"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        extract::parse::<CompletionRequest>(body.to_string().as_bytes())?.check()
    }

    #[track_caller]
    fn taken(change: Value) -> Asked {
        read(change).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn refused(change: Value, field: &str) {
        let Err(error) = read(change) else { panic!("it was taken") };
        let refusal = error.refusal();
        assert_eq!((refusal.status.as_u16(), refusal.field.as_deref()), (400, Some(field)), "{}", refusal.message);
    }

    #[test]
    fn prompts_come_in_four_shapes() {
        let text = |text: &str| RawPrompt::Text(Private(text.to_owned()));
        let tokens = |ids: &[u32]| RawPrompt::Tokens(PrivateTokens(ids.to_vec()));
        let prompts = |prompt: Value| taken(json!({"prompt": prompt})).prompts;
        assert_eq!(prompts(json!("a")), [text("a")]);
        assert_eq!(prompts(json!(["a", "b"])), [text("a"), text("b")]);
        assert_eq!(prompts(json!([1, 2])), [tokens(&[1, 2])]);
        assert_eq!(prompts(json!([[1, 2], [3]])), [tokens(&[1, 2]), tokens(&[3])]);
        for bad in [json!(""), json!([]), json!([[]]), json!(null), json!(5.5), json!({}), json!([""]), json!([null])] {
            refused(json!({"prompt": bad}), "prompt");
        }
        for bad in [json!([-1]), json!([1.5]), json!([1u64 << 32]), json!([[1, "a"]]), json!([1, "a"])] {
            refused(json!({"prompt": bad}), "prompt");
        }
    }

    #[test]
    fn everything_is_bounded() {
        taken(json!({"prompt": vec!["a"; MAX_ANSWERS]}));
        refused(json!({"prompt": vec!["a"; MAX_ANSWERS + 1]}), "prompt");
        refused(json!({"prompt": vec!["a"; 5], "n": 7}), "prompt");
        refused(json!({"prompt": "x".repeat(MAX_PROMPT_BYTES + 1)}), "prompt");
        refused(json!({"prompt": ["x".repeat(MAX_PROMPT_BYTES), "x"]}), "prompt");
        taken(json!({"prompt": vec![1; MAX_PROMPT_TOKENS]}));
        refused(json!({"prompt": vec![1; MAX_PROMPT_TOKENS + 1]}), "prompt");
        for (field, value) in
            [("n", json!(9)), ("logprobs", json!(21)), ("max_tokens", json!(0)), ("best_of", json!(2))]
        {
            refused(json!({field: value}), field);
        }
        refused(json!({"suffix": "the end"}), "suffix");
        refused(json!({"temperature": 3}), "temperature");
        refused(json!({"stop": vec!["x"; 17]}), "stop");
        refused(json!({"echo": true, "logprobs": 0}), "echo");
        refused(json!({"echo": true, "prompt": [1, 2]}), "echo");
    }

    #[test]
    fn what_changes_nothing_is_taken() {
        let asked = taken(json!({"suffix": "", "best_of": 2, "n": 2, "user": "x", "echo": false, "logprobs": null}));
        assert_eq!(asked.chat.max_tokens, Some(16), "as OpenAI has it");
        assert_eq!((asked.answers(), asked.echo(0)), (2, ""));
    }

    #[test]
    fn each_answer_has_its_prompt_and_its_seed() {
        let asked = taken(json!({"prompt": ["a", "b"], "n": 2, "seed": 7, "echo": true, "max_tokens": 5}));
        let order = asked.order(ModelId::new([0; 32]), UserId::generate());
        let of = |job: &Job| match &job.task {
            Task::Chat(Chat { raw: Some(RawPrompt::Text(text)), sampling, messages, .. }) if messages.is_empty() => {
                (text.0.clone(), sampling.seed)
            }
            _ => panic!("no raw prompt"),
        };
        let jobs: Vec<_> = order.jobs.iter().map(of).collect();
        let expected = [("a", 7), ("a", 8), ("b", 7), ("b", 8)].map(|(text, seed)| (text.to_owned(), Some(seed)));
        assert_eq!(jobs, expected);
        assert_eq!((order.per_prompt, asked.answers()), (2, 4));
        assert_eq!([0, 1, 2, 3, 4].map(|answer| asked.echo(answer)), ["a", "a", "b", "b", ""]);
    }
}
