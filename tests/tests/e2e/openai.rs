//! The OpenAI-compatible API beside chats: texts that go on, and responses.

use serde_json::{Value, json};
use starling_tests::{TestNode, TestSwarm};

const FAST: &str = "seed=1,tokens_per_second=0,answer_tokens=12,slots=8";
const CALLER: &str = "seed=1,tokens_per_second=0,answer_tokens=4,slots=4,style=reasoning+tools,say=<think>%0ahm%0a\
    </think>%0a%0aLet me see.%0a<tool_call>%0a{\"name\": \"f\"%2C \"arguments\": {\"a\": 1}}%0a</tool_call>%0a";

async fn post(swarm: &TestSwarm, path: &str, body: &Value) -> reqwest::Response {
    swarm.http.post(swarm.url(path)).bearer_auth(&swarm.key).json(body).send().await.unwrap()
}

async fn whole(swarm: &TestSwarm, path: &str, body: &Value) -> Value {
    let response = post(swarm, path, body).await;
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert!(status.is_success(), "{body}");
    body
}

/// The events of a stream: their names, where they have some, and their data.
async fn events(swarm: &TestSwarm, path: &str, body: &Value) -> Vec<(Option<String>, Value)> {
    let text = post(swarm, path, body).await.text().await.unwrap();
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let event = |event: &str| {
        let data = field(event, "data")?;
        Some((field(event, "event"), serde_json::from_str(&data).unwrap_or(Value::String(data))))
    };
    text.split("\n\n").filter_map(event).collect()
}

