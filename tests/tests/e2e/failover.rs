//! Nodes that fail, fill up, leave, or are not there.

use std::time::Duration;

use futures::{StreamExt, future::join_all};
use serde_json::{Value, json};
use starling_gateway::dispatch::View;
use starling_tests::{TestSwarm, expected_text};

const GOOD: &str = "answer_tokens=30,tokens_per_second=0,slots=2";

fn prompt(text: &str) -> Value {
    json!({"model": "scripted", "messages": [{"role": "user", "content": text}]})
}

/// A node that fails at its first token, and a good one: the reader never learns of it.
async fn fails_over_from(fault: &str) {
    let bad = format!("answer_tokens=30,slots=64,fault={fault}@0");
    let (swarm, nodes) = TestSwarm::with_nodes(&[&bad, GOOD]).await;
    for i in 0..4 {
        let text = format!("question {i}");
        let response = swarm.complete(&prompt(&text)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-starling-peer"].to_str().unwrap(), nodes[1].peer.to_string());
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], json!(expected_text(GOOD, &text, None)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_dies_before_the_first_token_is_not_noticed() {
    fails_over_from("die").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_out_of_memory_before_the_first_token_is_not_noticed() {
    fails_over_from("oom").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_gives_garbage_before_the_first_token_is_not_noticed() {
    fails_over_from("garbage").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ends_engines_is_stopped_after_two() {
    let deadly = "answer_tokens=30,slots=2,fault=die@0";
    let (swarm, _nodes) = TestSwarm::with_nodes(&[deadly; 4]).await;
    let response = swarm.complete(&prompt("a deadly question")).await;
    assert_eq!(response.status(), 422);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "request_crashed_engines", "{body}");
    let serve = |view: &View| view.nodes.iter().filter(|node| !node.models.is_empty()).count();
    swarm.sees("two engines gone, and two untouched", |view| serve(view) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_lost_in_mid_answer_is_an_error_and_never_a_clean_end() {
    let (swarm, mut nodes) = TestSwarm::with_nodes(&["tokens_per_second=20,answer_tokens=400"]).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "a long story").await;
    let piece = chat.wait_for(&["piece"]).await;
    nodes[0].kill();
    let (rest, end) = chat.read_answer().await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("node_lost")), "{end}");
    let said = format!("{}{rest}", piece["text"].as_str().unwrap());
    assert_eq!(end["message"]["text"], json!(said), "the partial text is kept");
    swarm.sees("the node go", |view| view.nodes.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_does_not_end_with_done() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&["tokens_per_second=0,answer_tokens=30,fault=garbage@10"]).await;
    let body = json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let text = swarm.complete(&body).await.text().await.unwrap();
    assert!(text.contains("\"error\""), "{text}");
    assert!(!text.contains("[DONE]") && !text.contains("\"finish_reason\":\"stop\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_makes_the_next_ones_wait_their_turn() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&["answer_tokens=20,tokens_per_second=100,slots=1"]).await;
    let texts: Vec<String> = (0..6).map(|i| format!("question {i}")).collect();
    let answers =
        join_all(texts.iter().map(|text| async { swarm.complete(&prompt(text)).await.json::<Value>().await })).await;
    for (text, answer) in texts.iter().zip(answers) {
        let expected = expected_text("answer_tokens=20", text, None);
        assert_eq!(answer.unwrap()["choices"][0]["message"]["content"], json!(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_the_reader_is_told_so_at_once() {
    let swarm = TestSwarm::start().await;
    let response = swarm.complete(&prompt("hello")).await;
    assert!(response.status() == 503 || response.status() == 404, "{}", response.status());
    let mut chat = swarm.chat().await;
    assert_eq!(chat.wait_for(&["hello"]).await["swarm"]["nodes"], 0);
    chat.ask(None, "hello").await;
    assert_eq!(chat.wait_for(&["failed"]).await["error"]["code"], "no_node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_finishes_its_answers_and_takes_no_more() {
    let options = "tokens_per_second=40,answer_tokens=60,slots=2";
    let (swarm, mut nodes) = TestSwarm::with_nodes(&[options]).await;
    let body = json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let mut chunks = swarm.complete(&body).await.bytes_stream();
    chunks.next().await.unwrap().unwrap();
    let stop = nodes[0].stop(Duration::from_secs(20));
    let read = async {
        swarm.sees("that the node stops", |view| view.models.is_empty()).await;
        let refused = swarm.complete(&prompt("y")).await.status();
        assert!(refused == 503 || refused == 404, "{refused}");
        let mut text = String::new();
        while let Some(chunk) = chunks.next().await {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    };
    tokio::join!(stop, read);
    swarm.sees("the node go", |view| view.nodes.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_later_is_found() {
    let swarm = TestSwarm::start().await;
    let _node = swarm.add_node(GOOD).await;
    assert_eq!(swarm.complete(&prompt("hello")).await.status(), 200);
}

/// What the gateway knows of a model makes it think that the prompts are shorter than they are, so that the nodes have
/// to say it.
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_is_too_long_for_one_node_goes_to_the_one_that_holds_it() {
    let node = |context: u32, speed: u32| {
        format!("seed=1,answer_tokens=30,slots=1,context_tokens={context},tokens_per_second={speed}")
    };
    let (swarm, nodes) = TestSwarm::with_nodes(&[&node(200, 0), &node(300, 400), &node(500, 100)]).await;
    // One on each, so that the one with the shortest context is known to be the fastest.
    let short = prompt("a short one");
    for answer in join_all([(); 3].map(|()| swarm.complete(&short))).await {
        assert_eq!(answer.status(), 200);
    }
    let long = |tokens: usize| {
        json!({"max_tokens": 5, "model": "scripted",
        "messages": [{"role": "user", "content": "word".repeat(tokens)}]})
    };
    for (tokens, fits) in [(250, 1), (400, 2)] {
        let response = swarm.complete(&long(tokens)).await;
        assert_eq!(response.status(), 200, "{tokens}");
        let peer = response.headers()["x-starling-peer"].to_str().unwrap().to_owned();
        assert!(nodes[fits..].iter().any(|node| node.peer.to_string() == peer), "{tokens} tokens");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["usage"]["completion_tokens"], 5, "{body}");
    }
    let response = swarm.complete(&long(600)).await;
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.unwrap();
    let said = body["error"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("601") && said.contains("499"), "the longest one is named: {body}");
}
