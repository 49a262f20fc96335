//! Taking along all that is one's own.

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::{Guest, Site, answer_of, characters::character_of, conversation_of, memories::memory_of};

async fn document(site: &Site, guest: &Guest) -> Value {
    let answer = site.get("/api/account/export", guest).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(answer.body.is_object(), "one JSON document: {}", answer.text);
    answer.body
}

#[tokio::test]
async fn the_document_has_all_that_is_mine_and_nothing_else() {
    let site = Site::new().await;
    let (mine, other) = (site.user("anna").await, site.user("ben").await);
    for guest in [&mine, &other] {
        character_of(&site, guest).await;
        memory_of(&site, guest).await;
        conversation_of(&site, guest).await;
        answer_of(&site, guest).await;
        site.post("/api/keys", guest, json!({"label": "laptop"})).await;
    }
    let told = site.get("/api/account/export", &mine).await;
    assert_eq!(told.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"starling-anna.json\"");
    let all = document(&site, &mine).await;
    assert_eq!((&all["format"], &all["version"]), (&json!("starling-account"), &json!(1)));
    assert_eq!((&all["account"]["person"]["username"], &all["account"]["remembers"]), (&json!("anna"), &json!(true)));
    assert_eq!(all["account"]["keys"][0]["label"], "laptop");
    let count = |list: &Value| list.as_array().unwrap().len();
    assert_eq!((count(&all["account"]["keys"]), count(&all["account"]["sessions"])), (1, 1));
    assert_eq!((count(&all["characters"]), count(&all["memories"]), count(&all["conversations"])), (1, 1, 2));
    let said = all["conversations"].as_array().unwrap().iter().find(|one| count(&one["messages"]) == 2).unwrap();
    assert_eq!((&said["messages"][0]["text"], &said["messages"][1]["text"]), (&json!("q"), &json!("a")));
    assert_eq!((&said["messages"][0]["follows"], &said["messages"][1]["follows"]), (&json!(0), &json!(1)));
    // Each conversation in it is a file that can be taken in.
    let again = site.post("/api/conversations/import", &other, said.clone()).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    for secret in ["sk-starling", "argon2", "ben"] {
        assert!(!all.to_string().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn an_empty_account_is_a_document_too() {
    let site = Site::new().await;
    let all = document(&site, &site.user("anna").await).await;
    assert_eq!((&all["characters"], &all["memories"], &all["conversations"]), (&json!([]), &json!([]), &json!([])));
}

#[tokio::test]
async fn what_takes_many_pages_comes_whole_and_in_order() {
    let site = Site::new().await;
    let guest = site.user("anna").await;
    let messages: Vec<Value> = (0..100)
        .map(|at| {
            let role = if at % 2 == 0 { "user" } else { "assistant" };
            json!({"follows": at, "role": role, "text": format!("message {at} \"\u{2028}"), "created_at_ms": at, "status": "complete"})
        })
        .collect();
    let file = json!({"format": "starling-conversation", "version": 1, "title": "long", "created_at_ms": 1, "shown": 40, "messages": messages});
    for _ in 0..3 {
        assert_eq!(site.post("/api/conversations/import", &guest, file.clone()).await.status, StatusCode::CREATED);
    }
    let all = document(&site, &guest).await;
    let conversations = all["conversations"].as_array().unwrap();
    assert_eq!(conversations.len(), 3);
    for conversation in conversations {
        assert_eq!((&conversation["title"], &conversation["shown"]), (&json!("long"), &json!(40)));
        assert_eq!(conversation["messages"].as_array().unwrap().len(), 100);
        for (at, message) in conversation["messages"].as_array().unwrap().iter().enumerate() {
            assert_eq!((&message["follows"], &message["text"]), (&json!(at), &messages[at]["text"]));
        }
    }
}

#[tokio::test]
async fn no_more_than_some_are_written_at_once() {
    let site = Site::new().await;
    let guest = site.user("anna").await;
    let held: Vec<_> = std::iter::from_fn(|| site.app.exports.enter()).take(100).collect();
    assert_eq!(held.len(), 4);
    site.get("/api/account/export", &guest).await.is(429, "too_many_exports");
    drop(held);
    document(&site, &guest).await;
}
