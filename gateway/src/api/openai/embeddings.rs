//! `/v1/embeddings`: texts into vectors, by a model that is made for it.

use axum::{
    Json as Answer,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use starling_protocol::{
    limits::{MAX_PROMPT_BYTES, MAX_TEXTS},
    message::{Done, JobFailure, Kind, Private, Task},
};
use utoipa::ToSchema;

use tokio::time::Instant;

use super::{facts::Facts, until};
use crate::{
    api::{auth::Caller, error::ApiError, extract::Json},
    app::App,
    choice::{Choice, choose},
    dispatch::{self, AnswerEvent, DispatchError, Job, Priority},
    store::keys::Scope,
    turn::TurnRefused,
};

/// The body, as it comes. What is not known (`user`) changes nothing.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct EmbeddingsRequest {
    model: String,
    pub(super) input: Value,
    encoding_format: Option<Encoding>,
    dimensions: Option<u32>,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    /// 32-bit floats, little end first.
    Base64,
}

#[derive(Serialize, ToSchema)]
struct Embeddings {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Serialize, ToSchema)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Values,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EmbeddingValues)]
#[serde(untagged)]
enum Values {
    Floats(Vec<f32>),
    Base64(String),
}

#[derive(Serialize, ToSchema)]
#[schema(as = EmbeddingUsage)]
struct Usage {
    prompt_tokens: u32,
    total_tokens: u32,
}

/// `POST /v1/embeddings`. A client that goes away drops this, and with it the job.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    summary = "Turns texts into vectors",
    request_body(content = EmbeddingsRequest, example = json!({"model": "all-minilm", "input": ["one text", "another"]})),
    responses((status = 200, description = "", body = Embeddings)),
)]
pub(in crate::api) async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<EmbeddingsRequest>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Embeddings)?;
    let texts = texts(request.input)?;
    let model = choose(&app.dispatch.view().borrow(), Kind::Embedding, Some(&request.model))?;
    check_dimensions(request.dimensions, &model)?;
    if app.life.drain.is_cancelled() {
        return Err(TurnRefused::Stopping.into());
    }
    let (priority, owner) = (Priority::Background, caller.user.id);
    let job = Job::new(model.id, Task::Embed(texts), priority, owner);
    let mut tab = caller.open_tab(&app, job.expected()).await?;
    let (headers, vectors, done) = until(&app.life.cancel, read(app.dispatch.start(job), model.dimensions)).await?;
    tab.comes_to(u64::from(done.usage.prompt_tokens));
    let encoding = request.encoding_format.unwrap_or_default();
    Ok((headers, Answer(embeddings(model.name, vectors, &done, encoding))).into_response())
}

/// Another model's tokens, mostly: clients that count them take it for one of OpenAI's.
const LISTS_OF_TOKENS: &str = "lists of tokens are not taken, since each model has tokens of its own: send the texts \
    themselves (in LangChain with check_embedding_ctx_length=False)";

/// The texts of `input`: one, or a list.
pub(super) fn texts(input: Value) -> Result<Vec<Private>, ApiError> {
    let refused = |reason: String| ApiError::field("input", reason);
    let items = match input {
        Value::Array(items) => items,
        one => vec![one],
    };
    if items.is_empty() || items.len() > MAX_TEXTS {
        return Err(refused(format!("must be 1 to {MAX_TEXTS} texts, there are {}", items.len())));
    }
    let mut texts = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Value::String(text) if text.is_empty() => return Err(refused(format!("text {index} is empty"))),
            Value::String(text) => texts.push(Private(text)),
            Value::Number(_) | Value::Array(_) => {
                return Err(refused(LISTS_OF_TOKENS.to_owned()));
            }
            _ => return Err(refused("must be a text or a list of texts".to_owned())),
        }
    }
    let bytes: usize = texts.iter().map(|text| text.0.len()).sum();
    if bytes > MAX_PROMPT_BYTES {
        return Err(refused(format!("has {bytes} bytes of text, the limit is {MAX_PROMPT_BYTES}")));
    }
    Ok(texts)
}

