//! What is refused, with which status, code and words.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};

use super::{Guest, Site, conversation_of, turn_place};
use crate::{
    id::TurnId,
    store::{tests::fresh, users},
    turn::{News, Reader},
};

#[tokio::test]
async fn what_is_not_there_says_so_in_json() {
    let site = Site::new().await;
    let nobody = Guest::default();
    site.get("/api/nothing", &nobody).await.is(404, "no_such_path");
    site.get("/api", &nobody).await.is(404, "no_such_path");
    site.send(Method::PUT, "/api/me", &nobody, Some(json!({}))).await.is(405, "method_not_allowed");
    site.send(Method::POST, "/some/page", &nobody, Some(json!({}))).await.is(405, "method_not_allowed");
    let v1 = site.get("/v1/nothing", &nobody).await;
    v1.is(404, "no_such_path");
    assert_eq!(v1.body["error"]["type"], "invalid_request_error", "OpenAI's form");
    assert_eq!(v1.body["error"]["param"], json!(null));
    let v1 = site.send(Method::GET, "/v1/chat/completions", &nobody, None).await;
    v1.is(405, "method_not_allowed");
    assert!(v1.headers.contains_key(header::ALLOW));
    site.get("/v1/models", &nobody).await.is(401, "not_signed_in");
}

#[tokio::test]
async fn whatever_goes_wrong_under_v1_has_the_form_that_clients_read() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let long = |field: &str| json!({"model": "m", field: "x".repeat((768 << 10) + 1)});
    let messages = json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat((768 << 10) + 1)}]});
    let nobody = Guest::default();
    let refused = [
        (site.get("/v1", &nobody).await, 404, "no_such_path", None),
        (site.get("/v1/nothing", &nobody).await, 404, "no_such_path", None),
        (site.get("/v1/responses", &nobody).await, 405, "method_not_allowed", None),
        (site.post("/v1/responses", &nobody, json!({})).await, 401, "not_signed_in", None),
        (site.post("/v1/responses", &Guest::bearer("sk-x"), json!({})).await, 401, "invalid_api_key", None),
        (site.post("/v1/responses", &anna, json!({"model": "m"})).await, 400, "invalid_field", Some("input")),
        (site.post("/v1/completions", &anna, json!({"model": "m"})).await, 400, "invalid_field", Some("prompt")),
        (site.post("/v1/completions", &anna, json!("x".repeat(1 << 20))).await, 413, "body_too_large", None),
        (site.post("/v1/responses", &anna, long("input")).await, 400, "context_length_exceeded", Some("input")),
        (site.post("/v1/completions", &anna, long("prompt")).await, 400, "invalid_field", Some("prompt")),
        (site.post("/v1/chat/completions", &anna, messages).await, 400, "context_length_exceeded", Some("messages")),
    ];
    for (answer, status, code, param) in refused {
        answer.is(status, code);
        let error = &answer.body["error"];
        assert_eq!(error["param"].as_str(), param, "{}", answer.text);
        assert!(error["message"].is_string() && error["type"].as_str().unwrap().ends_with("_error"), "{}", answer.text);
        assert!(answer.headers["x-request-id"].to_str().unwrap().starts_with("req_"));
        assert!(answer.headers["openai-processing-ms"].to_str().unwrap().parse::<u64>().is_ok());
    }
    assert!(site.get("/api/me", &anna).await.headers.get("x-request-id").is_none());
}

#[tokio::test]
async fn bodies_are_bounded_and_read_with_care() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let long = site.post("/api/keys", &anna, json!({"label": "x".repeat(1 << 20)})).await;
    long.is(413, "body_too_large");
    assert!(long.body["error"]["message"].as_str().unwrap().contains("1048576"), "{}", long.text);
    let send = |kind: &'static str, body: &'static str| {
        let request = Request::post("/api/keys")
            .header(header::AUTHORIZATION, format!("Bearer {}", anna.bearer.clone().unwrap()));
        site.raw(request.header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap())
    };
    send("application/json", "{").await.is(400, "invalid_json");
    send("application/json", "[]").await.is(400, "invalid_json");
    send("application/json; charset=utf-8", "{}").await.is(400, "invalid_field");
    send("text/plain", r#"{"label":"l"}"#).await.is(415, "not_json");
    send("application/x-www-form-urlencoded", "label=l").await.is(415, "not_json");
    for label in ["", "  ", "a\nb"] {
        let answer = site.post("/api/keys", &anna, json!({"label": label})).await;
        answer.is(400, "invalid_field");
        assert_eq!(answer.body["error"]["field"], "label");
    }
}

