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

use super::{
    Begun,
    choices::Choices,
    collected, flow,
    flow::Flow,
    head::Head,
    model,
    replay::{Handover, Origin, Recording, Tape, find, give_back},
    until,
};
use crate::{
    api::{
        auth::Caller,
        error::ApiError,
        extract::{JsonAndBody, parse},
        openapi::StreamEvent,
    },
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
    params(("x-starling-resumable" = Option<String>, Header, description = "true: a stream that breaks can be followed further by its event ids")),
    request_body(content = ChatRequest, example = json!({"model": "qwen3:0.6b", "messages": [{"role": "user", "content": "What is a swarm?"}]})),
    responses((status = 200, description = "Whole, or as a stream", content((Completion = "application/json"), (StreamEvent = "text/event-stream")))),
)]
pub(in crate::api) async fn create(
    State(app): State<App>,
    caller: Caller,
    asked_headers: HeaderMap,
    JsonAndBody(request, body): JsonAndBody<ChatRequest>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Chat)?;
    let asked = request.check()?;
    let model = model(&app, &asked.model)?;
    let head = Head::new("chatcmpl-", model.name);
    let (streamed, include_usage) = (asked.stream, asked.include_usage);
    let resumable = streamed && asked_headers.get(RESUMABLE).is_some_and(|wish| wish == "true");
    let mut order = asked.order(model.id, caller.user.id);
    let seeds = if resumable { order.draw_seeds() } else { vec![] };
    let begun = Begun::wait(&app, &caller, order, streamed).await?;
    let headers = begun.headers();
    if !streamed {
        let (collected, choices) = until(&app.life.cancel, collected::whole(begun)).await?;
        return Ok((headers, Answer(Completion::new(head, collected, &choices))).into_response());
    }
    let (id, chunks) = (head.id.clone(), Chunks::new(head.clone(), begun.choices.count(), include_usage));
    let flow = Flow::new(id.clone(), chunks, begun, app.life.cancel.clone());
    if !resumable {
        return Ok((headers, flow::body(id, flow.events())).into_response());
    }
    let origin = Origin::new(head, model.id, &body, seeds);
    let events = app.tapes.record(&app, Recording { owner: caller.user.id, flow, origin }, Tape::default(), 0)?;
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
    match app.tapes.follow(caller.user.id, &id, seen) {
        Err(ApiError::NoSuchCompletion) => {
            let left = find(&app, caller.user.id, &id, seen).await?;
            let answer = go_on(&app, &caller, id.clone(), left, seen).await;
            if answer.is_err() {
                give_back(&app.cache, &id).await;
            }
            answer
        }
        found => Ok(flow::body(id, found?).into_response()),
    }
}

/// Goes on with an answer that another gateway has left.
async fn go_on(app: &App, caller: &Caller, id: String, mut left: Handover, seen: u64) -> Result<Response, ApiError> {
    let (tape, Handover { origin, kept, .. }) = (left.tape(), left);
    let Some(kept) = kept else {
        // All of it was said; what is left of it is on the tape.
        return Ok(flow::body(id, tape.rest(seen).ok_or(ApiError::EventsGone)?).into_response());
    };
    let asked = parse::<ChatRequest>(origin.request.as_bytes())?.check()?;
    let model = model(app, &asked.model)?;
    if *model.id.as_bytes() != origin.model {
        return Err(ApiError::EventsGone);
    }
    let include_usage = asked.include_usage;
    let order = asked.order(model.id, caller.user.id).with_seeds(&origin.seeds);
    let tab = caller.open_tab(app, order.expected()).await?;
    let choices = Choices::go_on(&app.dispatch, order, tab, kept);
    let chunks = Chunks::new(origin.head.clone(), choices.count(), include_usage);
    let flow = Flow::going_on(id.clone(), chunks, choices, app.life.cancel.clone());
    let events = app.tapes.record(app, Recording { owner: caller.user.id, flow, origin }, tape, seen)?;
    Ok(flow::body(id, events).into_response())
}

/// The number in an event's id.
fn number(id: &str, event: &HeaderValue) -> Option<u64> {
    event.to_str().ok()?.strip_prefix(id)?.strip_prefix(':')?.parse().ok()
}
