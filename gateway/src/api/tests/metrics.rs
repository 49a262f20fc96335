//! `/metrics`, which only administrators read.

use axum::http::header;
use serde_json::json;

use super::{Guest, Site};
use crate::store::users::Role;

#[tokio::test]
async fn an_administrator_reads_them_by_session_and_by_key() {
    let site = Site::new().await;
    let admin = site.person("admin", Role::Admin).await;
    let secret = site.post("/api/keys", &admin, json!({"label": "prometheus"})).await.body["secret"].clone();
    let key = Guest::bearer(secret.as_str().unwrap());
    for guest in [admin, key] {
        let answer = site.get("/metrics", &guest).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        assert!(answer.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("application/openmetrics-text"));
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert!(answer.text.contains("starling_nodes 0\n"), "{}", answer.text);
        assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
    }
}

#[tokio::test]
async fn others_are_told_why_not() {
    let site = Site::new().await;
    let user = site.user("somebody").await;
    site.get("/metrics", &user).await.is(403, "admin_only");
    site.get("/metrics", &Guest::default()).await.is(401, "not_signed_in");
    site.get("/metrics/more", &Guest::default()).await.is(404, "no_such_path");
}
