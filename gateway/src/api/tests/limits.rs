//! Rate limits: who is counted as whom, and what is told.

use std::net::IpAddr;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::json;

use super::{Answer, Guest, Site};
use crate::{
    accounts::AccountOptions,
    api::auth::ClientAddress,
    limits::{Rule, Rules},
    secret,
};

fn rule(burst: u32) -> Rule {
    Rule { per_minute: 1, burst }
}

async fn site(rules: Rules) -> Site {
    Site::with(None, AccountOptions::limited(rules)).await
}

/// A request from an address, with what stands in `X-Forwarded-For`.
async fn from(site: &Site, peer: IpAddr, forwarded: &str) -> Answer {
    let request = Request::get("/api/setup").extension(ClientAddress(peer)).header("x-forwarded-for", forwarded);
    site.raw(request.body(Body::empty()).unwrap()).await
}

fn random_address() -> String {
    IpAddr::from(secret::random::<4>()).to_string()
}

#[tokio::test]
async fn an_address_is_not_changed_by_what_it_says_of_itself() {
    let site = site(Rules { address: rule(10), ..Rules::NONE }).await;
    let stranger = IpAddr::from([203, 0, 113, 7]);
    let mut refused = 0;
    for _ in 0..1_000 {
        let answer = from(&site, stranger, &random_address()).await;
        if answer.status == 429 {
            assert_eq!(answer.code(), "rate_limit_exceeded");
            assert!(answer.headers.contains_key(header::RETRY_AFTER));
            assert!(answer.headers["ratelimit"].to_str().unwrap().starts_with("\"address\";r=0;t="));
            refused += 1;
        }
    }
    assert_eq!(refused, 990);
    assert_eq!(from(&site, IpAddr::from([203, 0, 113, 8]), "203.0.113.7").await.status, 200, "others are not held up");
}

#[tokio::test]
async fn a_trusted_proxy_says_who_it_is_and_its_clients_cannot() {
    let rules = Rules { address: rule(10), ..Rules::NONE };
    let accounts =
        AccountOptions { trusted_proxy: vec!["10.0.0.0/8".parse().unwrap()], ..AccountOptions::limited(rules) };
    let site = Site::with(None, accounts).await;
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let mut refused = 0;
    for _ in 0..1_000 {
        let answer = from(&site, proxy, &format!("{}, 203.0.113.7", random_address())).await;
        refused += u32::from(answer.status == 429);
    }
    assert_eq!(refused, 990);
    assert_eq!(from(&site, proxy, "203.0.113.8").await.status, 200, "another client of the same proxy");
}

#[tokio::test]
async fn a_person_is_counted_on_all_ways_and_a_key_alone() {
    let site = site(Rules { user: rule(6), key: rule(2), ..Rules::NONE }).await;
    let anna = site.user("anna").await;
    let key = site.post("/api/keys", &anna, json!({"label": "k"})).await.body["secret"].as_str().unwrap().to_owned();
    let key = Guest::bearer(&key);
    for left in ["1", "0"] {
        let answer = site.get("/v1/models", &key).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["x-ratelimit-remaining-requests"]),
            (200, &left.parse().unwrap())
        );
    }
    let refused = site.get("/v1/models", &key).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!(refused.body["error"]["type"], "rate_limit_error");
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(refused.headers["ratelimit-policy"], "\"user\";q=1;w=60, \"key\";q=1;w=60");
    for _ in 0..2 {
        assert_eq!(site.get("/api/me", &anna).await.status, 200);
    }
    site.get("/api/me", &anna).await.is(429, "rate_limit_exceeded");
    assert_eq!(site.get("/api/me", &site.user("ben").await).await.status, 200, "others are not held up");
}

#[tokio::test]
async fn signing_in_has_a_limit_of_its_own() {
    let site = site(Rules { sign_in: rule(3), ..Rules::NONE }).await;
    site.user("anna").await;
    for _ in 0..2 {
        site.sign_in("anna").await;
    }
    let before = site.app.passwords.hashes();
    let body = json!({"username": "anna", "password": "a good password"});
    site.post("/api/session", &Guest::default(), body).await.is(429, "rate_limit_exceeded");
    assert_eq!(site.app.passwords.hashes(), before, "no hash was made for it");
    assert_eq!(site.send(Method::GET, "/api/setup", &Guest::default(), None).await.status, 200);
}
