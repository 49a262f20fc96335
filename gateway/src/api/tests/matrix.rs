//! Every route, and who gets what from it. A route without a row fails.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Guest, Site, answer_of, characters::character_of, conversation_of, memories::memory_of};
use crate::{api::routes, store::users::Role};

/// The status that each gets. `owner` has made what the path names; `other` is another user.
struct Row {
    method: Method,
    path: &'static str,
    body: Option<Value>,
    anonymous: u16,
    owner: u16,
    other: u16,
    key: u16,
    worker: u16,
    admin: u16,
}

fn row(method: Method, path: &'static str, body: Option<Value>, expected: [u16; 4]) -> Row {
    let [anonymous, other, owner, key] = expected;
    Row { method, path, body, anonymous, owner, other, key, worker: other, admin: other }
}

impl Row {
    /// What a worker and an administrator get, where it is not what any other user gets.
    fn staff(self, worker: u16, admin: u16) -> Self {
        Self { worker, admin, ..self }
    }
}

/// Anonymous, other, owner, owner's API key: an API key opens `/v1`, and `/metrics` to an administrator.
fn rows() -> Vec<Row> {
    let get = |path, expected| row(Method::GET, path, None, expected);
    let post = |path, body, expected| row(Method::POST, path, Some(body), expected);
    let person = json!({"username": "nobody", "password": "wrong password"});
    let passwords = json!({"old": "wrong password", "new": "a good password"});
    let setup = json!({"code": "x", "username": "nobody", "password": "wrong password"});
    let mut rows = vec![
        get("/healthz", [200, 200, 200, 200]),
        // 503: this swarm does not listen. What counts is that everybody may ask.
        get("/readyz", [503, 503, 503, 503]),
        get("/metrics", [401, 403, 403, 403]).staff(403, 200),
        // 404: for everybody, and there is none. `releases` has the rest.
        get("/install.sh", [404, 404, 404, 404]),
        get("/install.ps1", [404, 404, 404, 404]),
        get("/releases/{name}", [404, 404, 404, 404]),
        get("/api/setup", [200, 200, 200, 200]),
        post("/api/setup", setup, [403, 403, 403, 403]),
        post("/api/session", person.clone(), [401, 401, 401, 401]),
        // By the cookie, which a key has not.
        post("/api/session/refresh", json!({}), [401, 200, 200, 401]),
        get("/api/sessions", [401, 200, 200, 401]),
        row(Method::DELETE, "/api/sessions/{id}", Some(json!({})), [401, 404, 204, 401]),
        get("/api/me", [401, 200, 200, 401]),
        get("/api/models", [401, 200, 200, 401]),
        get("/api/swarm", [401, 200, 200, 401]),
        get("/api/conversations", [401, 200, 200, 401]),
        post("/api/conversations", json!({}), [401, 201, 201, 401]),
        get("/api/conversations/{id}", [401, 404, 200, 401]),
        row(Method::PATCH, "/api/conversations/{id}", Some(json!({"title": "t"})), [401, 404, 200, 401]),
        row(Method::DELETE, "/api/conversations/{id}", Some(json!({})), [401, 404, 204, 401]),
        // 400: let in, and then nothing that can be taken in.
        post("/api/conversations/import", json!({"format": "x"}), [401, 400, 400, 401]),
        get("/api/conversations/{id}/export", [401, 404, 200, 401]),
        // 409: let in, and then the answer is whole, or not there.
        post("/api/messages/{id}/go-on", json!({}), [401, 409, 409, 401]),
        post("/api/messages/{id}/show", json!({}), [401, 404, 200, 401]),
        get("/api/characters", [401, 200, 200, 401]),
        post("/api/characters", json!({"name": "n"}), [401, 201, 201, 401]),
        row(Method::PUT, "/api/characters/{id}", Some(json!({"name": "n"})), [401, 404, 200, 401]),
        row(Method::DELETE, "/api/characters/{id}", Some(json!({})), [401, 404, 204, 401]),
        // 404: a private one, and it has no picture yet. `characters` has the rest.
        get("/api/characters/{id}/picture", [401, 404, 404, 401]),
        row(Method::PUT, "/api/characters/{id}/picture", Some(json!({"base64": null})), [401, 404, 204, 401]),
        get("/api/memories", [401, 200, 200, 401]),
        post("/api/memories", json!({"text": "t"}), [401, 201, 201, 401]),
        get("/api/memories/{id}", [401, 404, 200, 401]),
        row(Method::PATCH, "/api/memories/{id}", Some(json!({"text": "t"})), [401, 404, 200, 401]),
        row(Method::DELETE, "/api/memories/{id}", Some(json!({})), [401, 404, 204, 401]),
        row(Method::DELETE, "/api/memories", Some(json!({})), [401, 204, 204, 401]),
        get("/api/memory", [401, 200, 200, 401]),
        row(Method::PUT, "/api/memory", Some(json!({"enabled": true})), [401, 204, 204, 401]),
        get("/api/keys", [401, 200, 200, 401]),
        post("/api/keys", json!({"label": "l"}), [401, 201, 201, 401]),
        row(Method::DELETE, "/api/keys/{id}", Some(json!({})), [401, 404, 204, 401]),
        // Closed until there is an administrator who was made with the code. `people` has the rest.
        post("/api/account", person, [403, 403, 403, 403]),
        // 403: let in, and then the password is wrong.
        row(Method::PUT, "/api/account/password", Some(passwords), [401, 403, 403, 401]),
        row(Method::DELETE, "/api/account", Some(json!({"password": "wrong password"})), [401, 403, 403, 401]),
        get("/api/account/export", [401, 200, 200, 401]),
        get("/api/my/nodes", [401, 200, 200, 401]),
        // 426: not a WebSocket. Whoever opens one says on it who he is; `socket` has the tests.
        get("/api/chat", [426, 426, 426, 426]),
    ];
    rows.extend(operators());
    rows.extend(programs());
    rows.extend([
        // These end the sessions of whoever asks.
        row(Method::DELETE, "/api/session", Some(json!({})), [401, 204, 204, 401]),
        row(Method::DELETE, "/api/sessions", Some(json!({})), [401, 204, 204, 401]),
    ]);
    rows
}

