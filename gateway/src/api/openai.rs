//! The OpenAI-compatible API, `/v1`. Nothing of it is stored.

mod answer;
mod call;
mod choices;
mod chunk;
pub(super) mod embeddings;
pub(super) mod error;
mod logprobs;
pub(super) mod models;
mod replay;
mod request;
mod stream;

use axum::{
    Json as Answer,
    extract::{RawPathParams, State},
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
pub use replay::Tapes;
use request::ChatRequest;
use starling_protocol::message::Kind;
use stream::Flow;
use tokio_util::sync::CancellationToken;

const NODE: HeaderName = HeaderName::from_static("x-starling-node");
const DEVICE: HeaderName = HeaderName::from_static("x-starling-device");
/// Set to `true` by a client that wants to come back for the rest of a streamed answer.
const RESUMABLE: HeaderName = HeaderName::from_static("x-starling-resumable");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const PEER: HeaderName = HeaderName::from_static("x-starling-peer");

/// Answers, of one of which the first token is here, or is known to take a while.
struct Begun {
    choices: Choices,
    first: News,
}

/// `POST /v1/chat/completions`. A client that goes away drops this, and with it the jobs.
pub(super) async fn chat_completions(
    State(app): State<App>,
    caller: Caller,
    asked_headers: HeaderMap,
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
    let begun =
        until(&cancel, begin(Choices::start(&app.dispatch, &asked, model.id, caller.user.id), streamed)).await?;
    let headers = headers(begun.choices.placement(begun.first.choice));
    if streamed {
        let (id, flow) = (head.id.clone(), Flow::new(head, begun, usage, cancel));
        if asked_headers.get(RESUMABLE).is_none_or(|wish| wish != "true") {
            return Ok((headers, stream::body(id, flow.events())).into_response());
        }
        let events = app.tapes.record(caller.user.id, flow, &app.life)?;
        return Ok((headers, stream::body(id, events)).into_response());
    }
    Ok((headers, Answer(until(&cancel, answer::whole(&head, begun)).await?)).into_response())
}

/// `GET /v1/chat/completions/{id}/events`: the events of a resumable answer behind the one that the header
/// `Last-Event-ID` names, or all of them.
pub(super) async fn chat_events(
    State(app): State<App>,
    caller: Caller,
    params: RawPathParams,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = params.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned()).unwrap_or_default();
    let seen = match headers.get(LAST_EVENT) {
        Some(event) => number(&id, event).ok_or(ApiError::field("Last-Event-ID", "is no event of this answer"))?,
        None => 0,
    };
    let events = app.tapes.follow(caller.user.id, &id, seen)?;
    Ok(stream::body(id, events).into_response())
}

/// The number in an event's id.
fn number(id: &str, event: &HeaderValue) -> Option<u64> {
    event.to_str().ok()?.strip_prefix(id)?.strip_prefix(':')?.parse().ok()
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

/// Waits for the first token: what fails before it fails with a status of its own. A stream begins earlier where the
/// model has to be loaded first, which takes longer than a line stays open in silence.
async fn begin(mut choices: Choices, streamed: bool) -> Result<Begun, DispatchError> {
    loop {
        match choices.next().await? {
            Some(News { loading: Some(_), .. }) if !streamed => {}
            Some(first) => return Ok(Begun { choices, first }),
            // There is at least one choice, and none ends without a word.
            None => return Err(DispatchError::NodeLost),
        }
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
