//! The scripted engine behind the OpenAI API and nothing else: what gateways that speak HTTP to their backends are
//! measured before, so that they and ours wait for the same tokens.

use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::Stream;
use futures::stream::unfold;
use serde_json::{Value, json};
use starling_inference::{Generation, Handle, Output};
use tokio::net::TcpListener;

/// Serves until the process ends. Says where on stdout.
#[expect(clippy::print_stdout, reason = "a command-line tool")]
pub(super) async fn serve(engine: Handle) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready {}", listener.local_addr()?);
    let router = Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(answer))
        .with_state(engine);
    axum::serve(listener, router).await.context("the backend ended")
}

async fn models() -> Json<Value> {
    let model = json!({"id": "scripted", "object": "model", "created": 0, "owned_by": "nobody"});
    Json(json!({"object": "list", "data": [model]}))
}

async fn answer(State(engine): State<Handle>, Json(asked): Json<Value>) -> Response {
    let most = asked["max_tokens"].as_u64().and_then(|most| u32::try_from(most).ok());
    let Ok(generation) = engine.generate(super::request(super::question(), most)).await else {
        return (axum::http::StatusCode::SERVICE_UNAVAILABLE, "busy").into_response();
    };
    if asked["stream"] == true { Sse::new(events(generation)).into_response() } else { whole(generation).await }
}

async fn whole(mut generation: Generation) -> Response {
    let mut text = String::new();
    while let Some(output) = generation.next().await {
        if let Output::Piece { text: more, .. } = output {
            text.push_str(&more);
        }
    }
    let message = json!({"role": "assistant", "content": text});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": now(), "model": "scripted",
        "choices": [choice], "usage": usage});
    Json(body).into_response()
}

/// What the stream still has to say.
enum Next {
    Role(Generation),
    Text(Generation),
    Done,
    Nothing,
}

fn events(generation: Generation) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(Next::Role(generation), |next| async {
        let (event, next) = match next {
            Next::Role(generation) => {
                (chunk(&json!({"role": "assistant", "content": ""}), None), Next::Text(generation))
            }
            Next::Text(generation) => piece(generation).await,
            Next::Done => (Event::default().data("[DONE]"), Next::Nothing),
            Next::Nothing => return None,
        };
        Some((Ok(event), next))
    })
}

async fn piece(mut generation: Generation) -> (Event, Next) {
    loop {
        match generation.next().await {
            Some(Output::Piece { text, .. }) if text.is_empty() => {}
            Some(Output::Piece { text, .. }) => {
                return (chunk(&json!({"content": text}), None), Next::Text(generation));
            }
            Some(Output::Started { .. } | Output::Vector { .. }) => {}
            Some(Output::Done { .. }) => return (chunk(&json!({}), Some("stop")), Next::Done),
            // Cut short: the load sees a stream without its end.
            Some(Output::Failed(_)) | None => return (Event::default().comment("failed"), Next::Nothing),
        }
    }
}

fn chunk(delta: &Value, finish: Option<&str>) -> Event {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": now(), "model": "scripted",
        "choices": [choice]});
    Event::default().data(chunk.to_string())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
