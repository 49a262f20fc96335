//! Texts become vectors, beside chats on the same node, and nodes fail.

use futures::future::join_all;
use serde_json::{Value, json};
use starling_tests::{TestSwarm, expected_text};

const CHAT: &str = "seed=1,tokens_per_second=0,answer_tokens=40,slots=4";
const VECTORS: &str = "kind=embedding,dimensions=8,slots=8";

async fn embed(swarm: &TestSwarm, body: &Value) -> (u16, Value) {
    let request = swarm.http.post(swarm.url("/v1/embeddings")).bearer_auth(&swarm.key).json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn texts(input: &Value) -> Value {
    json!({"model": "scripted-embedding", "input": input})
}

fn vector(body: &Value, index: usize) -> Vec<f64> {
    let entry = &body["data"][index];
    assert_eq!((&entry["object"], &entry["index"]), (&json!("embedding"), &json!(index)), "{body}");
    entry["embedding"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_answers_and_embeds() {
    let swarm = TestSwarm::start().await;
    let _node = swarm.add_node_of(&[CHAT, VECTORS]).await;
    let prompt = json!({"model": "scripted", "messages": [{"role": "user", "content": "hello"}]});
    let chats = join_all((0..4).map(|_| swarm.complete(&prompt)));
    let all = texts(&json!(["one text", "another text", "one text"]));
    let vectors = join_all((0..8).map(|_| embed(&swarm, &all)));
    let (chats, vectors) = tokio::join!(chats, vectors);
    for (status, body) in vectors {
        assert_eq!((status, &body["object"], &body["model"]), (200, &json!("list"), &json!("scripted-embedding")));
        let (one, other) = (vector(&body, 0), vector(&body, 1));
        assert!(one.len() == 8 && one == vector(&body, 2) && one != other, "{body}");
        assert!((one.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-5, "{body}");
        assert!(body["usage"]["prompt_tokens"].as_u64().unwrap() >= 6, "{body}");
        assert_eq!(body["usage"]["prompt_tokens"], body["usage"]["total_tokens"]);
    }
    for chat in chats {
        let body: Value = chat.json().await.unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], expected_text(CHAT, "hello", None), "{body}");
    }
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_does_what_it_is_for_and_nothing_else() {
    let swarm = TestSwarm::start().await;
    let _node = swarm.add_node_of(&[CHAT, VECTORS]).await;
    let (status, body) = embed(&swarm, &json!({"model": "scripted", "input": "hello"})).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("wrong_model_kind")));
    assert!(body["error"]["message"].as_str().unwrap().contains("scripted-embedding"), "{body}");
    let prompt = json!({"model": "scripted-embedding", "messages": [{"role": "user", "content": "hello"}]});
    let response = swarm.complete(&prompt).await;
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.unwrap();
    assert_eq!((&body["error"]["param"], &body["error"]["code"]), (&json!("model"), &json!("wrong_model_kind")));
    // The pages are for talking: they list what answers, and never ask another.
    let listed = swarm.get("/api/models").await;
    assert_eq!(listed["models"].as_array().unwrap().len(), 1, "{listed}");
    let mut chat = swarm.chat().await;
    assert_eq!(chat.wait_for(&["hello"]).await["swarm"]["models"], json!(["scripted"]));
    let request = swarm.http.get(swarm.url("/v1/models")).bearer_auth(&swarm.key);
    let all: Value = request.send().await.unwrap().json().await.unwrap();
    let kinds: Vec<_> = all["data"].as_array().unwrap().iter().map(|model| (&model["id"], &model["kind"])).collect();
    assert_eq!(kinds.len(), 2, "{all}");
    assert!(kinds.contains(&(&json!("scripted"), &json!("chat"))), "{all}");
    assert!(kinds.contains(&(&json!("scripted-embedding"), &json!("embedding"))), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_told_with_their_numbers() {
    let options = "kind=embedding,dimensions=8,context_tokens=10";
    let (swarm, _nodes) = TestSwarm::with_nodes(&[options]).await;
    let long = "x".repeat(44);
    let refused = [
        (texts(&json!(["short", long])), "input", "a text has 11 tokens and the model takes at most 10"),
        (texts(&json!([1, 2])), "input", "lists of tokens"),
        (texts(&json!(vec!["x"; 257])), "input", "1 to 256 texts"),
        (json!({"model": "scripted-embedding", "input": "x", "dimensions": 9}), "dimensions", "vectors of 8 numbers"),
        (json!({"model": "other", "input": "x"}), "model", "scripted-embedding"),
        (json!({"model": "scripted-embedding"}), "input", "is missing"),
    ];
    for (body, param, part) in refused {
        let (status, answer) = embed(&swarm, &body).await;
        let expected = if param == "model" { 404 } else { 400 };
        assert_eq!((status, answer["error"]["param"].as_str()), (expected, Some(param)), "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{answer}");
    }
    let many = json!({"model": "scripted-embedding", "input": vec!["x"; 256], "dimensions": 8, "user": "me"});
    let (status, body) = embed(&swarm, &many).await;
    assert_eq!((status, body["data"].as_array().unwrap().len()), (200, 256));
    let base64 = json!({"model": "scripted-embedding", "input": "x", "encoding_format": "base64"});
    let (_, encoded) = embed(&swarm, &base64).await;
    assert_eq!(encoded["data"][0]["embedding"].as_str().map(str::len), Some(44), "8 floats: {encoded}");
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_takes_over_and_nobody_notices() {
    let swarm = TestSwarm::start().await;
    let good = swarm.add_node("kind=embedding,dimensions=8,slots=2,prefill_tokens_per_second=1000").await;
    // The good one is busy, so that the other is asked first; its engine dies after some vectors.
    let long = texts(&json!("x".repeat(8_000)));
    let busy = embed(&swarm, &long);
    let asked = async {
        swarm.sees("a busy node", |view| view.nodes.iter().any(|node| node.slots_free == 1)).await;
        let _bad = swarm.add_node("kind=embedding,dimensions=8,slots=2,fault=die@100").await;
        let input: Vec<String> = (0..200).map(|number| format!("text {number}")).collect();
        let request = swarm.http.post(swarm.url("/v1/embeddings")).bearer_auth(&swarm.key);
        let response = request.json(&texts(&json!(input))).send().await.unwrap();
        swarm.sees("one model less", |view| view.models[0].nodes == 1).await;
        (response.headers()["x-starling-peer"].to_str().unwrap().to_owned(), response.json::<Value>().await.unwrap())
    };
    let ((status, _), (peer, body)) = tokio::join!(busy, asked);
    assert_eq!((status, peer), (200, good.peer.to_string()));
    assert_eq!(body["data"].as_array().map(Vec::len), Some(200), "{body}");
    let (_, alone) = embed(&swarm, &texts(&json!("text 150"))).await;
    assert_eq!(vector(&body, 150), vector(&alone, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_node_a_failure_has_a_type() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&["kind=embedding,dimensions=8,fault=oom@0"]).await;
    let (status, body) = embed(&swarm, &texts(&json!("text"))).await;
    assert_eq!((status, &body["error"]["type"]), (502, &json!("server_error")), "{body}");
}
