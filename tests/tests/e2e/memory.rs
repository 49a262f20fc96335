//! Memory, from a fact to an answer that was given with it: over real nodes, with the scripted engine. What that answers
//! is a function of every word of its prompt, so that an answer tells what its node was given to read.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starling_gateway::{memory::write_into, store::memories::recalled::Recalled};
use starling_inference::{Message, Request, Role, scripted};
use starling_protocol::message::{self, ChatMessage};
use starling_tests::{Chat, PATIENCE, TestSwarm};

const CHAT: &str = "seed=1,tokens_per_second=0,answer_tokens=40,slots=4";
/// Two texts are near each other when they share words.
const VECTORS: &str = "kind=embedding,dimensions=256,slots=8";

const FACT: &str = "my cat is called Ada and likes tuna";
const QUESTION: &str = "what is my cat called and likes";

/// What a node of these options answers to a prompt.
fn answer_to(options: &str, prompt: &[(Role, String)]) -> String {
    let options: scripted::Options = options.parse().unwrap();
    let messages = prompt.iter().map(|(role, text)| Message::new(*role, text)).collect();
    options.expected_text(&Request { messages, ..Request::default() })
}

/// A question with these notes before it.
fn with_notes(notes: &[&str], question: &str) -> String {
    let recalled: Vec<Recalled> = notes
        .iter()
        .map(|text| Recalled {
            memory: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            text: (*text).to_owned().into(),
            similarity: 1.0,
        })
        .collect();
    let mut question = ChatMessage::new(message::Role::User, question);
    write_into(&mut question, &recalled);
    question.content.0
}

/// The access token of another person.
async fn person(swarm: &TestSwarm, name: &str) -> String {
    let app = swarm.gateway.app();
    let hash = app.passwords.hash("a good password".to_owned().into()).await.unwrap();
    app.store.create_user(name, &hash, starling_gateway::store::users::Role::User).await.unwrap();
    let body = json!({"username": name, "password": "a good password"});
    let response = swarm.http.post(swarm.url("/api/session")).json(&body).send().await.unwrap();
    response.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
}

async fn get(swarm: &TestSwarm, access: &str, path: &str) -> Value {
    swarm.http.get(swarm.url(path)).bearer_auth(access).send().await.unwrap().json().await.unwrap()
}

async fn put(swarm: &TestSwarm, path: &str, body: &Value) {
    let request = swarm.http.put(swarm.url(path)).bearer_auth(&swarm.access).json(body);
    assert_eq!(request.send().await.unwrap().status(), 204);
}

