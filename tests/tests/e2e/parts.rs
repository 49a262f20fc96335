//! What an answer is made of besides text: thoughts, calls of tools, log-probabilities, several choices.

use futures::StreamExt;
use serde_json::{Value, json};
use starling_tests::{TestSwarm, expected_text};

/// Thinks, says something and calls two tools.
const CALLER: &str = "tokens_per_second=0,answer_tokens=0,slots=4,style=reasoning+tools,say=<think>%0aWhich city?%0a\
    </think>%0a%0aLet me see.%0a<tool_call>%0a{\"name\": \"weather\"%2C \"arguments\": {\"city\": \"Zürich\"}}%0a\
    </tool_call>%0a<tool_call>%0a{\"name\": \"time\"}%0a</tool_call>";

fn ask(change: Value) -> Value {
    let mut body = json!({"model": "scripted", "messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "weather"}}, {"type": "function", "function": {"name": "time"}}])
}

/// The chunks of a streamed answer, which ends as it should.
async fn chunks(swarm: &TestSwarm, change: Value) -> Vec<Value> {
    let mut body = ask(change);
    body["stream"] = json!(true);
    let text = swarm.complete(&body).await.text().await.unwrap();
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// All of one field of a choice's deltas.
fn joined(chunks: &[Value], choice: u64, field: &str) -> String {
    let of = chunks.iter().filter(|chunk| chunk["choices"][0]["index"] == choice);
    of.filter_map(|chunk| chunk["choices"][0]["delta"][field].as_str()).collect()
}

fn finish(chunks: &[Value], choice: u64) -> Vec<&str> {
    let of = chunks.iter().filter(|chunk| chunk["choices"][0]["index"] == choice);
    of.filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_and_calls_are_told_apart() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[CALLER]).await;
    let body: Value = swarm.complete(&ask(json!({"tools": tools()}))).await.json().await.unwrap();
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["reasoning_content"], "Which city?");
    assert_eq!(choice["message"]["content"], "Let me see.");
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    let called: Vec<_> = calls.iter().map(|call| (&call["type"], &call["function"])).collect();
    let expected =
        [json!({"name": "weather", "arguments": "{\"city\": \"Zürich\"}"}), json!({"name": "time", "arguments": "{}"})];
    assert_eq!(called, [(&json!("function"), &expected[0]), (&json!("function"), &expected[1])]);
    assert!(
        calls.iter().all(|call| call["id"].as_str().unwrap().starts_with("call_")) && calls[0]["id"] != calls[1]["id"]
    );

    // Who offers no tools, or wants none called, gets text; who wants no thoughts gets what comes.
    for change in [json!({}), json!({"tools": tools(), "tool_choice": "none"})] {
        let body: Value = swarm.complete(&ask(change)).await.json().await.unwrap();
        let message = &body["choices"][0]["message"];
        assert!(message["content"].as_str().unwrap().contains("<tool_call>"), "{message}");
        assert_eq!((&message["tool_calls"], &body["choices"][0]["finish_reason"]), (&Value::Null, &json!("stop")));
    }
    let plain = ask(json!({"reasoning_effort": "none"}));
    let body: Value = swarm.complete(&plain).await.json().await.unwrap();
    assert!(body["choices"][0]["message"]["content"].as_str().unwrap().starts_with("<think>"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_streams_while_it_comes() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[CALLER]).await;
    let chunks = chunks(&swarm, json!({"tools": tools()})).await;
    assert_eq!(joined(&chunks, 0, "reasoning_content"), "Which city?");
    assert_eq!(joined(&chunks, 0, "content"), "Let me see.");
    let calls: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]).collect();
    let calls: Vec<&Value> = calls.into_iter().filter(|call| !call.is_null()).collect();
    let begun: Vec<_> = calls.iter().filter(|call| !call["id"].is_null()).collect();
    let names: Vec<_> = begun.iter().map(|call| (&call["index"], &call["function"]["name"])).collect();
    assert_eq!(names, [(&json!(0), &json!("weather")), (&json!(1), &json!("time"))]);
    let arguments = |index: u64| -> String {
        let of = calls.iter().filter(|call| call["index"] == index);
        of.map(|call| call["function"]["arguments"].as_str().unwrap()).collect()
    };
    assert_eq!((arguments(0).as_str(), arguments(1).as_str()), ("{\"city\": \"Zürich\"}", "{}"));
    assert!(calls.len() > 5, "the arguments came in one piece");
    assert_eq!(finish(&chunks, 0), ["tool_calls"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_is_enough_when_so_asked() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[CALLER]).await;
    let body = ask(json!({"tools": tools(), "parallel_tool_calls": false}));
    let body: Value = swarm.complete(&body).await.json().await.unwrap();
    let choice = &body["choices"][0];
    assert_eq!(
        (choice["message"]["tool_calls"].as_array().unwrap().len(), &choice["finish_reason"]),
        (1, &json!("tool_calls"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_short_is_text() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[CALLER]).await;
    let body: Value = swarm.complete(&ask(json!({"tools": tools(), "max_tokens": 35}))).await.json().await.unwrap();
    let choice = &body["choices"][0];
    let content = choice["message"]["content"].as_str().unwrap();
    assert!(content.starts_with("Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\""), "{content}");
    assert_eq!((&choice["message"]["tool_calls"], &choice["finish_reason"]), (&Value::Null, &json!("length")));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_answers_on_two_nodes() {
    let options = "seed=4,tokens_per_second=50,answer_tokens=20,slots=2";
    let (swarm, _nodes) = TestSwarm::with_nodes(&[options, options]).await;
    let change = json!({"n": 3, "seed": 10, "stream_options": {"include_usage": true}});
    let body: Value = swarm.complete(&ask(change.clone())).await.json().await.unwrap();
    let texts: Vec<&str> = body["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| choice["message"]["content"].as_str().unwrap())
        .collect();
    let mut alone = vec![];
    for seed in 10..13 {
        let one: Value = swarm.complete(&ask(json!({"seed": seed}))).await.json().await.unwrap();
        alone.push(one["choices"][0]["message"]["content"].as_str().unwrap().to_owned());
    }
    assert_eq!(texts, alone, "each has the seed behind the one before it");
    assert_ne!(texts[0], texts[1]);
    let prompt = body["usage"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(
        (&body["usage"]["completion_tokens"], &body["usage"]["total_tokens"]),
        (&json!(60), &json!(60 + prompt))
    );
    assert_eq!(prompt, 3, "the prompt counts once");

    let chunks = chunks(&swarm, change).await;
    for (choice, text) in alone.iter().enumerate() {
        assert_eq!(
            (joined(&chunks, choice as u64, "content"), finish(&chunks, choice as u64)),
            (text.clone(), vec!["stop"])
        );
    }
    let order: Vec<u64> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["index"].as_u64()).collect();
    let turns = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns > 10, "they came one behind the other: {order:?}");
    let usage = chunks.last().unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(60)));
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_that_fails_fails_all_of_them() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&["tokens_per_second=0,slots=4,fault=garbage@5"]).await;
    let response = swarm.complete(&ask(json!({"n": 4}))).await;
    assert_eq!(response.status(), 502);
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "node_failed");
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_frees_the_slots_of_all_choices() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&["tokens_per_second=20,answer_tokens=400,slots=4"]).await;
    let mut body = ask(json!({"n": 4}));
    body["stream"] = json!(true);
    let mut chunks = swarm.complete(&body).await.bytes_stream();
    chunks.next().await.unwrap().unwrap();
    swarm.sees("all slots taken", |view| view.nodes[0].slots_free == 0).await;
    drop(chunks);
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_probabilities_come_with_their_tokens() {
    let options = "seed=4,tokens_per_second=0,answer_tokens=7,say=ßüö";
    let (swarm, _nodes) = TestSwarm::with_nodes(&[options]).await;
    let expected = expected_text(options, "hello", None);
    let check = |tokens: Vec<Value>| {
        assert_eq!(tokens.len(), 9);
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|token| token["bytes"].as_array().unwrap())
            .map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap())
            .collect();
        assert_eq!(bytes, expected.as_bytes(), "lossless, half characters included");
        assert!(
            tokens.iter().all(|token| token["logprob"] == 0.0 && token["top_logprobs"].as_array().unwrap().len() == 1)
        );
    };
    let change = json!({"logprobs": true, "top_logprobs": 2});
    let body: Value = swarm.complete(&ask(change.clone())).await.json().await.unwrap();
    check(body["choices"][0]["logprobs"]["content"].as_array().unwrap().clone());
    let chunks = chunks(&swarm, change).await;
    let of = |chunk: &Value| chunk["choices"][0]["logprobs"]["content"].as_array().cloned().unwrap_or_default();
    check(chunks.iter().flat_map(of).collect());
    let body: Value = swarm.complete(&ask(json!({}))).await.json().await.unwrap();
    assert!(body["choices"][0]["logprobs"].is_null(), "nobody asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_a_node_cannot_keep_is_refused_by_name() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&["tokens_per_second=0"]).await;
    let response = swarm.complete(&ask(json!({"response_format": {"type": "json_object"}}))).await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["param"], "response_format");
    let penalised = ask(json!({"frequency_penalty": 1, "presence_penalty": -1, "logit_bias": {"5": 2}}));
    assert_eq!(swarm.complete(&penalised).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_says_that_a_model_thinks_and_not_what() {
    let options = "tokens_per_second=40,answer_tokens=3,style=open,say=first I think%0a</think>%0a%0aHello.";
    let (swarm, _nodes) = TestSwarm::with_nodes(&[options]).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "hello").await;
    let accepted = chat.wait_for(&["accepted"]).await;
    let thinking = chat.wait_for(&["thinking", "piece"]).await;
    assert_eq!((&thinking["type"], &thinking["turn"]), (&json!("thinking"), &accepted["turn"]));
    let (text, end) = chat.read_answer().await;
    let whole = expected_text(options, "hello", None);
    assert_eq!(text, whole.split_once("\n\n").unwrap().1);
    assert!(text.starts_with("Hello."), "{text}");
    assert_eq!((&end["type"], &end["message"]["text"]), (&json!("done"), &json!(text)));
}