fn check_dimensions(asked: Option<u32>, model: &Choice) -> Result<(), ApiError> {
    match asked {
        Some(asked) if asked != model.dimensions => {
            let reason = format!("{:?} makes vectors of {} numbers and no others", model.name, model.dimensions);
            Err(ApiError::field("dimensions", reason))
        }
        _ => Ok(()),
    }
}

/// Waits for all vectors.
async fn read(mut answer: dispatch::Answer, dimensions: u32) -> Result<(HeaderMap, Vec<Vec<f32>>, Done), ApiError> {
    let (began, mut headers, mut vectors) = (Instant::now(), HeaderMap::new(), vec![]);
    loop {
        match answer.next().await.map_err(of_texts)? {
            AnswerEvent::Started { placement, .. } => {
                headers = Facts::new(&placement, Some(began.elapsed()), None).headers();
            }
            AnswerEvent::Vectors(all) => vectors = all,
            AnswerEvent::Done(done) => {
                // What the node offered is not what the model was chosen by: two nodes disagree about one file.
                if vectors.iter().any(|vector| vector.len() != dimensions as usize) {
                    return Err(DispatchError::NodeFailed(JobFailure::Garbage).into());
                }
                return Ok((headers, vectors, done));
            }
            AnswerEvent::Waiting(_)
            | AnswerEvent::Loading { .. }
            | AnswerEvent::Moved { .. }
            | AnswerEvent::Piece { .. } => {}
        }
    }
}

/// The same error, in words that fit texts.
fn of_texts(error: DispatchError) -> ApiError {
    match error {
        DispatchError::PromptTooLong { tokens, limit } => {
            ApiError::field("input", format!("a text has {tokens} tokens and the model takes at most {limit}"))
        }
        error => error.into(),
    }
}

fn embeddings(model: String, vectors: Vec<Vec<f32>>, done: &Done, encoding: Encoding) -> Embeddings {
    let embedding =
        |(index, vector)| Embedding { object: "embedding", index, embedding: Values::new(vector, encoding) };
    let prompt_tokens = done.usage.prompt_tokens;
    Embeddings {
        object: "list",
        data: vectors.into_iter().enumerate().map(embedding).collect(),
        model,
        usage: Usage { prompt_tokens, total_tokens: prompt_tokens },
    }
}

impl Values {
    fn new(vector: Vec<f32>, encoding: Encoding) -> Self {
        match encoding {
            Encoding::Float => Self::Floats(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                Self::Base64(BASE64_STANDARD.encode(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_refused(input: Value, part: &str) {
        let refusal = texts(input).unwrap_err().refusal();
        assert_eq!((refusal.status.as_u16(), refusal.field.as_deref()), (400, Some("input")));
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }

    #[test]
    fn one_text_or_a_list_of_texts() {
        assert_eq!(texts(json!("a")).unwrap().len(), 1);
        assert_eq!(texts(json!(["a", "b"])).unwrap()[1].0, "b");
        assert_eq!(texts(json!(vec!["a"; MAX_TEXTS])).unwrap().len(), MAX_TEXTS);
        check_refused(json!(vec!["a"; MAX_TEXTS + 1]), "1 to 256 texts, there are 257");
        check_refused(json!([]), "there are 0");
        check_refused(json!(""), "text 0 is empty");
        check_refused(json!(["a", ""]), "text 1 is empty");
        check_refused(json!([1, 2]), "lists of tokens");
        check_refused(json!([[1, 2], [3]]), "lists of tokens");
        check_refused(json!({"text": "a"}), "a text or a list of texts");
        check_refused(json!(null), "a text or a list of texts");
        assert!(texts(json!("x".repeat(MAX_PROMPT_BYTES))).is_ok());
        check_refused(json!(["x".repeat(MAX_PROMPT_BYTES), "x"]), "the limit is 786432");
    }

    #[test]
    fn base64_is_of_little_endian_floats() {
        let value = serde_json::to_value(Values::new(vec![1.0, -0.5], Encoding::Base64)).unwrap();
        assert_eq!(value, json!("AACAPwAAAL8="));
        assert_eq!(serde_json::to_value(Values::new(vec![1.0, -0.5], Encoding::Float)).unwrap(), json!([1.0, -0.5]));
    }
}
