//! Setting up, signing in and out, keys.

use axum::http::{Method, StatusCode, header};
use serde_json::json;

use super::{Guest, Site};

fn nobody() -> Guest {
    Guest::default()
}

#[tokio::test]
async fn the_first_administrator_is_made_with_the_code_and_only_once() {
    let site = Site::new().await;
    assert_eq!(site.get("/api/setup", &nobody()).await.body, json!({"needed": true, "sign_up": "invitation"}));
    let code = site.app.setup.code().borrow().clone().unwrap().reveal().to_owned();
    let body = |code: &str| json!({"code": code, "username": "Admin", "password": "a good password"});
    site.post("/api/setup", &nobody(), body("WRONG")).await.is(403, "wrong_code");
    let bad = site.post("/api/setup", &nobody(), json!({"code": code, "username": "a!", "password": "x"})).await;
    assert_eq!(bad.body["error"]["field"], "username");
    let made = site.post("/api/setup", &nobody(), body(&code)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.body["user"]["username"], "admin", "names are folded");
    assert_eq!(made.body["user"]["role"], "admin");
    assert_eq!(site.get("/api/me", &made.guest()).await.body["user"], made.body["user"]);
    assert_eq!(site.get("/api/setup", &nobody()).await.body, json!({"needed": false, "sign_up": "invitation"}));
    site.post("/api/setup", &nobody(), body(&code)).await.is(409, "already_set_up");
}

#[tokio::test]
async fn a_worn_out_code_is_replaced() {
    let site = Site::new().await;
    let mut codes = site.app.setup.code();
    let first = codes.borrow_and_update().clone().unwrap();
    let body = |code: &str| json!({"code": code, "username": "admin", "password": "a good password"});
    for _ in 0..10 {
        site.post("/api/setup", &nobody(), body("WRONG")).await.is(403, "wrong_code");
    }
    assert!(codes.has_changed().unwrap(), "the new code is printed");
    site.post("/api/setup", &nobody(), body(first.reveal())).await.is(403, "wrong_code");
    for _ in 0..19 {
        site.post("/api/setup", &nobody(), body("WRONG")).await.is(403, "wrong_code");
    }
    let closed = site.post("/api/setup", &nobody(), body("WRONG")).await;
    closed.is(429, "too_many_tries");
    assert!(closed.headers.contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn sessions_begin_and_end() {
    let site = Site::new().await;
    let guest = site.user("anna").await;
    let answer = site.post("/api/session", &nobody(), json!({"username": "ANNA", "password": "a good password"})).await;
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "plain http has no secure cookies");
    let me = Guest { cookie: Some(answer.cookie()), ..nobody() };
    site.get("/api/me", &me).await.is(401, "not_signed_in");
    assert_eq!(site.send(Method::DELETE, "/api/session", &guest, Some(json!({}))).await.status, 204);
    site.get("/api/me", &guest).await.is(401, "not_signed_in");
}

#[tokio::test]
async fn behind_tls_cookies_and_pages_stay_there() {
    let site = Site::with_origin(Some("https://chat.example")).await;
    site.user("anna").await;
    let body = json!({"username": "anna", "password": "a good password"});
    let answer = site.post("/api/session", &nobody().with("origin", "https://chat.example"), body).await;
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-starling=") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(answer.headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
}

#[tokio::test]
async fn unknown_users_take_as_long_and_look_the_same() {
    let site = Site::new().await;
    site.user("anna").await;
    let mut texts = Vec::new();
    for name in ["anna", "nobody"] {
        let before = site.app.passwords.hashes();
        let answer = site.post("/api/session", &nobody(), json!({"username": name, "password": "wrong one"})).await;
        answer.is(401, "wrong_credentials");
        // What takes the time: a clock would be wrong on a busy machine.
        assert_eq!(site.app.passwords.hashes() - before, 1, "{name}");
        texts.push(answer.text);
    }
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_good_tries_are_not() {
    let site = Site::new().await;
    site.user("anna").await;
    for _ in 0..12 {
        site.sign_in("anna").await;
    }
    let wrong = json!({"username": "anna", "password": "wrong password"});
    for _ in 0..10 {
        site.post("/api/session", &nobody(), wrong.clone()).await.is(401, "wrong_credentials");
    }
    let closed = site.post("/api/session", &nobody(), wrong).await;
    closed.is(429, "too_many_tries");
    let wait: u64 = closed.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_deleted() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let made = site.post("/api/keys", &anna, json!({"label": " laptop "})).await;
    let secret = made.body["secret"].as_str().unwrap();
    assert!(secret.starts_with("sk-starling-"));
    assert_eq!(made.body["key"]["label"], "laptop");
    let list = site.get("/api/keys", &anna).await;
    assert!(!list.text.contains(secret));
    assert_eq!(list.body["keys"][0]["last_used_at"], json!(null));
    assert_eq!(site.get("/v1/models", &Guest::bearer(secret)).await.status, 200);
    site.app.life.tasks.close();
    site.app.life.tasks.wait().await;
    assert!(site.get("/api/keys", &anna).await.body["keys"][0]["last_used_at"].is_string());
    let path = format!("/api/keys/{}", made.body["key"]["id"].as_str().unwrap());
    assert_eq!(site.send(Method::DELETE, &path, &anna, Some(json!({}))).await.status, 204);
    site.get("/v1/models", &Guest::bearer(secret)).await.is(401, "invalid_api_key");
    site.get("/v1/models", &Guest::bearer("sk-other")).await.is(401, "invalid_api_key");
}
