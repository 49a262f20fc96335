//! `/v1/completions`: a text goes on as it stands, without a model's chat template. OpenAI calls this endpoint legacy.

mod answer;
mod logprobs;
mod request;
mod stream;

use axum::{
    Json as Answer,
    extract::State,
    response::{IntoResponse, Response},
};

use super::{Begun, collected, flow, flow::Flow, head::Head, model, until};
use crate::{
    api::{auth::Caller, error::ApiError, extract::Json, openapi::StreamEvent},
    app::App,
    store::keys::Scope,
};
use answer::Completion;
pub(super) use request::CompletionRequest;
use stream::Chunks;

/// `POST /v1/completions`. A client that goes away drops this, and with it the jobs.
#[utoipa::path(
    post,
    path = "/v1/completions",
    summary = "Goes on with a text",
    request_body(content = CompletionRequest, example = json!({"model": "qwen3:0.6b", "prompt": "Once upon a time", "max_tokens": 32})),
    responses((status = 200, description = "Whole, or as a stream", content((Completion = "application/json"), (StreamEvent = "text/event-stream")))),
)]
pub(in crate::api) async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<CompletionRequest>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Chat)?;
    let asked = request.check()?;
    let model = model(&app, &asked.model)?;
    let head = Head::new("cmpl-", model.name);
    let begun = Begun::wait(&app, &caller, asked.order(model.id, caller.user.id), asked.stream).await?;
    let headers = begun.headers();
    if !asked.stream {
        let (collected, choices) = until(&app.life.cancel, collected::whole(begun)).await?;
        return Ok((headers, Answer(Completion::new(head, collected, &choices, &asked))).into_response());
    }
    let (id, chunks) = (head.id.clone(), Chunks::new(head, &asked));
    let flow = Flow::new(id.clone(), chunks, begun, app.life.cancel.clone());
    Ok((headers, flow::body(id, flow.events())).into_response())
}
