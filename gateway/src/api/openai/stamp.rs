//! What every answer under `/v1` says of itself: which request it is for, and how long that took.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tokio::time::Instant;

use super::head::fresh_id;

/// By this an operator finds the request that somebody asks about.
pub(in crate::api) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// From the request to its answer's beginning, in milliseconds.
const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");

/// Adds both, whatever became of the request.
pub(in crate::api) async fn stamp(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/v1" && !path.starts_with("/v1/") {
        return next.run(request).await;
    }
    let began = Instant::now();
    let mut response = next.run(request).await;
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let id = HeaderValue::try_from(fresh_id("req_")).expect("an id is hexadecimal digits");
    response.headers_mut().extend([(REQUEST_ID, id), (PROCESSING, HeaderValue::from(ms))]);
    response
}