/// Waits until so much is remembered, and all of it has a vector.
async fn is_read(swarm: &TestSwarm, facts: i64, passages: i64) {
    let limit = Instant::now() + PATIENCE;
    loop {
        let standing = swarm.get("/api/memory").await;
        if (&standing["facts"], &standing["passages"], &standing["waiting"])
            == (&json!(facts), &json!(passages), &json!(0))
        {
            return;
        }
        assert!(Instant::now() < limit, "{standing}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ask(chat: &mut Chat, conversation: Option<&str>, question: &str) -> (String, Value) {
    chat.ask(conversation, question).await;
    let (text, end) = chat.read_answer().await;
    assert_eq!(end["type"], json!("done"), "{end}");
    (text, end)
}

fn used(end: &Value) -> Vec<&str> {
    let memories = end["message"]["answer"]["memories"].as_array().unwrap();
    memories.iter().map(|memory| memory["text"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_waits_for_a_node_and_then_goes_with_the_questions_that_it_fits() {
    let (swarm, _chat_node) = TestSwarm::with_nodes(&[CHAT]).await;
    swarm.post("/api/memories", &json!({"text": format!("Remember that {FACT}")})).await;
    let mut chat = swarm.chat().await;
    // Nobody embeds: memory waits, and chat does not.
    let (text, end) = ask(&mut chat, None, QUESTION).await;
    assert_eq!(text, answer_to(CHAT, &[(Role::User, QUESTION.to_owned())]));
    assert!(used(&end).is_empty());
    let standing = swarm.get("/api/memory").await;
    assert_eq!((&standing["model"], standing["waiting"].as_i64() > Some(0)), (&Value::Null, true), "{standing}");
    let conversation = end["conversation"].as_str().unwrap().to_owned();
    swarm.delete(&format!("/api/conversations/{conversation}")).await;

    let _vector_node = swarm.add_node(VECTORS).await;
    is_read(&swarm, 1, 0).await;
    let (text, end) = ask(&mut chat, None, QUESTION).await;
    assert_eq!(used(&end), [FACT]);
    let first = with_notes(&[FACT], QUESTION);
    assert_eq!(text, answer_to(CHAT, &[(Role::User, first.clone())]), "the node was given something else");

    // What stood in the prompt once stays there, so that a node need not read it again, and is not put in twice.
    let conversation = end["conversation"].as_str().unwrap();
    let (next, end) = ask(&mut chat, Some(conversation), QUESTION).await;
    let prompt = [(Role::User, first), (Role::Assistant, text), (Role::User, QUESTION.to_owned())];
    assert_eq!(next, answer_to(CHAT, &prompt));
    assert!(used(&end).is_empty());
    let shown = swarm.get(&format!("/api/conversations/{conversation}")).await;
    assert_eq!(shown["messages"][1]["answer"]["memories"][0]["text"], json!(FACT));
    assert_eq!(shown["messages"][0]["text"], json!(QUESTION), "what is shown is what was said");

    // Deleted, it is in no later prompt, and not with the answer.
    let memory = swarm.get("/api/memories?kind=fact").await["memories"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(swarm.delete(&format!("/api/memories/{memory}")).await, 204);
    assert_eq!(swarm.delete("/api/memories").await, 204);
    let (text, end) = ask(&mut chat, None, QUESTION).await;
    assert_eq!(text, answer_to(CHAT, &[(Role::User, QUESTION.to_owned())]));
    assert!(used(&end).is_empty());
    let shown = swarm.get(&format!("/api/conversations/{conversation}")).await;
    assert_eq!(shown["messages"][1]["answer"]["memories"], json!([]));
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_found_in_another_conversation_and_by_a_search() {
    let swarm = TestSwarm::start().await;
    let _node = swarm.add_node_of(&[CHAT, VECTORS]).await;
    let mut chat = swarm.chat().await;
    ask(&mut chat, None, FACT).await;
    is_read(&swarm, 0, 2).await;
    let (_, end) = ask(&mut chat, None, QUESTION).await;
    assert!(used(&end).len() == 1 && used(&end)[0].ends_with(&format!(": {FACT}")), "{end}");
    let found = swarm.get("/api/memories?q=cat%20called%20Ada&limit=1").await;
    assert_eq!(found["memories"][0]["text"], json!(FACT), "{found}");
    assert!(found["memories"][0]["similarity"].as_f64().unwrap() > 0.3);
    // What is far from the question stays out.
    let (_, end) = ask(&mut chat, None, "entirely different matters").await;
    assert!(used(&end).is_empty(), "{end}");
    put(&swarm, "/api/memory", &json!({"enabled": false})).await;
    let (text, end) = ask(&mut chat, None, QUESTION).await;
    assert_eq!(text, answer_to(CHAT, &[(Role::User, QUESTION.to_owned())]), "memory is off");
    assert!(used(&end).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_anothers_memory_in_a_list_a_search_a_prompt_or_an_answer() {
    let swarm = TestSwarm::start().await;
    let _node = swarm.add_node_of(&[CHAT, VECTORS]).await;
    swarm.post("/api/memories", &json!({"text": FACT})).await;
    let mut chat = swarm.chat().await;
    let (_, end) = ask(&mut chat, None, FACT).await;
    is_read(&swarm, 1, 2).await;
    let anna = end["conversation"].as_str().unwrap().to_owned();

    let access = person(&swarm, "ben").await;
    let mut ben = Chat::connect(&format!("ws://{}/api/chat", swarm.gateway.http()), &access).await;
    for attempt in ["before", "after the first one has deleted all of it"] {
        for question in [QUESTION, FACT] {
            let (text, end) = ask(&mut ben, None, question).await;
            assert_eq!(text, answer_to(CHAT, &[(Role::User, question.to_owned())]), "{attempt}");
            assert!(used(&end).is_empty(), "{end}");
            let conversation = end["conversation"].as_str().unwrap();
            let request = swarm.http.delete(swarm.url(&format!("/api/conversations/{conversation}")));
            request.bearer_auth(&access).json(&json!({})).send().await.unwrap();
        }
        let ids = swarm.get("/api/memories").await;
        let first = ids["memories"][0]["id"].as_str().unwrap_or("01890a5d-ac96-774b-bcce-b302099a8057").to_owned();
        for path in
            ["/api/memories", &format!("/api/memories?before={first}"), "/api/memories?q=my%20cat%20is%20called"]
        {
            assert_eq!(get(&swarm, &access, path).await["memories"], json!([]), "{attempt}: {path}");
        }
        // A question in another's conversation is none.
        ben.ask(Some(&anna), QUESTION).await;
        assert_eq!(ben.wait_for(&["failed", "accepted"]).await["error"]["code"], json!("no_such_conversation"));
        swarm.delete("/api/memories").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_does_not_wait_for_memories_that_are_late() {
    let late = |config: &mut starling_gateway::config::Config| config.memory.memory_deadline_ms = 300;
    let swarm = TestSwarm::start_with(late, vec![starling_tests::loopback()]).await;
    let _chat_node = swarm.add_node(CHAT).await;
    // Ten tokens a second: the fact is read soon, and the long question is not.
    let _slow = swarm.add_node("kind=embedding,dimensions=256,slots=1,prefill_tokens_per_second=10").await;
    swarm.post("/api/memories", &json!({"text": FACT})).await;
    is_read(&swarm, 1, 0).await;
    let question = format!("{QUESTION} {}", "and so on ".repeat(40));
    let (text, end) = ask(&mut swarm.chat().await, None, &question).await;
    assert_eq!(text, answer_to(CHAT, &[(Role::User, question)]));
    assert!(used(&end).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_on_after_a_restart_with_the_same_memories() {
    const STEADY: &str = "seed=1,tokens_per_second=100,answer_tokens=300,slots=2";
    let swarm = TestSwarm::start_killable().await;
    // Written while nobody embeds, and not forgotten by a restart.
    swarm.post("/api/memories", &json!({"text": FACT})).await;
    let swarm = swarm.kill_gateway().await.start().await;
    let _node = swarm.add_node_of(&[STEADY, VECTORS]).await;
    is_read(&swarm, 1, 0).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, QUESTION).await;
    let accepted = chat.wait_for(&["accepted"]).await;
    let mut answer = starling_tests::Answer { turn: accepted["turn"].clone(), ..Default::default() };
    chat.read(&mut answer, 400).await;
    let swarm = swarm.kill_gateway().await.start().await;
    let mut chat = Chat::connect_again(&format!("ws://{}/api/chat", swarm.gateway.http()), &swarm.access).await;
    chat.join(&accepted["conversation"]["id"], &answer).await;
    let end = chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!(answer.text, answer_to(STEADY, &[(Role::User, with_notes(&[FACT], QUESTION))]));
    assert_eq!(used(&end), [FACT]);
    swarm.is_idle().await;
}
