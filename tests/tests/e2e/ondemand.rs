//! Models that are loaded when somebody asks for one.

use std::time::Duration;

use serde_json::{Value, json};
use starling_inference::Source;
use starling_node::OnDemand;
use starling_tests::{PATIENCE, TestNode, TestSwarm, expected_text};
use tokio::time::{Instant, timeout};

const LATER: &str = "seed=7,load_seconds=1.5,answer_tokens=30,tokens_per_second=0,slots=4,memory_mb=10";

/// A node that has nothing loaded and loads these on demand.
async fn add_offering(swarm: &TestSwarm, name: &str, options: &[&str]) -> TestNode {
    add_with(swarm, name, OnDemand { sources: options.iter().map(source).collect(), ..OnDemand::default() }).await
}

async fn add_with(swarm: &TestSwarm, name: &str, on_demand: OnDemand) -> TestNode {
    let config = starling_node::Config { sources: vec![], on_demand, name: name.to_owned(), ..swarm.node_config(&[]) };
    let node = starling_node::start(config).await.map_err(|exit| format!("{exit:?}")).unwrap();
    let peer = node.swarm().local_peer();
    swarm.sees("the node", |view| view.nodes.iter().any(|node| node.peer == peer && !node.loadable.is_empty())).await;
    TestNode { peer, node: Some(node) }
}

fn source(options: &&str) -> Source {
    Source::Scripted(options.parse().unwrap())
}

fn prompt(text: &str, stream: bool) -> Value {
    json!({"model": "scripted", "stream": stream, "messages": [{"role": "user", "content": text}]})
}