/// What those who run the gateway use, and those who bring nodes in.
fn operators() -> Vec<Row> {
    let get = |path, expected| row(Method::GET, path, None, expected);
    let post = |path, body, expected| row(Method::POST, path, Some(body), expected);
    vec![
        // 404 for those who are let in: nothing of that id is there.
        get("/api/invites", [401, 403, 403, 401]).staff(200, 200),
        post("/api/invites", json!({}), [401, 403, 403, 401]).staff(201, 201),
        row(Method::DELETE, "/api/invites/{id}", Some(json!({})), [401, 403, 403, 401]).staff(404, 404),
        get("/api/members", [401, 403, 403, 401]).staff(403, 200),
        row(Method::DELETE, "/api/members/{id}", Some(json!({})), [401, 403, 403, 401]).staff(403, 404),
        row(Method::PATCH, "/api/nodes/{id}", Some(json!({"drained": true})), [401, 403, 403, 401]).staff(403, 404),
        get("/api/audit", [401, 403, 403, 401]).staff(403, 200),
        get("/api/figures", [401, 403, 403, 401]).staff(403, 200),
        get("/api/limits", [401, 403, 403, 401]).staff(403, 200),
        get("/api/users", [401, 403, 403, 401]).staff(403, 200),
        row(Method::PATCH, "/api/users/{id}", Some(json!({"role": "admin"})), [401, 403, 403, 401]).staff(403, 404),
        row(Method::DELETE, "/api/users/{id}", Some(json!({})), [401, 403, 403, 401]).staff(403, 404),
        get("/api/invitations", [401, 403, 403, 401]).staff(403, 200),
        post("/api/invitations", json!({}), [401, 403, 403, 401]).staff(403, 201),
        row(Method::DELETE, "/api/invitations/{id}", Some(json!({})), [401, 403, 403, 401]).staff(403, 404),
    ]
}

