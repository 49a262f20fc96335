//! Tokens that others have made, on the routes and on the chat socket.

use serde_json::json;

use super::{Guest, Site, socket::Page};
use crate::{access::tests::forged, clock::Timestamp, secret::KEY_PREFIX};

/// Each with what is wrong with it: those that are no token of ours, and those that are something else of ours.
async fn all(site: &Site, anna: &Guest) -> Vec<(String, String)> {
    let claims = site.app.access.check(anna.bearer.as_deref().unwrap(), Timestamp::now()).unwrap();
    let user = site.app.sessions.user(claims.sid).await.unwrap().unwrap();
    let key = site.post("/api/keys", anna, json!({"label": "k"})).await.body["secret"].as_str().unwrap().to_owned();
    let refresh = anna.cookie.as_deref().unwrap().split_once('=').unwrap().1.to_owned();
    let mut all = forged(&site.app.access, &user, claims.sid);
    let nobodys = site.app.access.issue(&user, crate::id::SessionId::generate(), Timestamp::now()).text;
    let other = crate::access::tests::user();
    let others = site.app.access.issue(&other, claims.sid, Timestamp::now()).text;
    all.extend([
        ("a refresh token".to_owned(), refresh),
        ("an API key".to_owned(), key),
        ("a session that is none".to_owned(), nobodys),
        ("another's session".to_owned(), others),
    ]);
    all
}

#[tokio::test]
async fn forged_tokens_open_no_route() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    for (what, token) in all(&site, &anna).await {
        // What no header can hold does not arrive.
        if axum::http::HeaderValue::from_str(&token).is_err() {
            continue;
        }
        let answer = site.get("/api/me", &Guest::bearer(&token)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "not_signed_in"), "{what}");
        if !token.starts_with(KEY_PREFIX) {
            assert_eq!(site.get("/v1/models", &Guest::bearer(&token)).await.status, 401, "{what}");
        }
    }
    assert_eq!(site.get("/api/me", &anna).await.status, 200);
}

#[tokio::test]
async fn forged_tokens_open_no_socket() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let address = super::socket::serve(&site).await;
    for (what, token) in all(&site, &anna).await {
        let mut page = Page::knock(address, &Guest::default()).await.unwrap();
        page.authenticate(&token).await;
        let closed = page.hear().await;
        assert!(matches!(closed, Err(4401 | 1008)), "{what}: {closed:?}");
    }
    let mut page = Page::open(address, &anna).await.unwrap();
    assert_eq!(page.hear().await.unwrap()["type"], "hello");
}
