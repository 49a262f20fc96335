//! A gateway that dies or is stopped in mid-answer, and answers that go on later.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starling_gateway::store::progress::Progress;
use starling_tests::{Answer, Chat, TestNode, TestSwarm, expected_text, until_some};

/// Some four seconds for an answer.
const STEADY: &str = "seed=1,tokens_per_second=100,answer_tokens=400,slots=2";
/// Longer than a gateway is given to stop in.
const LONG: &str = "seed=1,tokens_per_second=100,answer_tokens=800,slots=2";
/// Like a real model that thinks before it answers.
const THINKER: &str =
    "seed=1,tokens_per_second=100,answer_tokens=300,slots=2,style=open,say=I think of birds.%0a</think>%0a%0aWell: ";

/// How long a question that needs no node may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// How much of an answer may be missing at a restart: a second of it, and a look.
const MAY_LACK: u64 = 130;

async fn killable(options: &str) -> (TestSwarm, TestNode) {
    let swarm = TestSwarm::start_killable().await;
    let node = swarm.add_node(options).await;
    (swarm, node)
}

async fn chat_again(swarm: &TestSwarm) -> Chat {
    Chat::connect_again(&format!("ws://{}/api/chat", swarm.gateway.http()), &swarm.access).await
}

async fn stored(swarm: &TestSwarm, conversation: &Value) -> Vec<Value> {
    let id = conversation.as_str().unwrap();
    swarm.get(&format!("/api/conversations/{id}")).await["messages"].as_array().unwrap().clone()
}

fn go_on(conversation: &Value, turn: &Value) -> Value {
    json!({"type": "go_on", "request": "g1", "conversation": conversation, "turn": turn})
}

