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

#[tokio::test]
async fn is_answered_as_its_parameters_say() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let begin = |with: Value| site.post("/api/conversations", &anna, with);
    let sampling = json!({"temperature": 0.5, "top_p": 0.25, "max_tokens": 99});
    let made = begin(json!({"system_prompt": " Be brief. ", "sampling": sampling})).await.body["conversation"].clone();
    assert_eq!(made["sampling"], sampling);
    let at = format!("/api/conversations/{}", made["id"].as_str().unwrap());
    let first = async || site.get(&at, &anna).await.body["messages"][0].clone();
    assert_eq!((first().await["role"].clone(), first().await["text"].clone()), (json!("system"), json!("Be brief.")));

    let change = |guest, what: Value| site.send(Method::PATCH, &at, guest, Some(what));
    let other = json!({"temperature": 1.5, "top_p": null, "max_tokens": null});
    let changed = change(&anna, json!({"system_prompt": "Be wordy.", "sampling": other})).await;
    assert_eq!((&changed.body["conversation"]["sampling"], &first().await["text"]), (&other, &json!("Be wordy.")));
    // What is not named stays.
    let renamed = change(&anna, json!({"title": "t"})).await;
    assert_eq!((&renamed.body["conversation"]["sampling"], &first().await["text"]), (&other, &json!("Be wordy.")));

    assert_eq!(change(&ben, json!({"sampling": sampling})).await.status, 404);
    assert_eq!(change(&ben, json!({"system_prompt": "Be mine."})).await.status, 404);
    assert_eq!(first().await["text"], "Be wordy.");
    for (field, wrong) in [
        ("sampling.temperature", json!({"sampling": {"temperature": 2.1}})),
        ("sampling.temperature", json!({"sampling": {"temperature": -0.1}})),
        ("sampling.top_p", json!({"sampling": {"top_p": 0.0}})),
        ("sampling.max_tokens", json!({"sampling": {"max_tokens": 0}})),
        ("system_prompt", json!({"system_prompt": "x".repeat((16 << 10) + 1)})),
    ] {
        for refused in [begin(wrong.clone()).await, change(&anna, wrong.clone()).await] {
            assert_eq!((refused.status, &refused.body["error"]["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
        }
    }
}

#[tokio::test]
async fn what_the_model_is_told_first_may_come_later() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    // Two beginnings, the second one shown.
    let (first, second) = (
        [message(0, "user", "q"), message(1, "assistant", "a")],
        [message(0, "user", "Q"), message(3, "assistant", "A")],
    );
    let all = file(&[first, second].concat());
    let made = import(&site, &anna, all).await.body["conversation"]["id"].as_str().unwrap().to_owned();
    let at = format!("/api/conversations/{made}");
    let texts = |messages: &Value| -> Vec<String> {
        messages.as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect()
    };
    let tell = |guest, text: &str| site.send(Method::PATCH, &at, guest, Some(json!({"system_prompt": text})));
    assert_eq!(tell(&anna, "").await.status, 200);
    tell(&ben, "Be mine.").await.is(404, "no_such_conversation");
    assert_eq!(texts(&site.get(&at, &anna).await.body["messages"]), ["Q", "A"], "nothing is told");

    assert_eq!(tell(&anna, "Be late.").await.status, 200);
    let shown = site.get(&at, &anna).await.body["messages"].clone();
    assert_eq!(texts(&shown), ["Be late.", "Q", "A"]);
    assert_eq!((&shown[0]["role"], &shown[1]["parent"]), (&json!("system"), &shown[0]["id"]));
    assert_eq!(shown[1]["versions"].as_array().unwrap().len(), 2, "both beginnings follow it");
    assert_eq!(tell(&anna, "Be later.").await.status, 200);

    // It goes along, into another conversation and into the document of all that is Anna's.
    let whole = site.get(&format!("{at}/export"), &anna).await.body;
    assert_eq!(texts(&whole["messages"]), ["Be later.", "q", "a", "Q", "A"]);
    let follows: Vec<_> =
        whole["messages"].as_array().unwrap().iter().map(|one| one["follows"].as_u64().unwrap()).collect();
    assert_eq!(follows, [0, 1, 2, 1, 4]);
    assert_eq!(import(&site, &anna, whole.clone()).await.status, StatusCode::CREATED);
    let document = site.get("/api/account/export", &anna).await.body;
    for one in document["conversations"].as_array().unwrap() {
        assert_eq!(one["messages"], whole["messages"]);
    }
}
