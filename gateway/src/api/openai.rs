//! The OpenAI-compatible API, `/v1`. Nothing of it is stored.

mod answer;
mod call;
mod choices;
mod chunk;
pub(super) mod embeddings;
pub(super) mod error;
mod logprobs;
pub(super) mod models;
mod request;
mod stream;

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};

use super::{auth::Caller, error::ApiError, extract::Json};
use crate::{
    app::App,
    choice::choose,
    dispatch::{DispatchError, Placement},
    turn::TurnRefused,
};
use answer::Head;
use choices::{Choices, News};
use request::ChatRequest;
use starling_protocol::message::Kind;
use tokio_util::sync::CancellationToken;

const NODE: HeaderName = HeaderName::from_static("x-starling-node");
const DEVICE: HeaderName = HeaderName::from_static("x-starling-device");
const PEER: HeaderName = HeaderName::from_static("x-starling-peer");

/// Answers, of one of which the first token is here.
struct Begun {
    choices: Choices,
    first: News,
}

/// `POST /v1/chat/completions`. A client that goes away drops this, and with it the jobs.
pub(super) async fn chat_completions(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<ChatRequest>,
) -> Result<Response, ApiError> {
    let asked = request.check()?;
    let model = choose(&app.dispatch.view().borrow(), Kind::Chat, Some(&asked.model))?;
    if app.life.drain.is_cancelled() {
        return Err(TurnRefused::Stopping.into());
    }
    let head = Head::new(model.name.clone());
    let (streamed, usage) = (asked.stream, asked.include_usage);
    let cancel = app.life.cancel.clone();
    let begun = until(&cancel, begin(Choices::start(&app.dispatch, &asked, model.id, caller.user.id))).await?;
    let headers = headers(begun.choices.placement(begun.first.choice));
    if streamed {
        return Ok((headers, stream::events(head, begun, usage, cancel)).into_response());
    }
    Ok((headers, Answer(until(&cancel, answer::whole(&head, begun)).await?)).into_response())
}

/// The gateway's end is an answer too, and not a line that is cut.
async fn until<T, E: Into<ApiError>>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    match cancel.run_until_cancelled(work).await {
        Some(result) => result.map_err(Into::into),
        None => Err(DispatchError::Stopping.into()),
    }
}

/// Waits for the first token: what fails before it fails with a status of its own.
async fn begin(mut choices: Choices) -> Result<Begun, DispatchError> {
    match choices.next().await? {
        Some(first) => Ok(Begun { choices, first }),
        // There is at least one choice, and none ends without a word.
        None => Err(DispatchError::NodeLost),
    }
}

fn headers(placement: Option<&Placement>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(placement) = placement else { return headers };
    let peer = placement.peer.to_string();
    let facts = [(NODE, placement.node_name.as_str()), (DEVICE, placement.device.as_str()), (PEER, peer.as_str())];
    for (name, value) in facts {
        // A node and its device may be called anything; what no header can hold is left out.
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.insert(name, value);
        }
    }
    headers
}
