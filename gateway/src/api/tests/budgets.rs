//! What keys open, and how many tokens people and keys may use.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Guest, Site};
use crate::{
    accounts::AccountOptions,
    api::routes,
    clock::Timestamp,
    id::UserId,
    store::{
        tokens::{Account, Payer},
        users::Role,
    },
};

/// What each route that takes keys needs, and what it is asked.
fn opened() -> Vec<(Method, &'static str, &'static str, Option<Value>)> {
    let said = json!([{"role": "user", "content": "hi"}]);
    vec![
        (Method::GET, "/metrics", "metrics", None),
        (Method::GET, "/v1/models", "models", None),
        (Method::GET, "/v1/models/{*id}", "models", None),
        (Method::POST, "/v1/chat/completions", "chat", Some(json!({"model": "m", "messages": said}))),
        (Method::GET, "/v1/chat/completions/{id}/events", "chat", None),
        (Method::POST, "/v1/completions", "chat", Some(json!({"model": "m", "prompt": "hi"}))),
        (Method::POST, "/v1/responses", "chat", Some(json!({"model": "m", "input": "hi"}))),
        (Method::POST, "/v1/embeddings", "embeddings", Some(json!({"model": "m", "input": "hi"}))),
    ]
}

async fn key(site: &Site, guest: &Guest, body: Value) -> Guest {
    let made = site.post("/api/keys", guest, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    Guest::bearer(made.body["secret"].as_str().unwrap())
}

async fn id_of(site: &Site, guest: &Guest) -> UserId {
    site.get("/api/me", guest).await.body["user"]["id"].as_str().unwrap().parse().unwrap()
}

async fn use_up(site: &Site, user: UserId, tokens: u64) {
    let account = Account { payer: Payer { user, key: None }, day: Timestamp::now().day() };
    site.app.store.count(&[(account, tokens)], &[]).await.unwrap();
}

async fn change(site: &Site, admin: &Guest, user: UserId, body: Value) -> Answer {
    site.send(Method::PATCH, &format!("/api/users/{user}"), admin, Some(body)).await
}

#[tokio::test]
async fn a_key_opens_what_it_was_made_for() {
    let site = Site::new().await;
    let admin = site.person("admin", Role::Admin).await;
    for scope in ["chat", "embeddings", "models", "metrics"] {
        let key = key(&site, &admin, json!({"label": scope, "scopes": [scope]})).await;
        for (method, path, needs, body) in opened() {
            let at = path.replace("{id}", "any").replace("{*id}", "a/model");
            let answer = site.send(method, &at, &key, body).await;
            if needs == scope {
                assert_ne!(answer.status, 403, "{path} with {scope}: {}", answer.text);
            } else {
                answer.is(403, "missing_scope");
                assert!(answer.text.contains(&format!("\\\"{needs}\\\"")), "{}", answer.text);
            }
        }
    }
    let list = site.get("/api/keys", &admin).await.body;
    assert_eq!(list["keys"][0]["scopes"], json!(["chat"]));
    let all = key(&site, &admin, json!({"label": "all"})).await;
    assert_eq!(site.get("/metrics", &all).await.status, 200);
    for bad in [json!({"label": "k", "scopes": []}), json!({"label": "k", "scopes": ["root"]})] {
        site.post("/api/keys", &admin, bad).await.is(400, "invalid_field");
    }
    let twice = json!({"label": "twice", "scopes": ["models", "chat", "models"]});
    let made = site.post("/api/keys", &admin, twice).await.body;
    assert_eq!(made["key"]["scopes"], json!(["chat", "models"]));
}

#[test]
fn every_route_that_takes_keys_needs_a_scope() {
    let scoped = opened();
    for route in routes().into_iter().filter(|route| route.path.starts_with("/v1")) {
        let found = scoped.iter().any(|(method, path, ..)| *method == route.method && *path == route.path);
        assert!(found, "{} {} needs a row in the table above", route.method, route.path);
    }
}

#[tokio::test]
async fn who_has_used_the_months_tokens_waits_for_the_next() {
    let site = Site::new().await;
    let (admin, anna) = (site.person("admin", Role::Admin).await, site.user("anna").await);
    let user = id_of(&site, &anna).await;
    let key = key(&site, &anna, json!({"label": "k"})).await;
    let texts = json!({"model": "m", "input": "hi"});
    let changed = change(&site, &admin, user, json!({"tokens_per_month": 100})).await;
    assert_eq!(changed.body["user"]["tokens"], json!({"used": 0, "per_month": 100}), "{}", changed.text);
    assert_eq!(changed.body["user"]["own_budget"], true);
    use_up(&site, user, 100).await;
    let me = site.get("/api/me", &anna).await.body;
    assert_eq!(me["tokens"], json!({"used": 100, "per_month": 100}));
    // There is no model, which is looked at first.
    site.post("/v1/embeddings", &key, texts).await.is(503, "no_node");
    let refused = site.app.ledger.open(Payer { user, key: None }, true, Default::default()).await.err().unwrap();
    let refusal = crate::api::error::ApiError::from(refused);
    let form = serde_json::to_value(crate::api::openai::error::ErrorAnswer::from(refusal.refusal())).unwrap();
    assert_eq!(refusal.refusal().status, 429);
    assert_eq!(
        (&form["error"]["type"], &form["error"]["code"]),
        (&json!("insufficient_quota"), &json!("insufficient_quota"))
    );
    let next = Timestamp::now().month().1.to_string();
    let message = form["error"]["message"].as_str().unwrap();
    assert!(message.contains("100 tokens of your account") && message.contains(next.get(..10).unwrap()), "{message}");
    let listed = site.get("/api/users", &admin).await.body;
    let hers = listed["users"].as_array().unwrap().iter().find(|one| one["username"] == "anna").unwrap();
    assert_eq!(hers["tokens"], json!({"used": 100, "per_month": 100}));
    let back = change(&site, &admin, user, json!({"own_budget": false})).await.body;
    assert_eq!((&back["user"]["tokens"]["per_month"], &back["user"]["own_budget"]), (&json!(null), &json!(false)));
    let kept = change(&site, &admin, user, json!({"disabled": false})).await.body;
    assert_eq!(kept["user"]["own_budget"], false, "what is missing stays");
    let bad = change(&site, &admin, user, json!({"tokens_per_month": 1_000_000_000_000_001_u64})).await;
    bad.is(400, "invalid_field");
    change(&site, &admin, user, json!({"tokens_per_month": -1})).await.is(400, "invalid_field");
    let audit = site.get("/api/audit", &admin).await.text;
    assert!(audit.contains("limits_changed"), "{audit}");
}

#[tokio::test]
async fn what_all_may_use_is_the_operators_choice() {
    let site = Site::with(None, AccountOptions { tokens_per_month: 50, ..AccountOptions::default() }).await;
    let (admin, anna) = (site.person("admin", Role::Admin).await, site.user("anna").await);
    assert_eq!(site.get("/api/me", &anna).await.body["tokens"], json!({"used": 0, "per_month": 50}));
    let user = id_of(&site, &anna).await;
    let free = change(&site, &admin, user, json!({"tokens_per_month": 0})).await.body;
    assert_eq!((&free["user"]["tokens"]["per_month"], &free["user"]["own_budget"]), (&json!(null), &json!(true)));
    let made = site.post("/api/keys", &anna, json!({"label": "k", "tokens_per_month": 7})).await.body;
    assert_eq!(made["key"]["tokens"], json!({"used": 0, "per_month": 7}));
    let bad = json!({"label": "k", "tokens_per_month": 1_000_000_000_000_001_u64});
    site.post("/api/keys", &anna, bad).await.is(400, "invalid_field");
}
