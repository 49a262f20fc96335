//! Two gateways of one swarm on one database, with a Redis between them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starling_gateway::app::Running;
use starling_tests::{Answer, Chat, PATIENCE, RedisServer, TestNode, TestSwarm, expected_text, until};

use super::readers::{Client, Line};

/// Some six seconds for an answer.
const STEADY: &str = "seed=1,tokens_per_second=100,answer_tokens=600,slots=4";

/// A gateway that can be killed, another one beside it, and a node.
struct Pair {
    a: TestSwarm,
    b: Running,
    redis: RedisServer,
    _node: TestNode,
    _data: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Self {
        Self::with(RedisServer::start()).await
    }

    async fn with(redis: RedisServer) -> Self {
        let url = redis.url();
        let a = TestSwarm::start_killable_with(|config| config.redis = Some(url.parse().unwrap())).await;
        let node = a.add_node(STEADY).await;
        let (b, data) = a.beside(|config| config.redis = Some(url.parse().unwrap())).await;
        let mut view = b.app().dispatch.view();
        let seen = view.wait_for(|view| !view.models.is_empty());
        tokio::time::timeout(PATIENCE, seen).await.expect("the other gateway never saw the node").unwrap();
        Self { a, b, redis, _node: node, _data: data }
    }

    /// As [`start`](Self::start), and both have heard of each other.
    async fn met() -> Self {
        let pair = Self::start().await;
        let met = || pair.a.gateway.app().cache.others() == 1 && pair.b.app().cache.others() == 1;
        until("they met", met).await;
        pair
    }

    /// A socket at the other gateway, of the same person.
    async fn chat_at_b(&self) -> Chat {
        at(&self.b, &self.a.access).await
    }

    async fn stored(&self, conversation: &Value) -> Vec<Value> {
        messages(&self.a.http, &self.b, &self.a.access, conversation).await
    }
}

async fn at(gateway: &Running, access: &str) -> Chat {
    Chat::connect(&format!("ws://{}/api/chat", gateway.http()), access).await
}

async fn messages(http: &reqwest::Client, gateway: &Running, access: &str, conversation: &Value) -> Vec<Value> {
    let url = format!("http://{}/api/conversations/{}", gateway.http(), conversation.as_str().unwrap());
    let answer: Value = http.get(url).bearer_auth(access).send().await.unwrap().json().await.unwrap();
    answer["messages"].as_array().unwrap().clone()
}

/// Joins from the beginning, or behind what is there, and reads on.
async fn follow(chat: &mut Chat, conversation: &Value, answer: &mut Answer, bytes: usize) -> Option<Value> {
    chat.join(conversation, answer).await;
    chat.read(answer, bytes).await
}

