//! How the gateway has done, and what it holds people to.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Site;
use crate::{clock::Timestamp, figures::Reading, store::users::Role};

#[tokio::test]
async fn an_administrator_sees_the_last_hour_and_the_last_day() {
    let site = Site::new().await;
    let admin = site.person("admin", Role::Admin).await;
    let (start, at) = (Instant::now(), Timestamp::now());
    let mut reading = Reading::default();
    for step in 0..=30_u32 {
        let after = Duration::from_secs(10) * step;
        site.app.figures.see(&reading, start + after, at.after(after));
        (reading.tokens, reading.running) = (reading.tokens + 70, 2);
    }
    let hour = site.get("/api/figures", &admin).await.body;
    assert_eq!((&hour["span"], &hour["step_seconds"]), (&json!("hour"), &json!(10)));
    let samples = hour["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 30);
    assert_eq!((&samples[0]["tokens_per_second"], &samples[0]["running"]), (&json!(7.0), &json!(2)));
    assert_eq!(samples[0]["first_token_p95_ms"], json!(null));
    let day = site.get("/api/figures?span=day", &admin).await.body;
    assert_eq!((&day["step_seconds"], day["samples"].as_array().unwrap().len()), (&json!(300), 1));
    let wrong = site.get("/api/figures?span=year", &admin).await;
    wrong.is(400, "invalid_field");
}

#[tokio::test]
async fn the_limits_are_those_that_the_gateway_was_started_with() {
    let site = Site::new().await;
    let admin = site.person("admin", Role::Admin).await;
    let body = site.get("/api/limits", &admin).await.body;
    assert_eq!(body["sign_up"], "invitation");
    let limits = body["limits"].as_array().unwrap();
    let user = limits.iter().find(|limit| limit["name"] == "user").unwrap();
    let expected =
        json!({"name": "user", "unit": "requests_per_minute", "most": 1_200, "burst": 300, "option": "limit-user"});
    assert_eq!(*user, expected);
}
