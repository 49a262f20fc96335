//! A prompt goes round.

use std::time::Duration;

use futures::{StreamExt, future::join_all};
use serde_json::{Value, json};
use starling_tests::{TestSwarm, expected_text};

const FAST: &str = "seed=1,tokens_per_second=0,answer_tokens=40,slots=4";
const SLOW: &str = "seed=1,tokens_per_second=20,answer_tokens=400,slots=2";

fn prompt(text: &str) -> Value {
    json!({"model": "scripted", "messages": [{"role": "user", "content": text}]})
}

fn streamed(text: &str) -> Value {
    json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": text}]})
}

#[track_caller]
fn content(body: &Value) -> &str {
    body["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("an answer without content: {body}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_found_through_kademlia_answers() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[FAST]).await;
    let response = swarm.complete(&prompt("hello")).await;
    assert_eq!(response.headers()["x-starling-peer"].to_str().unwrap(), nodes[0].peer.to_string());
    assert_eq!(response.headers()["x-starling-device"].to_str().unwrap(), "CPU");
    let body: Value = response.json().await.unwrap();
    assert_eq!(content(&body), expected_text(FAST, "hello", None));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["completion_tokens"], 40);
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_stream_as_they_are_made() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&["tokens_per_second=40,answer_tokens=20,slots=1"]).await;
    let response = swarm.complete(&streamed("hello")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut chunks = response.bytes_stream();
    let (mut text, mut arrivals) = (String::new(), vec![]);
    while let Some(chunk) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        arrivals.push(std::time::Instant::now());
    }
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    let answer: String = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(answer, expected_text("answer_tokens=20", "hello", None));
    let spread = *arrivals.last().unwrap() - arrivals[0];
    assert!(spread > Duration::from_millis(250), "20 tokens at 40/s came within {spread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_do_not_mix() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[FAST, FAST]).await;
    let prompts: Vec<String> = (0..32).map(|i| format!("question {i}")).collect();
    let answers =
        join_all(prompts.iter().map(|text| async { swarm.complete(&prompt(text)).await.json::<Value>().await })).await;
    for (text, answer) in prompts.iter().zip(answers) {
        assert_eq!(content(&answer.unwrap()), expected_text(FAST, text, None));
    }
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_streams_and_keeps_the_conversation() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[FAST]).await;
    let mut chat = swarm.chat().await;
    assert_eq!(chat.wait_for(&["hello"]).await["swarm"]["nodes"], 1);
    chat.ask(None, "hello").await;
    let accepted = chat.wait_for(&["accepted"]).await;
    let (text, end) = chat.read_answer().await;
    assert_eq!(text, expected_text(FAST, "hello", None));
    assert_eq!((&end["type"], &end["message"]["status"]), (&json!("done"), &json!("complete")));
    assert_eq!(end["message"]["answer"]["node_name"], "test node");

    let id = accepted["conversation"]["id"].as_str().unwrap();
    let kept = swarm.get(&format!("/api/conversations/{id}")).await;
    let texts: Vec<&str> = kept["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["hello", &text]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_keeps_what_was_said_and_frees_the_slot() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[SLOW]).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "a long story").await;
    let turn = chat.wait_for(&["accepted"]).await["turn"].clone();
    let piece = chat.wait_for(&["piece"]).await;
    chat.send(&json!({"type": "stop", "turn": turn})).await;
    let (rest, end) = chat.read_answer().await;
    let said = format!("{}{rest}", piece["text"].as_str().unwrap());
    assert_eq!((&end["type"], &end["message"]["status"]), (&json!("done"), &json!("partial")));
    assert_eq!(end["message"]["answer"]["finish_reason"], "cancelled");
    assert_eq!(end["message"]["text"], json!(said));
    assert!(expected_text(SLOW, "a long story", None).starts_with(&said));
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_joins_the_running_answer_where_it_was() {
    let options = "tokens_per_second=40,answer_tokens=60,slots=1";
    let (swarm, _nodes) = TestSwarm::with_nodes(&[options]).await;
    let mut first = swarm.chat().await;
    first.ask(None, "go on").await;
    let accepted = first.wait_for(&["accepted"]).await;
    let piece = first.wait_for(&["piece"]).await;
    drop(first);
    let mut second = swarm.chat().await;
    let conversation = &accepted["conversation"]["id"];
    second
        .send(
            &json!({"type": "join", "conversation": conversation, "turn": accepted["turn"], "last_seq": piece["seq"]}),
        )
        .await;
    let (rest, end) = second.read_answer().await;
    let text = format!("{}{rest}", piece["text"].as_str().unwrap());
    assert_eq!(text, expected_text(options, "go on", None));
    assert_eq!(end["message"]["text"], json!(text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_frees_the_slot() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[SLOW]).await;
    let mut chunks = swarm.complete(&streamed("a long story")).await.bytes_stream();
    chunks.next().await.unwrap().unwrap();
    swarm.sees("a slot taken", |view| view.nodes[0].slots_free == 1).await;
    drop(chunks);
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_told_what_is_wrong() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&["context_tokens=64"]).await;
    let swarm = &swarm;
    let ask = |body: Value| async move {
        let response = swarm.complete(&body).await;
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let (status, body) = ask(json!({"model": "gpt-9", "messages": [{"role": "user", "content": "x"}]})).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    assert!(body["error"]["message"].as_str().unwrap().contains("scripted"), "{body}");

    let (status, body) = ask(prompt(&"long ".repeat(200))).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("63"), "{body}");

    let (status, body) = ask(json!({"model": "scripted", "messages": [{"role": "wizard", "content": "x"}]})).await;
    assert_eq!(status, 400);
    assert!(body.to_string().contains("role"), "{body}");
}
