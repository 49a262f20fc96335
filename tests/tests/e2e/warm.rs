//! Idle nodes that compute an answer beforehand, in case it has to go on there.

use std::time::{Duration, Instant};

use starling_gateway::dispatch::View;
use starling_tests::{TestSwarm, expected_text, loopback};

use super::resume::{Reading, metric};

/// Bytes of one of its tokens, about.
const TOKEN: usize = 9;
/// Two seconds for the long prompt, and twelve for the whole answer.
const LONG: &str = "seed=1,tokens_per_second=100,prefill_tokens_per_second=1000,answer_tokens=1200,slots=2";

/// Some 2,000 tokens.
fn long_prompt() -> String {
    "word".repeat(2_000)
}

fn warmings(swarm: &TestSwarm, outcome: &str) -> u64 {
    metric(swarm, &format!("warmings_total{{outcome=\"{outcome}\"}}"))
}

/// The node that answers is killed at token 600: the longest pause that its reader sees, and how many times a node was
/// warmed for it and used.
async fn switch(warm_after: u32) -> (Duration, u64, u64) {
    let swarm = TestSwarm::start_with(|config| config.rules.warm_after = warm_after, vec![loopback()]).await;
    let mut first = swarm.add_node(LONG).await;
    let mut reading = Reading::of(&swarm, &long_prompt()).await;
    reading.read(TOKEN).await;
    let _other = swarm.add_node(LONG).await;
    let mut token = 600;
    reading.read(token * TOKEN).await;
    // A machine with much else to do may take its time for that.
    while warm_after > 0 && warmings(&swarm, "done") == 0 && token < 1_000 {
        token += 20;
        reading.read(token * TOKEN).await;
    }
    first.kill();
    let mut gap = Duration::ZERO;
    // What was on its way when it was killed is less than this.
    for token in token..token + 180 {
        let waits = Instant::now();
        reading.read(token * TOKEN).await;
        gap = gap.max(waits.elapsed());
    }
    assert_eq!(reading.read_all().await, expected_text(LONG, &long_prompt(), None));
    swarm.is_idle().await;
    (gap, warmings(&swarm, "done"), warmings(&swarm, "used"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_on_at_once_where_it_was_computed_beforehand() {
    let (gap, warmed, used) = switch(256).await;
    assert!(warmed >= 1 && used == 1, "{warmed} warmed, {used} used");
    assert!(gap < Duration::from_secs(2), "it went on after {gap:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_needs_the_node_does_not_wait_for_what_is_computed_in_case() {
    let quick = "seed=1,tokens_per_second=100,answer_tokens=700,slots=1";
    let swarm = TestSwarm::start_with(|config| config.rules.warm_after = 50, vec![loopback()]).await;
    let _quick = swarm.add_node(quick).await;
    let mut reading = Reading::of(&swarm, &long_prompt()).await;
    reading.read(10 * TOKEN).await;
    // It would take a minute and a half to be warm.
    let slow = swarm.add_node("seed=1,prefill_tokens_per_second=22,answer_tokens=700,slots=1").await;
    let warms = |view: &View| view.nodes.iter().any(|node| node.peer == slow.peer && node.slots_free == 0);
    swarm.sees("the other one warmed", warms).await;
    let mut chat = swarm.chat().await;
    let began = Instant::now();
    chat.ask(None, "a short question").await;
    let started = chat.wait_for(&["piece"]).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{started} came after {:?}", began.elapsed());
    assert_eq!(reading.read_all().await, expected_text(quick, &long_prompt(), None), "nothing is missing");
    assert_eq!(warmings(&swarm, "done"), 0);
}