fn text(answer: &Value, choice: usize) -> &str {
    answer["choices"][choice]["text"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_goes_on_without_a_template() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[FAST]).await;
    let ask = |prompt: Value, more: Value| {
        let mut body = json!({"model": "scripted", "prompt": prompt, "max_tokens": 4, "seed": 3});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let path = "/v1/completions";
    let response = post(&swarm, path, &ask(json!("once"), json!({}))).await;
    for header in ["x-starling-node", "x-starling-peer", "x-request-id", "openai-processing-ms"] {
        assert!(response.headers().contains_key(header), "{header}");
    }
    for header in ["x-starling-queue-ms", "x-starling-first-token-ms"] {
        response.headers()[header].to_str().unwrap().parse::<u64>().unwrap();
    }
    let once: Value = response.json().await.unwrap();
    assert_eq!((&once["object"], &once["choices"][0]["finish_reason"]), (&json!("text_completion"), &json!("length")));
    // Four bytes are one token of the scripted engine, and no role stands before them.
    assert_eq!((&once["usage"]["prompt_tokens"], &once["usage"]["completion_tokens"]), (&json!(1), &json!(4)));
    let chat = json!({"model": "scripted", "messages": [{"role": "user", "content": "once"}]});
    assert_eq!(whole(&swarm, "/v1/chat/completions", &chat).await["usage"]["prompt_tokens"], 2);

    let several = whole(&swarm, path, &ask(json!(["once", "upon a time"]), json!({"n": 2, "echo": true}))).await;
    assert_eq!(several["choices"].as_array().unwrap().len(), 4);
    assert_eq!(text(&several, 0), format!("once{}", text(&once, 0)));
    assert!(text(&several, 3).starts_with("upon a time") && text(&several, 2) != text(&several, 3));
    assert_eq!((&several["usage"]["prompt_tokens"], &several["usage"]["completion_tokens"]), (&json!(4), &json!(16)));

    let tokens = whole(&swarm, path, &ask(json!([7, 8, 9]), json!({}))).await;
    assert_eq!(tokens["usage"]["prompt_tokens"], 3);
    let beyond = post(&swarm, path, &ask(json!([u32::MAX]), json!({}))).await;
    assert_eq!(beyond.status(), 400);
    assert_eq!(beyond.json::<Value>().await.unwrap()["error"]["param"], "prompt");

    let likely = whole(&swarm, path, &ask(json!("once"), json!({"logprobs": 1}))).await;
    let logprobs = &likely["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"].as_array().unwrap().len(), 4, "{logprobs}");
    assert_eq!(logprobs["text_offset"][0], 0);

    let stream = json!({"stream": true, "echo": true, "stream_options": {"include_usage": true}});
    let events = events(&swarm, path, &ask(json!("once"), stream)).await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done.1, "[DONE]");
    let told: String = chunks.iter().filter_map(|(_, chunk)| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(told, text(&several, 0));
    let [.., (_, end), (_, usage)] = chunks else { panic!("too few") };
    assert_eq!(
        (&end["choices"][0]["finish_reason"], &usage["usage"]["completion_tokens"]),
        (&json!("length"), &json!(4))
    );
    assert!(end["starling"]["first_token_ms"].is_u64() && end["starling"]["node"].is_string(), "{end}");
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_goes_on_with_a_text() {
    let (swarm, mut nodes) = TestSwarm::with_nodes(&[
        "seed=1,tokens_per_second=50,answer_tokens=60,slots=1",
        "seed=1,tokens_per_second=50,answer_tokens=60,slots=1",
    ])
    .await;
    let body = json!({"model": "scripted", "prompt": "once", "max_tokens": 60, "seed": 3, "stream": true});
    let whole_text = |events: &[(Option<String>, Value)]| -> String {
        events.iter().filter_map(|(_, chunk)| chunk["choices"][0]["text"].as_str()).collect()
    };
    let expected = whole_text(&events(&swarm, "/v1/completions", &body).await);
    let response = post(&swarm, "/v1/completions", &body).await;
    let peer = response.headers()["x-starling-peer"].to_str().unwrap().to_owned();
    nodes.iter_mut().filter(|node| node.peer.to_string() == peer).for_each(TestNode::kill);
    let told: String = response
        .text()
        .await
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk["choices"][0]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_says_what_a_chat_does() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[FAST]).await;
    let chat = json!({"model": "scripted", "temperature": 0, "messages": [
        {"role": "system", "content": "brief"}, {"role": "user", "content": "hi"}]});
    let chat = whole(&swarm, "/v1/chat/completions", &chat).await;
    let said = &chat["choices"][0]["message"]["content"];
    let ask = json!({"model": "scripted", "temperature": 0, "instructions": "brief", "input": "hi"});
    let response = whole(&swarm, "/v1/responses", &ask).await;
    assert_eq!((&response["object"], &response["status"]), (&json!("response"), &json!("completed")));
    assert_eq!((&response["store"], &response["error"]), (&json!(false), &json!(null)));
    assert_eq!(&response["output"][0]["content"][0]["text"], said);
    assert_eq!(response["usage"]["total_tokens"], chat["usage"]["total_tokens"]);

    let cut = json!({"model": "scripted", "input": "hi", "max_output_tokens": 2});
    let cut = whole(&swarm, "/v1/responses", &cut).await;
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );

    let streamed =
        json!({"model": "scripted", "temperature": 0, "instructions": "brief", "input": "hi", "stream": true});
    let events = events(&swarm, "/v1/responses", &streamed).await;
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!(data["sequence_number"], json!(number));
        assert_eq!(name.as_deref(), data["type"].as_str());
    }
    let names: Vec<&str> = events.iter().filter_map(|(name, _)| name.as_deref()).collect();
    let [created, in_progress, added, part, rest @ ..] = &names[..] else { panic!("{names:?}") };
    assert_eq!([*created, *in_progress], ["response.created", "response.in_progress"]);
    assert_eq!([*added, *part], ["response.output_item.added", "response.content_part.added"]);
    let [deltas @ .., text_done, part_done, item_done, completed] = rest else { panic!("{names:?}") };
    assert!(deltas.len() > 1 && deltas.iter().all(|name| *name == "response.output_text.delta"), "{names:?}");
    assert_eq!([*text_done, *part_done], ["response.output_text.done", "response.content_part.done"]);
    assert_eq!([*item_done, *completed], ["response.output_item.done", "response.completed"]);
    let told: String = events.iter().filter_map(|(_, data)| data["delta"].as_str()).collect();
    assert_eq!(json!(told), *said);
    let last = &events.last().unwrap().1["response"];
    assert_eq!((&last["output"][0]["content"][0]["text"], &last["status"]), (said, &json!("completed")));
    assert!(last["starling"]["queue_ms"].is_u64(), "{last}");
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_and_calls_are_items_of_a_response() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[CALLER]).await;
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object"}});
    let ask = json!({"model": "scripted", "input": "hi", "tools": [tool], "parallel_tool_calls": false});
    let response = whole(&swarm, "/v1/responses", &ask).await;
    let items = response["output"].as_array().unwrap();
    let kinds: Vec<_> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"], "{response}");
    assert_eq!((&items[2]["name"], &items[2]["arguments"]), (&json!("f"), &json!("{\"a\": 1}")));
    assert!(response["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0, "{response}");

    // What came goes back with what the tool said.
    let mut input = vec![json!({"role": "user", "content": "hi"})];
    input.extend(items.iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": items[2]["call_id"], "output": "5"}));
    let again = json!({"model": "scripted", "input": input, "tools": ask["tools"]});
    assert_eq!(whole(&swarm, "/v1/responses", &again).await["status"], "completed");

    let mut streamed = ask.clone();
    streamed["stream"] = json!(true);
    let events = events(&swarm, "/v1/responses", &streamed).await;
    let of = |kind: &str| events.iter().filter(|(name, _)| name.as_deref() == Some(kind)).count();
    for kind in ["response.reasoning_text.done", "response.output_text.done", "response.function_call_arguments.done"] {
        assert_eq!(of(kind), 1, "{kind}: {events:?}");
    }
    assert_eq!((of("response.output_item.added"), of("response.output_item.done")), (3, 3));
    let arguments: String = events
        .iter()
        .filter(|(name, _)| name.as_deref() == Some("response.function_call_arguments.delta"))
        .filter_map(|(_, data)| data["delta"].as_str())
        .collect();
    assert_eq!(arguments, "{\"a\": 1}");
}
