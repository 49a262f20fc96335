//! Users who come one after another, sign in, look at their conversations, ask, read, and think for a moment.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::person::{Gateway, Person};
use crate::socket::{PROMPT, Socket};
use crate::tally::Tally;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Users in the end.
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Users that come in each second.
    #[arg(long, default_value_t = 10.0)]
    spawn_rate: f64,
    /// Seconds from the first user on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds that a user thinks between two things, at most; at least half of it.
    #[arg(long, default_value_t = 2.0)]
    think: f64,
}

/// What all users share.
struct Ground {
    gateway: Gateway,
    expected: String,
    tally: Tally,
    think: f64,
    until: Instant,
}

pub(crate) async fn run(options: &Options, gateway: &Gateway, script: &str) -> Result<Value> {
    ensure!(options.spawn_rate > 0.0, "--spawn-rate must be above 0");
    let began = Instant::now();
    let ground = Arc::new(Ground {
        gateway: gateway.clone(),
        expected: starling_tests::expected_text(script, PROMPT, None),
        tally: Tally::default(),
        think: options.think,
        until: began + Duration::from_secs(options.seconds),
    });
    let mut users = JoinSet::new();
    for number in 0..options.users {
        let comes = began + Duration::from_secs_f64(number as f64 / options.spawn_rate);
        users.spawn(visit(Arc::clone(&ground), number, comes));
    }
    while let Some(user) = users.join_next().await {
        user?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let tally = Arc::into_inner(ground).map(|ground| ground.tally.report()).unwrap_or_default();
    Ok(json!({"seconds": seconds, "users": options.users, "requests": tally}))
}

async fn visit(ground: Arc<Ground>, number: usize, comes: Instant) {
    sleep_until(comes).await;
    let (gateway, tally) = (&ground.gateway, &ground.tally);
    let name = format!("visitor-{number}");
    if tally.time("sign up", gateway.sign_up(&name)).await.is_none() {
        return;
    }
    while Instant::now() < ground.until {
        let Some(person) = tally.time("sign in", gateway.sign_in(&name)).await else { return };
        tally.time("models", gateway.get(&person, "/api/models")).await;
        tally.time("conversations", gateway.get(&person, "/api/conversations")).await;
        talk(&ground, &person, number).await;
    }
}

/// Three questions over one socket.
async fn talk(ground: &Ground, person: &Person, number: usize) {
    let Some(mut socket) = ground.tally.time("open the chat", Socket::open(&ground.gateway, person)).await else {
        return;
    };
    for round in 0..3 {
        if Instant::now() >= ground.until {
            return;
        }
        let ask = async {
            let answer = socket.ask().await?;
            ensure!(answer.text == ground.expected, "another answer than the script's");
            Ok(())
        };
        if ground.tally.time("ask and read", ask).await.is_none() {
            return;
        }
        // Not all at once, and without chance, so that two runs are alike.
        let share = 0.5 + ((number * 7 + round * 3) % 10) as f64 / 20.0;
        sleep(Duration::from_secs_f64(ground.think * share)).await;
    }
}
