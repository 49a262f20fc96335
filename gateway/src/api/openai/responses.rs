//! `/v1/responses`: OpenAI's newer form of a conversation. Nothing is stored, so each request brings all of its own.

mod input;
mod object;
mod output;
mod request;
mod stream;

use axum::{
    Json as Answer,
    extract::State,
    response::{IntoResponse, Response},
};

use super::{Begun, flow, flow::Flow, head::Head, model, until};
use crate::{
    api::{auth::Caller, error::ApiError, extract::Json, openapi::StreamEvent},
    app::App,
    store::keys::Scope,
};
pub(in crate::api) use input::{Item as InputItem, Part as InputPart};
use object::{Frame, ResponseObject};
use output::Output;
pub(super) use request::ResponsesRequest;
use stream::Events;

/// `POST /v1/responses`. A client that goes away drops this, and with it the job.
#[utoipa::path(
    post,
    path = "/v1/responses",
    summary = "Answers a conversation, in the newer form",
    request_body(content = ResponsesRequest, example = json!({"model": "qwen3:0.6b", "input": "What is a swarm?"})),
    responses((status = 200, description = "Whole, or as a stream", content((ResponseObject<'static> = "application/json"), (StreamEvent = "text/event-stream")))),
)]
pub(in crate::api) async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<ResponsesRequest>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Chat)?;
    let asked = request.check()?;
    let model = model(&app, &asked.model)?;
    let (order, streamed) = (asked.order(model.id, caller.user.id), asked.stream);
    let frame = Frame::new(Head::new("resp_", model.name), asked.shown);
    let begun = Begun::wait(&app, &caller, order, streamed).await?;
    let headers = begun.headers();
    if streamed {
        let (id, events) = (frame.id().to_owned(), Events::new(frame));
        let flow = Flow::new(id.clone(), events, begun, app.life.cancel.clone());
        return Ok((headers, flow::body(id, flow.events())).into_response());
    }
    let (output, usage) = until(&app.life.cancel, Output::whole(begun)).await?;
    Ok((headers, Answer(frame.ended(&output, usage))).into_response())
}
