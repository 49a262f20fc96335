//! Rate limits at the door: what is taken from which bucket, and the headers that tell of it.
//!
//! `RateLimit` and `RateLimit-Policy` as draft-ietf-httpapi-ratelimit-headers-10 has them; under `/v1` also the
//! `x-ratelimit-*` that OpenAI's clients read.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    auth::{ClientAddress, NOBODYS_ADDRESS},
    error::ApiError,
    is_counted,
};
use crate::{
    app::App,
    dispatch::whole_seconds,
    limits::{Bucket, Taken},
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const OPENAI_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const OPENAI_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const OPENAI_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");

/// What was taken for a request so far; it goes along with it.
#[derive(Clone, Debug, Default)]
struct Meter(Arc<Mutex<Vec<Taken>>>);

impl Meter {
    fn note(&self, taken: Taken) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
    }

    fn all(&self) -> Vec<Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts each request against its address, and says in each answer what is left.
pub(super) async fn limit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if !is_counted(request.uri()) {
        return next.run(request).await;
    }
    let is_openai = request.uri().path().starts_with("/v1");
    let meter = Meter::default();
    let from = request.extensions().get().map_or(NOBODYS_ADDRESS, |ClientAddress(address)| *address);
    let taken = app.limits.take(Bucket::Address(from), 1).await;
    meter.note(taken);
    let mut response = if taken.allowed {
        request.extensions_mut().insert(meter.clone());
        next.run(request).await
    } else {
        ApiError::RateLimited(taken).into_response()
    };
    tell(response.headers_mut(), &meter.all(), is_openai);
    response
}

/// Counts a request against whoever has made it.
pub(super) async fn charge(parts: &Parts, app: &App, bucket: Bucket) -> Result<(), ApiError> {
    let taken = app.limits.take(bucket, 1).await;
    if let Some(meter) = parts.extensions.get::<Meter>() {
        meter.note(taken);
    }
    if taken.allowed { Ok(()) } else { Err(ApiError::RateLimited(taken)) }
}

fn tell(headers: &mut HeaderMap, all: &[Taken], is_openai: bool) {
    let ruled = || all.iter().filter_map(|taken| Some((taken, taken.rule?)));
    let policies: Vec<_> =
        ruled().map(|(taken, rule)| format!("\"{}\";q={};w=60", taken.name, rule.per_minute)).collect();
    let limits: Vec<_> = ruled()
        .map(|(taken, _)| format!("\"{}\";r={};t={}", taken.name, taken.remaining, whole_seconds(taken.reset)))
        .collect();
    for (name, values) in [(POLICY, policies), (LIMIT, limits)] {
        if !values.is_empty() {
            insert(headers, name, &values.join(", "));
        }
    }
    // The one that ends first.
    let Some((taken, rule)) = ruled().min_by_key(|(taken, _)| taken.remaining).filter(|_| is_openai) else { return };
    insert(headers, OPENAI_LIMIT, &rule.per_minute.to_string());
    insert(headers, OPENAI_REMAINING, &taken.remaining.to_string());
    insert(headers, OPENAI_RESET, &format!("{}ms", taken.reset.as_millis()));
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::Rule;

    #[test]
    fn what_is_left_is_told() {
        let taken = |name, remaining, per_minute| Taken {
            allowed: true,
            remaining,
            reset: Duration::from_millis(2_500),
            rule: (per_minute > 0).then_some(Rule { per_minute, burst: 9 }),
            name,
        };
        let mut headers = HeaderMap::new();
        tell(&mut headers, &[taken("address", 8, 100), taken("user", 3, 50), taken("key", 0, 0)], true);
        assert_eq!(headers[POLICY], "\"address\";q=100;w=60, \"user\";q=50;w=60");
        assert_eq!(headers[LIMIT], "\"address\";r=8;t=3, \"user\";r=3;t=3");
        assert_eq!(
            (&headers[OPENAI_LIMIT], &headers[OPENAI_REMAINING]),
            (&"50".parse().unwrap(), &"3".parse().unwrap())
        );
        assert_eq!(headers[OPENAI_RESET], "2500ms");
        let mut none = HeaderMap::new();
        tell(&mut none, &[taken("key", 0, 0)], true);
        assert!(none.is_empty());
        tell(&mut none, &[taken("user", 1, 1)], false);
        assert_eq!(none.len(), 2);
    }
}