/// Waits until the database has that of the one running answer.
async fn is_kept(swarm: &TestSwarm, as_it_should: impl Fn(&Progress) -> bool) {
    until_some("it is kept", async || {
        let unfinished = swarm.gateway.app().store.unfinished(1).await.unwrap();
        unfinished.iter().any(|one| as_it_should(&one.progress)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_the_death_of_its_gateway() {
    let (swarm, _node) = killable(STEADY).await;
    let (mut one, mut two) = (swarm.chat().await, swarm.chat().await);
    let (conversation, mut answer) = one.begin("go on", 900).await;
    let (other, mut silent) = two.begin("and this", 0).await;
    let before = answer.seq;
    let headless = swarm.kill_gateway().await;
    let killed = Instant::now();
    let swarm = headless.start().await;
    let mut chat = chat_again(&swarm).await;
    let ready = killed.elapsed();
    assert!(ready < Duration::from_secs(3), "ready again after {ready:?}");
    let listed = stored(&swarm, &conversation).await;
    assert_eq!(listed[0]["text"], "go on", "what was accepted is there");
    chat.join(&conversation, &answer).await;
    let accepted = chat.wait_for(&["accepted"]).await;
    assert_eq!(accepted["turn"], answer.turn, "the same turn runs");
    chat.read(&mut answer, 1).await;
    assert!(answer.seq + MAY_LACK * 4 >= before, "{} of {before} bytes were found again", answer.seq);
    let end = chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!((&end["type"], &end["message"]["status"]), (&json!("done"), &json!("complete")), "{end}");
    assert_eq!(answer.text, expected_text(STEADY, "go on", None));
    assert_eq!(end["message"]["text"], json!(answer.text));
    assert_eq!(end["message"]["answer"]["completion_tokens"], 400);
    assert_eq!(end["message"]["answer"]["nodes"], json!(["test node"]));

    chat.join(&other, &silent).await;
    let end = chat.read(&mut silent, usize::MAX).await.unwrap();
    assert_eq!(end["message"]["text"], json!(expected_text(STEADY, "and this", None)), "{end}");
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_may_die_again_and_again() {
    let (mut swarm, _node) = killable(STEADY).await;
    let mut chat = swarm.chat().await;
    let (conversation, mut answer) = chat.begin("go on", 200).await;
    for bytes in [600, 1_000, 1_400] {
        swarm = swarm.kill_gateway().await.start().await;
        chat = chat_again(&swarm).await;
        chat.join(&conversation, &answer).await;
        assert!(chat.read(&mut answer, bytes).await.is_none(), "it ended early");
    }
    let end = chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!(answer.text, expected_text(STEADY, "go on", None));
    assert_eq!(end["message"]["text"], json!(answer.text));
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_stay_thoughts_over_a_restart() {
    let (swarm, _node) = killable(THINKER).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "think").await;
    let accepted = chat.wait_for(&["accepted"]).await;
    chat.wait_for(&["thinking"]).await;
    let swarm = swarm.kill_gateway().await.start().await;
    let mut chat = chat_again(&swarm).await;
    let mut answer = Answer::default();
    chat.join(&accepted["conversation"]["id"], &answer).await;
    chat.read(&mut answer, usize::MAX).await.unwrap();
    let whole = expected_text(THINKER, "think", None);
    assert_eq!(answer.text, whole.split_once("</think>\n\n").unwrap().1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_stopped_lets_answers_end_and_keeps_the_rest() {
    let (swarm, _node) = killable(LONG).await;
    let mut chat = swarm.chat().await;
    let (conversation, mut answer) = chat.begin("go on", 300).await;
    let url = swarm.url("");
    // Each request on a connection of its own.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let key = swarm.key.clone();
    let meanwhile = async {
        let ready = http.get(format!("{url}/readyz")).timeout(LONGEST_ANSWER);
        until_some("it says that it stops", async || {
            // A connection from just before the drain may end without a word.
            let answer = ready.try_clone()?.send().await.ok()?;
            (answer.status() == 503).then_some(())
        })
        .await;
        for _ in 0..20 {
            let answer = ready.try_clone().unwrap().send().await.expect("who comes during the drain is answered");
            assert_eq!(answer.status(), 503);
        }
        let body = json!({"model": "scripted", "messages": [{"role": "user", "content": "late"}]});
        let late = http.post(format!("{url}/v1/chat/completions")).bearer_auth(&key).json(&body);
        let refused = late.send().await.unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        // An open page may still ask, and is told why not.
        chat.ask(None, "late").await;
        let mut refused = 0;
        // Until the gateway closes the socket, without an end.
        while let Some(frame) = chat.next().await {
            match frame["type"].as_str().unwrap() {
                "piece" => answer.take(&frame),
                "failed" => {
                    assert_eq!((&frame["request"], &frame["error"]["code"]), (&json!("r1"), &json!("stopping")));
                    refused += 1;
                }
                kind => assert_ne!(kind, "done"),
            }
        }
        assert_eq!(refused, 1);
    };
    let began = Instant::now();
    let (headless, _) = tokio::join!(swarm.stop_gateway_within(Duration::from_secs(3)), meanwhile);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(answer.text.len() < expected_text(LONG, "go on", None).len(), "it was not over");
    let swarm = headless.start().await;
    let mut chat = chat_again(&swarm).await;
    chat.join(&conversation, &answer).await;
    let stood = answer.seq;
    chat.wait_for(&["accepted"]).await;
    let end = chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!(end["type"], "done", "{end}");
    assert_eq!(answer.text, expected_text(LONG, "go on", None), "nothing behind {stood} is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_an_answer_waits_and_goes_on_later() {
    let (swarm, mut node) = killable(STEADY).await;
    let mut chat = swarm.chat().await;
    let (conversation, mut answer) = chat.begin("go on", 600).await;
    chat.send(&json!({"type": "stop", "turn": answer.turn})).await;
    let end = chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!((&end["message"]["status"], &end["message"]["resumable"]), (&json!("partial"), &json!(true)));
    node.kill();
    swarm.sees("the node go", |view| view.nodes.is_empty()).await;
    chat.send(&go_on(&conversation, &answer.turn)).await;
    let refused = chat.wait_for(&["failed"]).await;
    assert_eq!((&refused["error"]["code"], &refused["request"]), (&json!("model_not_here"), &json!("g1")));
    assert!(refused["error"]["message"].as_str().unwrap().contains("scripted"), "{refused}");
    assert_eq!(stored(&swarm, &conversation).await[1]["resumable"], json!(true), "nothing has changed");

    // Another node, and another process of the gateway.
    let swarm = swarm.kill_gateway().await.start().await;
    let _node = swarm.add_node(STEADY).await;
    let turn = answer.turn.as_str().unwrap();
    let accepted = swarm.post(&format!("/api/messages/{turn}/go-on"), &json!({})).await;
    assert_eq!(accepted["turn"], answer.turn, "{accepted}");
    let mut chat = chat_again(&swarm).await;
    chat.join(&conversation, &answer).await;
    let end = chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!(answer.text, expected_text(STEADY, "go on", None));
    let messages = stored(&swarm, &conversation).await;
    assert_eq!(messages.len(), 2, "the same answer went on in its place");
    assert_eq!(messages[1], end["message"]);
    assert_eq!((&messages[1]["status"], &messages[1]["error"]), (&json!("complete"), &Value::Null));
    chat.send(&go_on(&conversation, &answer.turn)).await;
    assert_eq!(chat.wait_for(&["failed"]).await["error"]["code"], "cannot_go_on", "it is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_goes_on_with_in_time_is_marked_and_goes_on_later() {
    let (swarm, mut node) = killable(STEADY).await;
    let mut chat = swarm.chat().await;
    let (conversation, mut answer) = chat.begin("go on", 600).await;
    node.kill();
    let swarm = swarm.kill_gateway().await.start().await;
    let mut chat = chat_again(&swarm).await;
    chat.join(&conversation, &answer).await;
    let waits = Instant::now();
    // In the meantime it runs, and shows what there is.
    chat.read(&mut answer, 300).await;
    chat.ask(conversation.as_str(), "and now?").await;
    assert_eq!(chat.wait_for(&["failed"]).await["error"]["code"], "no_node");
    let end = chat.wait_for_within(&["done", "failed"], Duration::from_secs(40)).await;
    assert!((25..35).contains(&waits.elapsed().as_secs()), "{:?}", waits.elapsed());
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("interrupted")), "{end}");
    assert_eq!((&end["message"]["status"], &end["message"]["resumable"]), (&json!("partial"), &json!(true)));
    assert_eq!(end["message"]["answer"]["node_name"], "test node", "who had given it is known");
    let _node = swarm.add_node(STEADY).await;
    chat.send(&go_on(&conversation, &answer.turn)).await;
    chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!(answer.text, expected_text(STEADY, "go on", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_two_nodes_names_both_also_over_a_restart() {
    let (swarm, mut first) = killable(STEADY).await;
    let mut chat = swarm.chat().await;
    let (conversation, mut answer) = chat.begin("go on", 200).await;
    let config = starling_node::Config { name: "another".to_owned(), ..swarm.node_config(&[STEADY]) };
    let _second = swarm.add(config).await;
    first.kill();
    let started = chat.wait_for(&["started"]).await;
    assert_eq!(started["nodes"], json!(["test node", "another"]));
    chat.wait_for(&["piece"]).await;
    is_kept(&swarm, |progress| progress.nodes.len() == 2).await;
    let swarm = swarm.kill_gateway().await.start().await;
    let mut chat = chat_again(&swarm).await;
    answer = Answer { turn: answer.turn, ..Answer::default() };
    chat.join(&conversation, &answer).await;
    let end = chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!(answer.text, expected_text(STEADY, "go on", None));
    assert_eq!(end["message"]["answer"]["nodes"], json!(["test node", "another"]));
    assert_eq!(stored(&swarm, &conversation).await[1], end["message"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_after_an_answer_closes_it() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[STEADY]).await;
    let mut chat = swarm.chat().await;
    let (conversation, mut answer) = chat.begin("go on", 100).await;
    chat.send(&json!({"type": "stop", "turn": answer.turn})).await;
    chat.read(&mut answer, usize::MAX).await.unwrap();
    chat.ask(conversation.as_str(), "something else").await;
    let next = chat.wait_for(&["accepted"]).await["turn"].clone();
    chat.send(&json!({"type": "stop", "turn": next})).await;
    chat.wait_for(&["done"]).await;
    chat.send(&go_on(&conversation, &answer.turn)).await;
    assert_eq!(chat.wait_for(&["failed"]).await["error"]["code"], "cannot_go_on");
}