#[track_caller]
fn is_whole(question: &str, answer: &Answer, end: &Value, stored: &[Value]) {
    assert_eq!((&end["type"], &end["message"]["status"]), (&json!("done"), &json!("complete")), "{end}");
    assert_eq!(answer.text, expected_text(STEADY, question, None), "exactly once");
    assert_eq!(stored.len(), 2, "{stored:?}");
    assert_eq!(stored[1]["text"], json!(answer.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_read_and_stopped_at_another_gateway_than_the_one_that_gives_it() {
    let pair = Pair::met().await;
    let (mut here, mut there) = (pair.a.chat().await, pair.chat_at_b().await);
    let (conversation, mut answer) = here.begin("go on", 300).await;
    let mut seen = Answer::default();
    assert!(follow(&mut there, &conversation, &mut seen, 900).await.is_none(), "it runs at the other one");
    assert_eq!(pair.b.app().turns.running(), 0, "and was not taken away from it");
    assert!(expected_text(STEADY, "go on", None).starts_with(&seen.text));
    there.ask(conversation.as_str(), "and this?").await;
    assert_eq!(there.wait_for(&["failed"]).await["error"]["code"], "turn_running");
    there.send(&json!({"type": "stop", "turn": seen.turn})).await;
    let end = here.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!(end["message"]["status"], "partial", "{end}");
    let end = there.read(&mut seen, usize::MAX).await.unwrap();
    assert_eq!((&end["message"]["status"], &seen.text), (&json!("partial"), &answer.text));
    // What is there is not said in the Redis.
    let all = pair.redis.dump();
    assert!(all.contains("starling:") && !all.contains(&answer.text[..20]) && !all.contains("go on"));

    here.send(&json!({"type": "go_on", "request": "g", "conversation": conversation, "turn": answer.turn})).await;
    let began = there.wait_for(&["began"]).await;
    assert_eq!((&began["conversation"], &began["turn"]), (&conversation, &answer.turn));
    let end = follow(&mut there, &conversation, &mut seen, usize::MAX).await.unwrap();
    is_whole("go on", &seen, &end, &pair.stored(&conversation).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_at_two_gateways_stay_in_step() {
    let pair = Pair::met().await;
    let (mut here, mut there) = (pair.a.chat().await, pair.chat_at_b().await);
    let (conversation, mut answer) = here.begin("go on", 1).await;
    let changed = there.wait_for(&["changed"]).await;
    assert_eq!((&changed["conversation"]["id"], &changed["conversation"]["title"]), (&conversation, &json!("go on")));
    assert_eq!(there.wait_for(&["began"]).await["turn"], answer.turn);
    here.send(&json!({"type": "stop", "turn": answer.turn})).await;
    here.read(&mut answer, usize::MAX).await;
    assert_eq!(there.wait_for(&["ended"]).await["turn"], answer.turn);
    let path = format!("/api/conversations/{}", conversation.as_str().unwrap());
    let change = pair.a.http.patch(pair.a.url(&path)).bearer_auth(&pair.a.access);
    assert_eq!(change.json(&json!({"title": "Birds"})).send().await.unwrap().status(), 200);
    for chat in [&mut here, &mut there] {
        while chat.wait_for(&["changed"]).await["conversation"]["title"] != "Birds" {}
    }
    assert_eq!(pair.a.delete(&path).await, 204);
    for chat in [&mut here, &mut there] {
        assert_eq!(chat.wait_for(&["deleted"]).await["conversation"], conversation);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_stop_hands_its_answers_over() {
    let pair = Pair::met().await;
    let (mut here, mut there) = (pair.a.chat().await, pair.chat_at_b().await);
    let (conversation, mut answer) = here.begin("go on", 300).await;
    let mut seen = Answer::default();
    follow(&mut there, &conversation, &mut seen, 300).await;
    let Pair { a, b, redis: _redis, _node, _data } = pair;
    let (http, access) = (a.http.clone(), a.access.clone());
    let told = Instant::now();
    let stop = async {
        let headless = a.stop_gateway_within(Duration::from_secs(20)).await;
        (headless, told.elapsed())
    };
    let read_on = async {
        // Until its socket closes, and then where the other gateway is.
        while let Some(frame) = here.next().await {
            if frame["type"] == "piece" {
                answer.take(&frame);
            }
            assert_ne!(frame["type"], "failed", "{frame}");
        }
        let mut here = at(&b, &access).await;
        let stood = answer.text.len();
        follow(&mut here, &conversation, &mut answer, stood + 1).await;
        let next = told.elapsed();
        (here.read(&mut answer, usize::MAX).await.unwrap(), next)
    };
    let watch_on = there.read(&mut seen, usize::MAX);
    let ((_headless, took), (end, next), seen_end) = tokio::join!(stop, read_on, watch_on);
    println!("gone after {took:?}; the first new piece elsewhere after {next:?}");
    assert!(took < Duration::from_secs(5), "it waited for its answers: {took:?}");
    assert!(next < Duration::from_secs(5), "{next:?}");
    let stored = messages(&http, &b, &access, &conversation).await;
    is_whole("go on", &answer, &end, &stored);
    is_whole("go on", &seen, &seen_end.unwrap(), &stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dies_is_missed_and_its_answers_go_on() {
    let pair = Pair::met().await;
    let (mut here, mut there) = (pair.a.chat().await, pair.chat_at_b().await);
    let (conversation, mut answer) = here.begin("go on", 600).await;
    let mut seen = Answer::default();
    follow(&mut there, &conversation, &mut seen, 300).await;
    let Pair { a, b, redis: _redis, _node, _data } = pair;
    let (http, access) = (a.http.clone(), a.access.clone());
    let killed = Instant::now();
    let _headless = a.kill_gateway().await;
    let mut here = at(&b, &access).await;
    follow(&mut here, &conversation, &mut answer, 1).await;
    until("it is taken over", || b.app().turns.running() == 1).await;
    println!("taken over {:?} after the kill", killed.elapsed());
    assert!((4..20).contains(&killed.elapsed().as_secs()), "{:?}", killed.elapsed());
    let end = here.read(&mut answer, usize::MAX).await.unwrap();
    let seen_end = there.read(&mut seen, usize::MAX).await.unwrap();
    let stored = messages(&http, &b, &access, &conversation).await;
    is_whole("go on", &answer, &end, &stored);
    is_whole("go on", &seen, &seen_end, &stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_redis_an_answer_is_followed_and_handed_over_all_the_same() {
    let mut pair = Pair::met().await;
    let (mut here, mut there) = (pair.a.chat().await, pair.chat_at_b().await);
    let (conversation, mut answer) = here.begin("go on", 100).await;
    let mut seen = Answer::default();
    follow(&mut there, &conversation, &mut seen, 100).await;
    pair.redis.kill();
    // From then on by the database.
    let stood = seen.text.len();
    assert!(there.read(&mut seen, stood + 300).await.is_none(), "it still runs");
    here.read(&mut answer, 600).await;
    let Pair { a, b, redis: _redis, _node, _data } = pair;
    let (http, access) = (a.http.clone(), a.access.clone());
    let _headless = a.stop_gateway_within(Duration::from_millis(200)).await;
    let end = there.read(&mut seen, usize::MAX).await.unwrap();
    let mut here = at(&b, &access).await;
    let again = follow(&mut here, &conversation, &mut answer, usize::MAX).await.unwrap();
    let stored = messages(&http, &b, &access, &conversation).await;
    is_whole("go on", &seen, &end, &stored);
    assert_eq!(again["message"]["text"], json!(seen.text), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_or_forgets_fails_no_answer() {
    let pair = Pair::met().await;
    let (mut here, mut there) = (pair.a.chat().await, pair.chat_at_b().await);
    let (conversation, mut answer) = here.begin("go on", 300).await;
    let mut seen = Answer::default();
    follow(&mut there, &conversation, &mut seen, 300).await;
    assert_eq!(pair.redis.ask(&["FLUSHALL"]), "OK");
    assert!(there.read(&mut seen, 900).await.is_none(), "it goes on");
    pair.redis.hang();
    let (mut window, asked) = (pair.a.chat().await, Instant::now());
    let (_, mut other) = window.begin("and this", 1).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "nobody waits for it: {:?}", asked.elapsed());
    window.read(&mut other, usize::MAX).await;
    pair.redis.wake();
    assert_eq!(other.text, expected_text(STEADY, "and this", None));
    let end = there.read(&mut seen, usize::MAX).await.unwrap();
    is_whole("go on", &seen, &end, &pair.stored(&conversation).await);
    here.read(&mut answer, usize::MAX).await;
    assert_eq!(answer.text, seen.text);
}

/// As after a long pause of a gateway, which does not know that it was taken for gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_taken_over_from_a_gateway_that_lives_has_one_owner_and_no_seam() {
    let pair = Pair::met().await;
    let mut here = pair.a.chat().await;
    let (conversation, mut answer) = here.begin("go on", 900).await;
    let (store, turns) = (pair.b.app().store.clone(), pair.b.app().turns.clone());
    let owner = pair.a.gateway.peer().to_string();
    let claimed = store.claim(Some(&owner), 9).await.unwrap();
    assert_eq!(claimed.len(), 1);
    turns.take_up(store.answers(&claimed).await.unwrap());
    let end = here.read(&mut answer, usize::MAX).await.unwrap();
    is_whole("go on", &answer, &end, &pair.stored(&conversation).await);
    assert_eq!(pair.a.gateway.app().turns.running(), 0);
}

/// Some question of a program's, at a gateway.
async fn stream(pair: &Pair, question: &str) -> reqwest::Response {
    let body = json!({
        "model": "scripted", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": question}],
    });
    let request = pair.a.http.post(pair.a.url("/v1/chat/completions")).bearer_auth(&pair.a.key).json(&body);
    request.header("x-starling-resumable", "true").send().await.unwrap()
}

async fn tokens_used(http: &reqwest::Client, gateway: &Running, access: &str) -> u64 {
    let url = format!("http://{}/api/me", gateway.http());
    let me: Value = http.get(url).bearer_auth(access).send().await.unwrap().json().await.unwrap();
    me["tokens"]["used"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_gateway_that_is_told_to_stop_goes_on_at_the_other_from_its_event_id() {
    let Pair { a, b, redis: _redis, _node, _data } = Pair::met().await;
    let pair = Pair { a, b, redis: _redis, _node, _data };
    let (http, key, access) = (pair.a.http.clone(), pair.a.key.clone(), pair.a.access.clone());
    let (mut client, mut line) = (Client::default(), Line::new(stream(&pair, "stream on").await));
    client.read(&mut line, 300).await;
    let Pair { a, b, .. } = pair;
    let stopping = a.stop_gateway_within(PATIENCE);
    let rest = client.read(&mut line, usize::MAX);
    let (_headless, ()) = tokio::join!(stopping, rest);
    assert!(!client.done, "it has not ended there");
    let url = format!("http://{}/v1/chat/completions/{}/events", b.http(), client.id);
    let more = || http.get(&url).bearer_auth(&key).header("last-event-id", client.last_event());
    let stranger = http.get(&url).bearer_auth(&access).header("last-event-id", format!("{}:99999", client.id));
    assert_eq!(stranger.send().await.unwrap().status(), 410, "that event never was");
    let response = more().send().await.unwrap();
    client.read(&mut Line::new(response), usize::MAX).await;
    assert!(client.done);
    assert_eq!(client.text, expected_text(STEADY, "stream on", None), "exactly once");
    let again = http.get(&url).bearer_auth(&key).header("last-event-id", client.last_event()).send().await.unwrap();
    assert_eq!(again.status(), 200, "it is kept there for a while");
    let limit = Instant::now() + PATIENCE;
    loop {
        let used = tokens_used(&http, &b, &access).await;
        if used > 600 {
            assert!(used < 700, "six hundred tokens and a short prompt count once: {used}");
            break;
        }
        assert!(Instant::now() < limit, "never counted: {used}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_closed_at_one_gateway_ends_at_both() {
    let pair = Pair::met().await;
    let admin = |method: reqwest::Method, path: &str| {
        pair.a.http.request(method, format!("http://{}{path}", pair.b.http())).bearer_auth(&pair.a.access)
    };
    let hash = pair.b.app().passwords.hash("a good password".to_owned().into()).await.unwrap();
    let anna =
        pair.b.app().store.create_user("anna", &hash, starling_gateway::store::users::Role::User).await.unwrap().id;
    let person = json!({"username": "anna", "password": "a good password"});
    let sign_in = pair.a.http.post(pair.a.url("/api/session")).json(&person).send().await.unwrap();
    let access = sign_in.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    let mut chat = at(&pair.a.gateway, &access).await;
    chat.begin("go on", 100).await;
    let body = json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": "and on"}]});
    let streamed = pair.a.http.post(pair.a.url("/v1/chat/completions")).bearer_auth(&access).json(&body);
    let mut line = Line::new(streamed.send().await.unwrap());
    assert!(line.event().await.is_some());
    assert_eq!(
        admin(reqwest::Method::DELETE, &format!("/api/users/{anna}")).json(&json!({})).send().await.unwrap().status(),
        204
    );
    let mut last = String::new();
    while let Some(event) = line.event().await {
        last = event;
    }
    assert!(last.contains("account_closed"), "{last}");
    until("nothing is computed", || pair.a.gateway.app().turns.running() == 0).await;
    let me = pair.a.http.get(pair.a.url("/api/me")).bearer_auth(&access).send().await.unwrap();
    assert_eq!(me.status(), 401, "at the other gateway, at once");
}
