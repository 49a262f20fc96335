//! Sessions: refreshed, listed, ended.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Answer, Guest, Site};
use crate::{clock::Timestamp, store::users::Role};

async fn refresh(site: &Site, cookie: &str) -> Answer {
    let guest = Guest { cookie: Some(cookie.to_owned()), ..Guest::default() };
    site.post("/api/session/refresh", &guest, json!({})).await
}

async fn delete(site: &Site, path: &str, guest: &Guest) -> StatusCode {
    site.send(Method::DELETE, path, guest, Some(json!({}))).await.status
}

async fn list(site: &Site, guest: &Guest) -> Vec<Value> {
    site.get("/api/sessions", guest).await.body["sessions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_cookie_gives_access_again_and_is_replaced() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let first = anna.cookie.clone().unwrap();
    let answer = refresh(&site, &first).await;
    assert_eq!((answer.status, &answer.body["expires_in"]), (StatusCode::OK, &json!(600)));
    assert_ne!(answer.cookie(), first);
    assert_eq!(site.get("/api/me", &answer.guest()).await.body["user"]["username"], "anna");
    assert_eq!(refresh(&site, &answer.cookie()).await.status, 200);
    // A second tab with the first cookie, a moment later.
    assert_eq!(refresh(&site, &first).await.status, 200);
    for wrong in ["starling=", "starling=x", "starling_session=x"] {
        refresh(&site, wrong).await.is(401, "not_signed_in");
    }
    let token = answer.body["access_token"].as_str().unwrap();
    refresh(&site, &format!("starling={token}")).await.is(401, "not_signed_in");
}

#[tokio::test]
async fn another_site_can_do_nothing_with_the_cookie() {
    let site = Site::new().await;
    let anna = Guest { bearer: None, ..site.user("anna").await };
    let evil = anna.with("origin", "http://evil");
    site.post("/api/session/refresh", &evil, json!({})).await.is(403, "cross_origin");
    site.send(Method::DELETE, "/api/session", &evil, Some(json!({}))).await.is(403, "cross_origin");
    site.send(Method::POST, "/api/session/refresh", &anna, None).await.is(415, "not_json");
    assert_eq!(refresh(&site, anna.cookie.as_deref().unwrap()).await.status, 200, "nothing has happened to it");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all() {
    let site = Site::new().await;
    let (anna, ben) = (site.user("anna").await, site.user("ben").await);
    let agent = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
    let body = json!({"username": "anna", "password": "a good password"});
    let elsewhere = site.post("/api/session", &Guest::default().with(agent.0, agent.1), body).await.guest();
    let sessions = list(&site, &anna).await;
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|session| session["current"] == false).unwrap();
    assert_eq!((&other["agent"], &other["network"]), (&json!("Firefox on Linux"), &json!("127.0.0.0/24")));
    let path = format!("/api/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(delete(&site, &path, &ben).await, 404);
    assert_eq!(delete(&site, &path, &anna).await, 204);
    site.get("/api/me", &elsewhere).await.is(401, "not_signed_in");
    refresh(&site, elsewhere.cookie.as_deref().unwrap()).await.is(401, "not_signed_in");
    let third = site.sign_in("anna").await;
    assert_eq!(delete(&site, "/api/sessions", &anna).await, 204);
    for guest in [&anna, &third] {
        site.get("/api/me", guest).await.is(401, "not_signed_in");
    }
    assert_eq!(list(&site, &ben).await.len(), 1);
}

#[tokio::test]
async fn one_signs_out_with_a_token_that_has_run_out_too() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let old = Guest { bearer: Some("run out".to_owned()), ..anna.clone() };
    let answer = site.send(Method::DELETE, "/api/session", &old, Some(json!({}))).await;
    assert_eq!(answer.status, 204);
    assert!(answer.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    site.get("/api/me", &anna).await.is(401, "not_signed_in");
}

#[tokio::test]
async fn what_a_token_says_of_a_role_is_not_what_counts() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let claims = site.app.access.check(anna.bearer.as_deref().unwrap(), Timestamp::now()).unwrap();
    let user = site.app.sessions.user(claims.sid).await.unwrap().unwrap();
    let lifted = crate::store::users::User { role: Role::Admin, ..user };
    let token = site.app.access.issue(&lifted, claims.sid, Timestamp::now()).text;
    site.get("/api/invites", &Guest::bearer(&token)).await.is(403, "admin_only");
}
