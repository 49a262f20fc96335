//! What holds for every request: where it may come from, what a browser may do with the answer, and
//! one line in the log.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{cookie, error::ApiError, extract, is_api, openai::stamp};
use crate::app::App;

/// Scripts and styles come from this server's files only: nothing inline, nothing from elsewhere.
const CSP: &str = "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; manifest-src 'self'; \
    worker-src 'self'; require-trusted-types-for 'script'; trusted-types vue starling";

const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// A browser that has seen us over TLS comes back over TLS.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// A page of another site may neither change anything with a visitor's cookie nor open the chat.
pub(super) async fn same_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let opens_socket = headers.contains_key(header::UPGRADE);
    // A key is not sent by a browser on its own, so who sends one needs no such protection.
    let by_key = headers.contains_key(header::AUTHORIZATION) && request.uri().path().starts_with("/v1/");
    if (!reads || opens_socket) && !by_key && !comes_from_here(headers, app.public_origin()) {
        return ApiError::CrossOrigin.into_response();
    }
    if !reads && cookie::refresh_token(headers, app.is_https()).is_some() && !by_key && !extract::is_json(headers) {
        return ApiError::NotJson.into_response();
    }
    next.run(request).await
}

/// The headers of every answer. What programs get is never kept in a cache.
pub(super) async fn headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let private = is_api(request.uri());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    if private {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if app.is_https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}

/// The route and not the path: ids of people's conversations stay out of the log.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let id = response.headers().get(stamp::REQUEST_ID).and_then(|id| id.to_str().ok()).map(tracing::field::display);
    tracing::debug!(%method, route, status = response.status().as_u16(), ms, id, "answered");
    response
}

fn comes_from_here(headers: &HeaderMap, public: Option<&str>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let same_host = matches!((authority, host), (Some(from), Some(to)) if from.eq_ignore_ascii_case(to));
    same_host || public.is_some_and(|public| public.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(origin: Option<&str>, host: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(comes_from_here(&headers, Some("https://chat.example")), expected, "{origin:?} to {host}");
    }

    #[test]
    fn only_our_own_pages_are_ours() {
        check(None, "a:1", true);
        check(Some("http://a:1"), "a:1", true);
        check(Some("http://A:1"), "a:1", true);
        check(Some("http://a:2"), "a:1", false);
        check(Some("http://a"), "a:1", false);
        check(Some("http://evil.a:1"), "a:1", false);
        check(Some("null"), "a:1", false);
        check(Some("https://chat.example"), "inner:8080", true);
        check(Some("http://chat.example"), "inner:8080", false);
    }
}
