//! One answer alone, and one beside a rush of sign-ins: passwords are slow on purpose, answers must not be.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::person::Gateway;
use crate::socket::{Answer, PROMPT, Socket};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Sign-ins at once.
    #[arg(long, default_value_t = 500)]
    logins: usize,
}

pub(crate) async fn run(options: &Options, gateway: &Gateway, script: &str) -> Result<Value> {
    let expected = starling_tests::expected_text(script, PROMPT, None);
    let person = gateway.sign_up("reader").await.context("nobody could sign up")?;
    let mut socket = Socket::open(gateway, &person).await?;
    let alone = socket.ask().await?;
    let began = Instant::now();
    let mut rush = JoinSet::new();
    for _ in 0..options.logins {
        let gateway = gateway.clone();
        rush.spawn(async move { gateway.sign_in("reader").await.map(drop) });
    }
    let beside = socket.ask().await?;
    let (mut still, mut refused) = (0, 0);
    let mut failures = vec![];
    let answered = began.elapsed();
    while let Some(login) = rush.join_next().await {
        still += usize::from(began.elapsed() > answered);
        match login?.err().map(|error| format!("{error:#}")) {
            // So many from one address are more than a gateway hears, whatever its other limits.
            Some(error) if error.starts_with("429") => refused += 1,
            error => failures.extend(error),
        }
    }
    let wrong = [&alone, &beside].into_iter().filter(|answer| answer.text != expected).count();
    Ok(json!({
        "logins": options.logins,
        "refused": refused,
        "failed": failures.len(),
        "failures": failures.iter().take(3).collect::<Vec<_>>(),
        "still_running_after_the_answer": still,
        "all_seconds": began.elapsed().as_secs_f64(),
        "alone_seconds": seconds(&alone),
        "beside_seconds": seconds(&beside),
        "wrong": wrong,
    }))
}

/// From the question to the last token.
fn seconds(answer: &Answer) -> f64 {
    answer.arrivals.last().map_or(0.0, |last| (*last - answer.asked).as_secs_f64())
}
