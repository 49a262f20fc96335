//! `/v1/chat/completions`

mod answer;
mod chunk;
pub(in crate::api) mod request;
mod stream;

use axum::{
    Json as Answer,
    extract::{RawPathParams, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};

use super::{Begun, collected, flow, flow::Flow, head::Head, model, until};
use crate::{
    api::{auth::Caller, error::ApiError, extract::Json, openapi::StreamEvent},
    app::App,
    store::keys::Scope,
};
use answer::Completion;
use request::ChatRequest;
use stream::Chunks;

/// Set to `true` by a client that wants to come back for the rest of a streamed answer.
const RESUMABLE: HeaderName = HeaderName::from_static("x-starling-resumable");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// `POST /v1/chat/completions`. A client that goes away drops this, and with it the jobs.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    summary = "Answers a conversation",
    request_body(content = ChatRequest, example = json!({"model": "qwen3:0.6b", "messages": [{"role": "user", "content": "What is a swarm?"}]})),
    responses((status = 200, description = "Whole, or as a stream", content((Completion = "application/json"), (StreamEvent = "text/event-stream")))),
)]
pub(in crate::api) async fn create(
    State(app): State<App>,
    caller: Caller,
    asked_headers: HeaderMap,
    Json(request): Json<ChatRequest>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Chat)?;
    let asked = request.check()?;
    let model = model(&app, &asked.model)?;
    let head = Head::new("chatcmpl-", model.name);
    let (streamed, include_usage) = (asked.stream, asked.include_usage);
    let begun = Begun::wait(&app, &caller, asked.order(model.id, caller.user.id), streamed).await?;
    let headers = begun.headers();
    if !streamed {
        let (collected, choices) = until(&app.life.cancel, collected::whole(begun)).await?;
        return Ok((headers, Answer(Completion::new(head, collected, &choices))).into_response());
    }
    let (id, chunks) = (head.id.clone(), Chunks::new(head, begun.choices.count(), include_usage));
    let flow = Flow::new(id.clone(), chunks, begun, app.life.cancel.clone());
    if asked_headers.get(RESUMABLE).is_none_or(|wish| wish != "true") {
        return Ok((headers, flow::body(id, flow.events())).into_response());
    }
    let events = app.tapes.record(caller.user.id, flow, &app.life)?;
    Ok((headers, flow::body(id, events)).into_response())
}

/// `GET /v1/chat/completions/{id}/events`: the events of a resumable answer behind the one that the header
/// `Last-Event-ID` names, or all of them.
#[utoipa::path(
    get,
    path = "/v1/chat/completions/{id}/events",
    summary = "More of a resumable streamed answer",
    params(("id" = String, Path, description = "Of the answer"), ("last-event-id" = Option<String>, Header, description = "The last event that came")),
    responses((status = 200, description = "The events behind that one", body = StreamEvent, content_type = "text/event-stream")),
)]
pub(in crate::api) async fn events(
    State(app): State<App>,
    caller: Caller,
    params: RawPathParams,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.may(Scope::Chat)?;
    let id = params.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned()).unwrap_or_default();
    let seen = match headers.get(LAST_EVENT) {
        Some(event) => number(&id, event).ok_or(ApiError::field("Last-Event-ID", "is no event of this answer"))?,
        None => 0,
    };
    let events = app.tapes.follow(caller.user.id, &id, seen)?;
    Ok(flow::body(id, events).into_response())
}

/// The number in an event's id.
fn number(id: &str, event: &HeaderValue) -> Option<u64> {
    event.to_str().ok()?.strip_prefix(id)?.strip_prefix(':')?.parse().ok()
}
