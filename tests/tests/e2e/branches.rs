//! Questions that are edited, answers that are given anew, and titles that a model finds.

use serde_json::{Value, json};
use starling_tests::{Chat, TestSwarm};

async fn shown(swarm: &TestSwarm, conversation: &str) -> Vec<Value> {
    swarm.get(&format!("/api/conversations/{conversation}")).await["messages"].as_array().unwrap().clone()
}

fn texts(messages: &[Value]) -> Vec<&str> {
    let questions = messages.iter().filter(|message| message["role"] == "user");
    questions.map(|message| message["text"].as_str().unwrap()).collect()
}

async fn said(chat: &mut Chat, frame: &Value) -> (Value, Value) {
    chat.send(frame).await;
    let accepted = chat.wait_for(&["accepted", "failed"]).await;
    assert_eq!(accepted["type"], "accepted", "{accepted}");
    (accepted, chat.read_answer().await.1["message"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_edited_and_answered_anew() {
    let swarm = TestSwarm::start().await;
    let _node = swarm.add_node("seed=1,answer_tokens=5,slots=2").await;
    let mut chat = swarm.chat().await;
    let ask = |conversation: &Value, text: &str, instead_of: &Value| {
        json!({"type": "ask", "request": "r", "conversation": conversation, "text": text, "model": null,
            "instead_of": instead_of})
    };
    let (first, answer) = said(&mut chat, &ask(&json!(null), "one two three", &json!(null))).await;
    let id = &first["conversation"]["id"];
    let at = id.as_str().unwrap();
    let (second, later) = said(&mut chat, &ask(id, "four", &json!(null))).await;
    assert_eq!(second["message"]["parent"], answer["id"]);

    let (edited, other) = said(&mut chat, &ask(id, "five", &second["message"]["id"])).await;
    assert_eq!(edited["message"]["versions"], json!([second["message"]["id"], edited["message"]["id"]]));
    assert_eq!(other["answer"]["prompt_tokens"], later["answer"]["prompt_tokens"], "it was asked without the first");
    assert_eq!(texts(&shown(&swarm, at).await), ["one two three", "five"]);

    let again = json!({"type": "again", "request": "r", "conversation": id, "answer": answer["id"], "model": null});
    let (asked, anew) = said(&mut chat, &again).await;
    assert_eq!(asked["message"]["id"], first["message"]["id"]);
    assert_eq!(anew["versions"], json!([answer["id"], anew["id"]]));
    assert_eq!(anew["answer"]["prompt_tokens"], answer["answer"]["prompt_tokens"]);
    assert_eq!(shown(&swarm, at).await.len(), 2);

    let back =
        swarm.post(&format!("/api/messages/{}/show", second["message"]["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!(texts(back["messages"].as_array().unwrap()), ["one two three", "four"]);
    assert_eq!(texts(&shown(&swarm, at).await), ["one two three", "four"]);
    // What is no question cannot be edited, and what is no answer not given anew.
    for wrong in [
        ask(id, "x", &answer["id"]),
        json!({"type": "again", "request": "r", "conversation": id,
        "answer": first["message"]["id"], "model": null}),
    ] {
        chat.send(&wrong).await;
        assert_eq!(chat.wait_for(&["failed", "accepted"]).await["error"]["code"], "no_such_message");
    }
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_names_a_conversation_after_its_first_answer() {
    let titles =
        |config: &mut starling_gateway::config::Config| config.titles = starling_gateway::config::Titles::Model;
    let swarm = TestSwarm::start_with(titles, vec![starling_tests::loopback()]).await;
    let _node = swarm.add_node("seed=1,answer_tokens=1,slots=2,say=Birds in winter").await;
    let (mut chat, mut window) = (swarm.chat().await, swarm.chat().await);
    window.wait_for(&["hello"]).await;
    chat.ask(None, "why do they murmurate").await;
    let accepted = chat.wait_for(&["accepted"]).await;
    assert_eq!(accepted["conversation"]["title"], "why do they murmurate");
    for page in [&mut chat, &mut window] {
        let titled = page.wait_for(&["titled"]).await;
        assert_eq!(titled["conversation"]["id"], accepted["conversation"]["id"]);
        assert!(titled["conversation"]["title"].as_str().unwrap().starts_with("Birds in winter"), "{titled}");
    }
    swarm.is_idle().await;
}
