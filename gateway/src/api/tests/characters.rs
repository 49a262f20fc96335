//! Characters: whose they are, what is taken, and conversations with them.

use axum::http::{Method, StatusCode, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Answer, Guest, Site};

/// A private character of a user.
pub(super) async fn character_of(site: &Site, guest: &Guest) -> String {
    make(site, guest, json!({"name": "mine"})).await
}

async fn make(site: &Site, guest: &Guest, body: Value) -> String {
    let answer = site.post("/api/characters", guest, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.body["character"]["id"].as_str().unwrap().to_owned()
}

async fn names(site: &Site, guest: &Guest) -> Vec<String> {
    let list = site.get("/api/characters", guest).await.body;
    list["characters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

async fn picture(site: &Site, guest: &Guest, id: &str, bytes: &[u8]) -> Answer {
    let body = json!({"base64": BASE64_STANDARD.encode(bytes)});
    site.send(Method::PUT, &format!("/api/characters/{id}/picture"), guest, Some(body)).await
}

#[tokio::test]
async fn anothers_character_is_there_only_when_it_is_shared() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let body = |shared: bool| json!({"name": "Poe", "system_prompt": "rhyme", "greeting": "Hark!", "shared": shared});
    let id = make(&site, &anna, body(false)).await;
    let at = format!("/api/characters/{id}");
    assert!(names(&site, &ben).await.is_empty());
    site.post("/api/conversations", &ben, json!({"character": id})).await.is(404, "no_such_character");
    assert_eq!(picture(&site, &anna, &id, b"\x89PNG\r\n\x1a\n...").await.status, 204);
    site.get(&format!("{at}/picture"), &ben).await.is(404, "no_such_character");

    site.send(Method::PUT, &at, &anna, Some(body(true))).await;
    assert_eq!(names(&site, &ben).await, ["Poe"]);
    let shown = site.get("/api/characters", &ben).await.body["characters"][0].clone();
    assert_eq!((&shown["mine"], &shown["has_picture"]), (&json!(false), &json!(true)));
    let seen = site.get(&format!("{at}/picture"), &ben).await;
    assert_eq!(seen.headers[header::CONTENT_TYPE], "image/png");
    assert_eq!(seen.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    // Read, and no more than that.
    site.send(Method::PUT, &at, &ben, Some(body(true))).await.is(404, "no_such_character");
    site.send(Method::DELETE, &at, &ben, Some(json!({}))).await.is(404, "no_such_character");
    picture(&site, &ben, &id, b"\xff\xd8\xff").await.is(404, "no_such_character");
}

#[tokio::test]
async fn a_conversation_begins_with_what_its_character_says_and_keeps_it() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let body = json!({"name": "Poe", "system_prompt": "rhyme", "greeting": "Hark!", "shared": true,
        "sampling": {"temperature": 1.5, "top_p": null, "max_tokens": 64}});
    let id = make(&site, &anna, body).await;
    let made = site.post("/api/conversations", &ben, json!({"character": id})).await.body["conversation"].clone();
    assert_eq!((&made["title"], &made["character"]), (&json!("Poe"), &json!(id)));
    site.send(Method::PUT, &format!("/api/characters/{id}"), &anna, Some(json!({"name": "Changed"}))).await;
    site.send(Method::DELETE, &format!("/api/characters/{id}"), &anna, Some(json!({}))).await;
    let detail = site.get(&format!("/api/conversations/{}", made["id"].as_str().unwrap()), &ben).await.body;
    assert_eq!(detail["conversation"]["character"], json!(null));
    let said: Vec<_> = detail["messages"].as_array().unwrap().iter().map(|one| (&one["role"], &one["text"])).collect();
    assert_eq!(said, [(&json!("system"), &json!("rhyme")), (&json!("assistant"), &json!("Hark!"))]);
    let (user, _) = site.app.store.credentials("ben").await.unwrap().unwrap();
    let kept =
        site.app.store.conversation(user.id, made["id"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((kept.sampling.temperature, kept.sampling.max_tokens), (Some(1.5), Some(64)));
}

#[tokio::test]
async fn nothing_is_taken_beyond_its_bounds() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let id = character_of(&site, &anna).await;
    for (body, field) in [
        (json!({"name": " "}), "name"),
        (json!({"name": "n".repeat(65)}), "name"),
        (json!({"name": "a\nb"}), "name"),
        (json!({"name": "n", "system_prompt": "x".repeat((16 << 10) + 1)}), "system_prompt"),
        (json!({"name": "n", "greeting": "x".repeat((4 << 10) + 1)}), "greeting"),
        (json!({"name": "n", "sampling": {"temperature": 2.1}}), "sampling.temperature"),
        (json!({"name": "n", "sampling": {"top_p": 0}}), "sampling.top_p"),
        (json!({"name": "n", "sampling": {"max_tokens": 0}}), "sampling.max_tokens"),
        (json!({"name": "n", "sampling": {"max_tokens": 1_000_000}}), "sampling.max_tokens"),
    ] {
        for (method, path) in
            [(Method::POST, "/api/characters".to_owned()), (Method::PUT, format!("/api/characters/{id}"))]
        {
            let refused = site.send(method, &path, &anna, Some(body.clone())).await;
            assert_eq!((refused.status.as_u16(), &refused.body["error"]["field"]), (400, &json!(field)), "{body}");
        }
    }
    for bytes in [&b"<svg onload=alert(1)>"[..], b"GIF89a", b"", b"RIFF....WAVE", &vec![0xff; (256 << 10) + 1]] {
        picture(&site, &anna, &id, bytes).await.is(400, "invalid_field");
    }
    let mut most = b"RIFF....WEBP".to_vec();
    most.resize(256 << 10, 0);
    assert_eq!(picture(&site, &anna, &id, &most).await.status, 204);
    for _ in 1..100 {
        character_of(&site, &anna).await;
    }
    site.post("/api/characters", &anna, json!({"name": "one more"})).await.is(409, "too_many_characters");
}
