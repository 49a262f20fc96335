//! Conversations in lists and files.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Guest, Site, answer_of, conversation_of};

fn message(follows: usize, role: &str, text: &str) -> Value {
    json!({"follows": follows, "role": role, "text": text, "created_at_ms": 5, "status": "complete"})
}

fn file(messages: &[Value]) -> Value {
    json!({"format": "starling-conversation", "version": 1, "title": "kept", "created_at_ms": 5, "messages": messages})
}

async fn import(site: &Site, guest: &Guest, file: Value) -> super::Answer {
    site.post("/api/conversations/import", guest, file).await
}

#[tokio::test]
async fn a_conversation_goes_out_and_comes_back_with_all_its_branches() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let mut first = file(&[
        message(0, "system", "be kind"),
        message(1, "user", "a"),
        message(2, "assistant", "b"),
        message(1, "user", "a, edited"),
        message(4, "assistant", "c"),
    ]);
    first["shown"] = json!(3);
    let answer = json!({"node_name": "n", "node_peer": "p", "nodes": ["m", "n"], "device": "CPU", "model": "x",
        "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 2, "first_token_ms": 1.5,
        "tokens_per_second": null});
    first["messages"][2]["answer"] = answer;
    let made = import(&site, &anna, first.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let id = made.body["conversation"]["id"].as_str().unwrap().to_owned();
    let shown = site.get(&format!("/api/conversations/{id}"), &anna).await.body;
    let texts: Vec<_> = shown["messages"].as_array().unwrap().iter().map(|message| message["text"].clone()).collect();
    assert_eq!(texts, ["be kind", "a", "b"]);
    assert_eq!(shown["messages"][1]["versions"].as_array().unwrap().len(), 2);
    let out = site.get(&format!("/api/conversations/{id}/export?format=json"), &anna).await;
    assert_eq!(out.body, first, "what comes out is what went in");
    assert_eq!(out.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"conversation.json\"");
    let text = site.get(&format!("/api/conversations/{id}/export?format=markdown"), &anna).await.text;
    assert_eq!(text, "# kept\n\n## Instructions\n\nbe kind\n\n## You\n\na\n\n## x on n\n\nb\n");
    site.get(&format!("/api/conversations/{id}/export"), &ben).await.is(404, "no_such_conversation");
    site.get(&format!("/api/conversations/{id}/export?format=pdf"), &anna).await.is(400, "invalid_field");
}

#[tokio::test]
async fn what_cannot_be_taken_in_leaves_nothing_behind() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let hi = || message(0, "user", "hi");
    let mut shown = file(&[hi()]);
    shown["shown"] = json!(2);
    let mut nodes = message(0, "assistant", "x");
    nodes["answer"] = json!({"node_name": "n".repeat(257), "node_peer": "", "nodes": [], "device": "", "model": "",
        "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 2});
    let mut version = file(&[hi()]);
    version["version"] = json!(2);
    for (wrong, field) in [
        (version, "format"),
        (shown, "shown"),
        (file(&[hi(), message(2, "user", "itself")]), "messages[1].follows"),
        (file(&[hi(), message(1, "system", "late")]), "messages[1].role"),
        (file(&[message(0, "tool", "x")]), "messages[0].role"),
        (file(&[message(0, "user", &"x".repeat(800 << 10))]), "messages[0].text"),
        (file(&vec![hi(); 51]), "messages[50]"),
        (file(&vec![hi(); 2_001]), "messages"),
        (file(&[nodes]), "messages[0].answer"),
    ] {
        let refused = import(&site, &anna, wrong).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["error"]["field"]),
            (400, &json!(field)),
            "{}",
            refused.text
        );
    }
    import(&site, &anna, file(&[message(0, "user", &"x".repeat(9 << 20))])).await.is(413, "body_too_large");
    assert_eq!(site.get("/api/conversations", &anna).await.body["conversations"], json!([]));
}

#[tokio::test]
async fn pins_and_searches() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let id = conversation_of(&site, &anna).await;
    answer_of(&site, &anna).await;
    let at = format!("/api/conversations/{id}");
    let pinned = site.send(Method::PATCH, &at, &anna, Some(json!({"pinned": true}))).await;
    assert_eq!(pinned.body["conversation"]["pinned"], true);
    assert_eq!(pinned.body["conversation"]["title"], "mine");
    assert_eq!(site.get("/api/conversations", &anna).await.body["conversations"][0]["id"], json!(id));
    assert_eq!(site.send(Method::PATCH, &at, &ben, Some(json!({"pinned": false}))).await.status, 404);
    let found = |guest, query: &str| {
        let path = format!("/api/conversations?search={query}");
        let site = &site;
        async move { site.get(&path, guest).await.body["conversations"].as_array().unwrap().len() }
    };
    assert_eq!([found(&anna, "MIN").await, found(&anna, "q").await, found(&anna, "%25").await], [1, 1, 0]);
    assert_eq!(found(&ben, "min").await, 0);
    for wrong in
        ["search=", "search=x&before=019ac000-0000-7000-8000-000000000001", &format!("search={}", "x".repeat(201))]
    {
        assert_eq!(site.get(&format!("/api/conversations?{wrong}"), &anna).await.status, 400, "{wrong}");
    }
}
