//! What one window does shows in a person's others, and in nobody else's.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    Guest, Site,
    socket::{Page, serve},
};

/// The next frames of these windows, which have to be the same.
async fn both_hear(windows: &mut [Page; 2]) -> Value {
    let [one, two] = windows;
    let heard = one.hear().await.unwrap();
    assert_eq!(two.hear().await.unwrap(), heard);
    heard
}

async fn change(site: &Site, guest: &Guest, method: Method, path: &str, body: Value) {
    let answer = site.send(method, path, guest, Some(body)).await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

#[tokio::test]
async fn windows_of_one_person_stay_in_step() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let address = serve(&site).await;
    let mut windows = [Page::open(address, &anna).await.unwrap(), Page::open(address, &anna).await.unwrap()];
    let mut bens = Page::open(address, &ben).await.unwrap();
    for page in windows.iter_mut().chain([&mut bens]) {
        assert_eq!(page.hear().await.unwrap()["type"], "hello");
    }
    let made = site.post("/api/conversations", &anna, json!({"title": "one"})).await.body["conversation"].clone();
    assert_eq!(both_hear(&mut windows).await, json!({"type": "changed", "conversation": made}));
    let path = format!("/api/conversations/{}", made["id"].as_str().unwrap());
    change(&site, &anna, Method::PATCH, &path, json!({"title": "two", "pinned": true})).await;
    let changed = both_hear(&mut windows).await;
    assert_eq!((&changed["conversation"]["title"], &changed["conversation"]["pinned"]), (&json!("two"), &json!(true)));
    let file = site.get(&format!("{path}/export?format=json"), &anna).await;
    change(&site, &anna, Method::POST, "/api/conversations/import", file.body).await;
    assert_eq!(both_hear(&mut windows).await["type"], "changed");
    change(&site, &anna, Method::DELETE, &path, json!({})).await;
    assert_eq!(both_hear(&mut windows).await, json!({"type": "deleted", "conversation": made["id"]}));

    let answer = super::answer_of(&site, &anna).await;
    change(&site, &anna, Method::POST, &format!("/api/messages/{answer}/show"), json!({})).await;
    assert_eq!(both_hear(&mut windows).await["type"], "reread");
    // What others hear first is what they say themselves.
    let bens_own = site.post("/api/conversations", &ben, json!({})).await.body["conversation"].clone();
    assert_eq!(bens.hear().await.unwrap(), json!({"type": "changed", "conversation": bens_own}));
}

#[tokio::test]
async fn an_account_that_is_closed_has_no_windows_any_more() {
    let site = Site::new().await;
    let admin = site.person("admin", crate::store::users::Role::Admin).await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let address = serve(&site).await;
    let mut pages = vec![];
    for guest in [&anna, &anna, &ben, &admin] {
        let mut page = Page::open(address, guest).await.unwrap();
        assert_eq!(page.hear().await.unwrap()["type"], "hello");
        pages.push(page);
    }
    let me = site.get("/api/me", &ben).await.body["user"]["id"].as_str().unwrap().to_owned();
    change(&site, &anna, Method::DELETE, "/api/account", json!({"password": "a good password"})).await;
    change(&site, &admin, Method::PATCH, &format!("/api/users/{me}"), json!({"disabled": true})).await;
    for page in &mut pages[..3] {
        assert_eq!(page.hear().await, Err(4401));
    }
    change(&site, &admin, Method::POST, "/api/conversations", json!({"title": "t"})).await;
    assert_eq!(pages[3].hear().await.unwrap()["type"], "changed", "others stay");
    for guest in [&anna, &ben] {
        site.get("/api/me", guest).await.is(401, "not_signed_in");
    }
}
