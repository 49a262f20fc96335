//! Memories over the API: whose they are, what is taken, and what deleting leaves.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Guest, Site, answer_of};
use crate::id::UserId;

/// A fact of a user.
pub(super) async fn memory_of(site: &Site, guest: &Guest) -> String {
    add(site, guest, "I live in Lisbon").await
}

async fn add(site: &Site, guest: &Guest, text: &str) -> String {
    let answer = site.post("/api/memories", guest, json!({"text": text})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.body["memory"]["id"].as_str().unwrap().to_owned()
}

async fn texts(site: &Site, guest: &Guest, query: &str) -> Vec<String> {
    let list = site.get(&format!("/api/memories{query}"), guest).await;
    let list = list.body["memories"].as_array().unwrap_or_else(|| panic!("{}", list.text)).clone();
    list.iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect()
}

async fn user_id(site: &Site, name: &str) -> UserId {
    site.app.store.credentials(name).await.unwrap().unwrap().0.id
}

/// Cuts what was said, as the worker does.
async fn cut(site: &Site) {
    for said in site.app.store.said_and_uncut(100).await.unwrap() {
        let passages = if said.counts { vec![said.text.0.clone()] } else { vec![] };
        site.app.store.keep_passages(&said, &passages, 100).await.unwrap();
    }
}

#[tokio::test]
async fn a_fact_is_written_listed_changed_and_deleted() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let id = add(&site, &anna, "Remember that I live in Lisbon ").await;
    add(&site, &anna, "I like trams").await;
    assert_eq!(texts(&site, &anna, "").await, ["I like trams", "I live in Lisbon"], "the newest first");
    assert_eq!(texts(&site, &anna, &format!("?before={id}")).await, Vec::<String>::new());
    assert_eq!(texts(&site, &anna, "?limit=1").await, ["I like trams"]);
    let at = format!("/api/memories/{id}");
    let changed = site.send(Method::PATCH, &at, &anna, Some(json!({"text": "I live in Porto"}))).await;
    assert_eq!(
        (&changed.body["memory"]["text"], &changed.body["memory"]["kind"]),
        (&json!("I live in Porto"), &json!("fact"))
    );
    let standing = site.get("/api/memory", &anna).await.body;
    assert_eq!(
        standing,
        json!({"enabled": true, "facts": 2, "max_facts": 1_000, "passages": 0, "waiting": 2, "model": null})
    );
    assert_eq!(site.send(Method::DELETE, &at, &anna, Some(json!({}))).await.status, 204);
    site.send(Method::DELETE, &at, &anna, Some(json!({}))).await.is(404, "no_such_memory");
    assert_eq!(texts(&site, &anna, "").await, ["I like trams"]);
}

#[tokio::test]
async fn anothers_memory_is_not_there_under_any_id() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let id = memory_of(&site, &anna).await;
    let answer = answer_of(&site, &anna).await;
    assert!(texts(&site, &ben, "").await.is_empty());
    assert!(texts(&site, &ben, &format!("?before={id}&limit=100")).await.is_empty());
    // An id of another kind, one that is none, and one in another spelling.
    for id in [&id, &answer, "nonsense", "%00", "..%2f..", &id.to_uppercase(), &id.replace('-', "")] {
        let at = format!("/api/memories/{id}");
        site.get(&at, &ben).await.is(404, "no_such_memory");
        site.send(Method::PATCH, &at, &ben, Some(json!({"text": "x"}))).await.is(404, "no_such_memory");
        site.send(Method::DELETE, &at, &ben, Some(json!({}))).await.is(404, "no_such_memory");
    }
    let body = json!({"text": "mine", "user_id": "anna", "id": id, "kind": "message"});
    site.post("/api/memories", &ben, body).await;
    assert_eq!(texts(&site, &anna, "").await, ["I live in Lisbon"], "nothing was changed or added");
    site.send(Method::DELETE, "/api/memories", &ben, Some(json!({}))).await;
    site.send(Method::PUT, "/api/memory", &ben, Some(json!({"enabled": false}))).await;
    assert_eq!(texts(&site, &anna, "").await.len(), 1, "what is deleted or switched off is one's own");
    assert_eq!(site.get("/api/memory", &anna).await.body["enabled"], json!(true));
}

#[tokio::test]
async fn nothing_is_taken_beyond_its_bounds() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    for text in ["", "  ", "remember that ", &"x".repeat(2_001)] {
        let refused = site.post("/api/memories", &anna, json!({"text": text})).await;
        assert_eq!((refused.status.as_u16(), &refused.body["error"]["field"]), (400, &json!("text")), "{text}");
    }
    add(&site, &anna, &"x".repeat(2_000)).await;
    for query in ["?limit=0", "?limit=101", "?kind=nonsense", "?before=x", &format!("?q={}", "x".repeat(1_001)), "?q="]
    {
        assert_eq!(site.get(&format!("/api/memories{query}"), &anna).await.status, 400, "{query}");
    }
    // No node embeds: a search says so, and the list is there.
    site.get("/api/memories?q=tea", &anna).await.is(503, "no_embedding_node");
    let user = user_id(&site, "anna").await;
    for number in 1..1_000 {
        assert!(site.app.store.add_fact(user, &format!("fact {number}").into()).await.unwrap().is_some());
    }
    site.post("/api/memories", &anna, json!({"text": "one more"})).await.is(409, "too_many_facts");
}

#[tokio::test]
async fn what_was_said_is_remembered_until_it_is_deleted_and_not_while_memory_is_off() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    memory_of(&site, &anna).await;
    answer_of(&site, &anna).await;
    cut(&site).await;
    assert_eq!(texts(&site, &anna, "?kind=message").await, ["q", "a"]);
    let switch = async |enabled: bool| {
        site.send(Method::PUT, "/api/memory", &anna, Some(json!({"enabled": enabled}))).await;
    };
    switch(false).await;
    answer_of(&site, &anna).await;
    cut(&site).await;
    answer_of(&site, &anna).await;
    switch(true).await;
    cut(&site).await;
    assert_eq!(texts(&site, &anna, "?kind=message").await.len(), 2, "what was said meanwhile is not remembered");
    answer_of(&site, &anna).await;
    let deleted = site.send(Method::DELETE, "/api/memories?kind=message", &anna, Some(json!({}))).await;
    assert_eq!(deleted.status, 204);
    cut(&site).await;
    assert_eq!(texts(&site, &anna, "").await, ["I live in Lisbon"], "nor what was said before all was deleted");
    answer_of(&site, &anna).await;
    cut(&site).await;
    let list = site.get("/api/memories?kind=message", &anna).await.body["memories"].clone();
    let conversation = list[0]["conversation"].as_str().unwrap().to_owned();
    site.send(Method::DELETE, &format!("/api/conversations/{conversation}"), &anna, Some(json!({}))).await;
    assert_eq!(texts(&site, &anna, "").await, ["I live in Lisbon"], "it goes with its conversation");
    assert_eq!(site.get("/api/memory", &anna).await.body["passages"], json!(0));
    let none: Value = site.get("/api/memories?kind=message", &anna).await.body["memories"].clone();
    assert_eq!(none, json!([]));
}