/// What programs ask for, and its description.
fn programs() -> Vec<Row> {
    let get = |path, expected| row(Method::GET, path, None, expected);
    let post = |path, body, expected| row(Method::POST, path, Some(body), expected);
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let texts = json!({"model": "m", "input": "hi"});
    vec![
        get("/api/openapi.json", [200, 200, 200, 200]),
        get("/api/docs", [200, 200, 200, 200]),
        get("/api/docs.css", [200, 200, 200, 200]),
        // 503: let in, and then there is no node.
        get("/v1/models", [401, 200, 200, 200]),
        get("/v1/models/{*id}", [401, 503, 503, 503]),
        post("/v1/chat/completions", chat, [401, 503, 503, 503]),
        get("/v1/chat/completions/{id}/events", [401, 404, 404, 404]),
        post("/v1/completions", json!({"model": "m", "prompt": "hi"}), [401, 503, 503, 503]),
        post("/v1/responses", json!({"model": "m", "input": "hi"}), [401, 503, 503, 503]),
        post("/v1/embeddings", texts, [401, 503, 503, 503]),
    ]
}

#[tokio::test]
async fn every_route_serves_those_it_is_for() {
    let site = Site::new().await;
    let (mut owner, mut other) = (site.user("owner").await, site.user("other").await);
    let (mut worker, mut admin) = (site.person("worker", Role::Worker).await, site.person("admin", Role::Admin).await);
    let secret = key(&site, &owner).await.1;
    for Row {
        method,
        path,
        body,
        anonymous,
        owner: of_owner,
        other: of_other,
        key: of_key,
        worker: of_worker,
        admin: of_admin,
    } in rows()
    {
        // Fresh for each row: some of them delete it.
        let id = match path {
            "/api/conversations/{id}" | "/api/conversations/{id}/export" => conversation_of(&site, &owner).await,
            path if path.starts_with("/api/characters/{id}") => character_of(&site, &owner).await,
            "/api/memories/{id}" => memory_of(&site, &owner).await,
            path if path.starts_with("/api/messages/") => answer_of(&site, &owner).await,
            "/api/keys/{id}" => key(&site, &owner).await.0,
            "/api/sessions/{id}" => another_session(&site, "owner").await,
            _ => "any".to_owned(),
        };
        if path.starts_with("/api/session") {
            (owner, other) = (site.sign_in("owner").await, site.sign_in("other").await);
            (worker, admin) = (site.sign_in("worker").await, site.sign_in("admin").await);
        }
        let at = path.replace("{id}", &id).replace("{name}", "release.json").replace("{*id}", "a/model");
        let guests = [
            ("anonymous", Guest::default(), anonymous),
            ("another user", other.clone(), of_other),
            ("a worker", worker.clone(), of_worker),
            ("an administrator", admin.clone(), of_admin),
            ("a key", Guest::bearer(&secret), of_key),
            ("the owner", owner.clone(), of_owner),
        ];
        for (who, guest, expected) in guests {
            let answer = site.send(method.clone(), &at, &guest, body.clone()).await;
            assert_eq!(answer.status.as_u16(), expected, "{method} {path} by {who}: {}", answer.text);
        }
    }
}

#[test]
fn every_route_has_a_row() {
    let rows = rows();
    for route in routes() {
        let found = rows.iter().filter(|row| row.method == route.method && row.path == route.path).count();
        assert_eq!(found, 1, "{} {} needs a row in the table above", route.method, route.path);
    }
    assert_eq!(rows.len(), routes().len(), "a row has no route");
}

async fn key(site: &Site, guest: &Guest) -> (String, String) {
    let answer = site.post("/api/keys", guest, json!({"label": "k"})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&answer.body["key"]["id"]), text(&answer.body["secret"]))
}

/// A session of a user's that nobody here goes on with.
async fn another_session(site: &Site, name: &str) -> String {
    let guest = site.sign_in(name).await;
    let list = site.get("/api/sessions", &guest).await.body;
    let current = list["sessions"].as_array().unwrap().iter().find(|session| session["current"] == true).unwrap();
    current["id"].as_str().unwrap().to_owned()
}