#[tokio::test]
async fn conversations_are_checked() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let id = conversation_of(&site, &anna).await;
    let path = format!("/api/conversations/{id}");
    site.get("/api/conversations/nonsense", &anna).await.is(404, "no_such_conversation");
    site.get("/api/conversations?limit=0", &anna).await.is(400, "invalid_field");
    site.get("/api/conversations?limit=x", &anna).await.is(400, "invalid_field");
    site.get("/api/conversations?before=x", &anna).await.is(400, "invalid_field");
    let long = Some(json!({"title": "x".repeat(257)}));
    site.send(Method::PATCH, &path, &anna, long).await.is(400, "invalid_field");
    let renamed = site.send(Method::PATCH, &path, &anna, Some(json!({"title": "other", "user_id": "x"}))).await;
    assert_eq!(renamed.body["conversation"]["title"], "other");
    let shown = site.get(&path, &anna).await;
    assert_eq!(shown.body["messages"], json!([]));
    assert!(shown.body["conversation"]["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(site.get("/api/conversations?limit=1", &anna).await.body["conversations"][0]["id"], json!(id));
}

#[tokio::test]
async fn without_a_node_there_is_a_reason_and_a_time_to_come_again() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let chat = |stream: bool| json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream});
    for stream in [false, true] {
        let answer = site.post("/v1/chat/completions", &anna, chat(stream)).await;
        answer.is(503, "no_node");
        assert_eq!(answer.headers[header::RETRY_AFTER], "5");
        assert_eq!(answer.body["error"]["type"], "server_error");
    }
    assert_eq!(site.get("/v1/models", &anna).await.body, json!({"object": "list", "data": []}));
    assert_eq!(site.get("/api/models", &anna).await.body, json!({"models": []}));
    assert_eq!(site.get("/api/swarm", &anna).await.body, json!({"nodes": [], "peers": 0}));
    let bad = json!({"model": "m", "messages": [{"role": "robot", "content": "hi"}]});
    let bad = site.post("/v1/chat/completions", &anna, bad).await;
    bad.is(400, "invalid_field");
    assert_eq!(bad.body["error"]["param"], "messages[0].role");
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let label = json!({"label": "l"});
    for origin in ["http://evil", "http://gateway:81", "null", "https://gateway"] {
        site.post("/api/keys", &anna.with("origin", origin), label.clone()).await.is(403, "cross_origin");
    }
    assert_eq!(site.post("/api/keys", &anna.with("origin", "http://gateway:80"), label.clone()).await.status, 201);
    assert_eq!(site.get("/api/me", &anna.with("origin", "http://evil")).await.status, 200, "reading needs CORS");
    let socket = anna.with("origin", "http://evil").with("upgrade", "websocket");
    site.get("/api/chat", &socket).await.is(403, "cross_origin");
    site.send(Method::DELETE, "/api/session", &anna, None).await.is(415, "not_json");
    let chat = json!({"model": "m", "messages": []});
    let key = Guest::bearer("sk-starling-x").with("origin", "app://other");
    site.post("/v1/chat/completions", &key, chat).await.is(401, "invalid_api_key");
}

#[tokio::test]
async fn every_answer_has_its_headers() {
    let site = Site::new().await;
    for (path, private) in [("/healthz", false), ("/api/me", true), ("/v1/x", true), ("/", false), ("/x.js", false)] {
        let answer = site.get(path, &Guest::default()).await;
        let csp = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(csp.contains("script-src 'self'") && !csp.contains("unsafe"), "{csp}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(answer.headers[header::REFERRER_POLICY], "no-referrer", "{path}");
        let kept = answer.headers.get(header::CACHE_CONTROL).is_none_or(|value| value != "no-store");
        assert_eq!(kept, !private, "{path}");
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_not_a_fault_of_the_request() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    site.app.store.close().await;
    let answer = site.get("/api/me", &anna).await;
    answer.is(503, "database_unavailable");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    let ready = site.get("/readyz", &Guest::default()).await;
    assert_eq!(ready.status, 503);
    let reasons: Vec<_> = ready.body["reasons"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("database: ")), "{reasons:?}");
    assert_eq!(site.get("/healthz", &Guest::default()).await.body, json!({"status": "ok"}));
}

#[tokio::test]
async fn what_a_restart_interrupted_is_shown_as_such() {
    let site = Site::new().await;
    let user = site.app.store.create_user("anna", "x", users::Role::User).await.unwrap();
    let (place, turn) = (turn_place(), TurnId::generate());
    site.app.store.accept(user.id, &place, turn, &"q".to_owned().into(), &fresh()).await.unwrap();
    // Without a swarm no node ever comes back.
    site.app.turns.take_up(site.app.store.unfinished(9).await.unwrap());
    let (_, running) = site.app.turns.running_in(user.id, place.id()).unwrap();
    let Some(News::Ended(_)) = Reader::new(running.log, 0).next().await else { panic!("it goes on") };
    let branch = site.app.store.branch(user.id, place.id(), crate::store::branches::UpTo::End).await.unwrap();
    let messages = branch.unwrap().messages;
    let shown = serde_json::to_value(crate::api::wire::Message::from(messages[1].clone())).unwrap();
    assert_eq!(shown["status"], "failed", "nothing of it had come");
    assert_eq!(shown["error"]["code"], "interrupted");
    assert_eq!((&shown["answer"], &shown["resumable"]), (&json!(null), &json!(false)));
}
