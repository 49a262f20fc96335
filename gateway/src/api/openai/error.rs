//! Errors in OpenAI's form.

use axum::{
    Json,
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::error::Refusal;

/// `{"error": …}` as OpenAI's clients read it.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiError)]
pub(in crate::api) struct ErrorAnswer {
    error: Error,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiErrorBody)]
struct Error {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<String>,
    code: &'static str,
}

impl From<Refusal> for ErrorAnswer {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.status {
            // By this one they know that waiting for a moment does not help.
            _ if refusal.code == "insufficient_quota" => "insufficient_quota",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::UNAUTHORIZED => "authentication_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let Refusal { message, field: param, code, .. } = refusal;
        let code = match code {
            // By this one clients know that they have to cut something off.
            "prompt_too_long" => "context_length_exceeded",
            code => code,
        };
        Self { error: Error { message, kind, param, code } }
    }
}

/// What an endpoint calls a field that nodes know by the name that it has in chats.
fn called(path: &str, field: &str) -> Option<&'static str> {
    match (path, field) {
        ("/v1/completions", "messages") => Some("prompt"),
        ("/v1/responses", "messages") => Some("input"),
        ("/v1/responses", "response_format") => Some("text.format"),
        ("/v1/responses", "max_tokens") => Some("max_output_tokens"),
        _ => None,
    }
}

/// Gives every refusal under `/v1` this form, wherever it was made.
pub(in crate::api) async fn form(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_ours = path == "/v1" || path.starts_with("/v1/");
    let path = path.to_owned();
    let mut response = next.run(request).await;
    let refusal = response.extensions_mut().remove::<Refusal>();
    let Some(mut refusal) = refusal.filter(|_| is_ours) else { return response };
    if let Some(field) = refusal.field.as_deref().and_then(|field| called(&path, field)) {
        refusal.field = Some(field.to_owned());
    }
    let mut reformed = (refusal.status, Json(ErrorAnswer::from(refusal))).into_response();
    for (name, value) in response.headers() {
        reformed.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    reformed.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
    reformed
}