/// The models' names and states, as the page sees them.
async fn states(swarm: &TestSwarm) -> Vec<(String, String)> {
    let models = swarm.get("/api/models").await;
    let models = models["models"].as_array().unwrap().clone();
    let words = |model: &Value, key: &str| model[key].as_str().unwrap().to_owned();
    models.iter().map(|model| (words(model, "id"), words(model, "state"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_has_loaded_is_loaded_for_a_reader_who_sees_how_far_it_is() {
    let swarm = TestSwarm::start().await;
    let _node = add_offering(&swarm, "attic", &[LATER]).await;
    assert_eq!(states(&swarm).await, [("scripted".to_owned(), "loadable".to_owned())]);
    let mut chat = swarm.chat().await;
    chat.ask(None, "hello").await;
    let mut seen = vec![];
    loop {
        let frame = chat.wait_for(&["loading_model", "started", "failed"]).await;
        if frame["type"] != "loading_model" {
            assert_eq!(frame["type"], "started", "{frame}");
            break;
        }
        assert_eq!((&frame["node_name"], &frame["model"]), (&json!("attic"), &json!("scripted")));
        seen.push(frame["permille"].as_u64().unwrap());
    }
    assert!(seen.len() >= 3 && seen.is_sorted(), "{seen:?}");
    let (text, end) = chat.read_answer().await;
    assert_eq!((end["type"].as_str(), text), (Some("done"), expected_text(LATER, "hello", None)));
    swarm.sees("it loaded", |view| view.models.iter().any(|model| model.nodes == 1)).await;
    assert_eq!(states(&swarm).await, [("scripted".to_owned(), "loaded".to_owned())]);
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_begins_with_comments_while_the_model_is_loaded() {
    let swarm = TestSwarm::start().await;
    let _node = add_offering(&swarm, "attic", &[LATER]).await;
    let models: Value =
        swarm.http.get(swarm.url("/v1/models")).bearer_auth(&swarm.key).send().await.unwrap().json().await.unwrap();
    assert_eq!(models["data"][0]["state"], "loadable");
    let begin = Instant::now();
    let response = swarm.complete(&prompt("hello", true)).await;
    assert!(begin.elapsed() < Duration::from_millis(1500), "the line is open before the model is loaded");
    assert_eq!(response.headers()["x-starling-node"], "attic");
    let body = response.text().await.unwrap();
    let comments = body.lines().filter(|line| line.starts_with(": loading the model")).count();
    assert!(comments >= 3, "{body}");
    assert!(body.trim_end().ends_with("data: [DONE]"), "{body}");
    let text: String = body
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, expected_text(LATER, "hello", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_readers_at_once_load_it_once() {
    let swarm = TestSwarm::start().await;
    let mut nodes = vec![];
    for name in ["attic", "cellar"] {
        nodes.push(add_offering(&swarm, name, &[LATER]).await);
    }
    let ask = async |text: &str| {
        let response = swarm.complete(&prompt(text, false)).await;
        let peer = response.headers()["x-starling-peer"].to_str().unwrap().to_owned();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], json!(expected_text(LATER, text, None)), "{answer}");
        peer
    };
    let (one, other) = timeout(PATIENCE, async { tokio::join!(ask("one"), ask("two")) }).await.unwrap();
    assert_eq!(one, other, "the second one has waited for the first one's load");
    swarm.sees("one node that has it", |view| view.models[0].nodes == 1 && view.models[0].loaders == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_fails_on_one_node_goes_to_the_other() {
    let swarm = TestSwarm::start().await;
    // By its own word it is the quicker one.
    let bad = LATER.replace("load_seconds=1.5", "load_seconds=0.2,load_fault=memory");
    let _bad = add_offering(&swarm, "bad", &[&bad]).await;
    let good = add_offering(&swarm, "good", &[&LATER.replace("memory_mb=10", "memory_mb=2000")]).await;
    let response = swarm.complete(&prompt("hello", false)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-starling-peer"].to_str().unwrap(), good.peer.to_string());
    let nodes = swarm.get("/api/swarm").await;
    let bad = nodes["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "bad").unwrap().clone();
    assert!(bad["loadable"][0]["trouble"].as_str().unwrap().contains("told so"), "{bad}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_can_load_after_all_is_a_clear_error() {
    let swarm = TestSwarm::start().await;
    let bad = LATER.replace("load_seconds=1.5", "load_seconds=0.2,load_fault=file");
    let _bad = add_offering(&swarm, "bad", &[&bad]).await;
    let response = swarm.complete(&prompt("hello", false)).await;
    assert_eq!(response.status(), 503);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "not_loaded", "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_makes_room_for_another_and_is_unloaded_when_nobody_uses_it() {
    let swarm = TestSwarm::start().await;
    let one = "seed=1,load_seconds=0.2,answer_tokens=5,tokens_per_second=0,memory_mb=10";
    let vectors = "kind=embedding,load_seconds=0.2,memory_mb=10";
    let on_demand = OnDemand {
        sources: [one, vectors].iter().map(source).collect(),
        limit_bytes: Some(15 << 20),
        keep_loaded: Duration::from_secs(2),
        ..OnDemand::default()
    };
    let _node = add_with(&swarm, "attic", on_demand).await;
    assert_eq!(swarm.complete(&prompt("hello", false)).await.status(), 200);
    swarm.is_idle().await;
    let body = json!({"model": "scripted-embedding", "input": "a text"});
    let embed = swarm.http.post(swarm.url("/v1/embeddings")).bearer_auth(&swarm.key).json(&body);
    let answer: Value = embed.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"][0]["embedding"].as_array().map(Vec::len), Some(8), "{answer}");
    swarm.sees("the first one go", |view| view.nodes[0].models == ["scripted-embedding"]).await;
    swarm.sees("the other one go too", |view| view.nodes[0].models.is_empty()).await;
    assert_eq!(swarm.gateway.app().dispatch.view().borrow().models.len(), 2, "both can be asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_during_the_load_leaves_nothing_behind() {
    let swarm = TestSwarm::start().await;
    let _node = add_offering(&swarm, "attic", &[LATER]).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "hello").await;
    let turn = chat.wait_for(&["accepted"]).await["turn"].clone();
    chat.wait_for(&["loading_model"]).await;
    chat.send(&json!({"type": "stop", "turn": turn})).await;
    chat.wait_for(&["done"]).await;
    swarm.sees("it loaded all the same", |view| view.models.iter().any(|model| model.nodes == 1)).await;
    swarm.is_idle().await;
    assert_eq!(swarm.complete(&prompt("again", false)).await.status(), 200);
}
