//! Nodes that go in the middle of an answer: it goes on on another one, from the tokens that the reader has, and the
//! reader sees no seam. Each text is compared with what one node alone would have said, byte for byte.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starling_gateway::dispatch::View;
use starling_protocol::swarm::PeerId;
use starling_tests::{TestNode, TestSwarm, expected_text};

use super::resume::{Reading, metric};

/// Some three seconds for each answer.
const STEADY: &str = "seed=1,tokens_per_second=100,answer_tokens=300,slots=4";
/// Bytes of one of its tokens, about.
const TOKEN: usize = 8;

/// The node that has an answer running.
pub(crate) fn busy(view: &View) -> Option<PeerId> {
    view.nodes.iter().find(|node| node.slots_free < node.slots).map(|node| node.peer)
}

async fn runs(swarm: &TestSwarm) -> PeerId {
    let mut found = None;
    let see = |view: &View| {
        found = busy(view);
        found.is_some()
    };
    swarm.sees("a running answer", see).await;
    found.unwrap()
}

fn of(nodes: &mut [TestNode], peer: PeerId) -> &mut TestNode {
    nodes.iter_mut().find(|node| node.peer == peer).unwrap()
}

/// Nothing is left running anywhere.
async fn is_idle_within(swarm: &TestSwarm, limit: Duration) {
    let began = Instant::now();
    swarm.is_idle().await;
    assert!(began.elapsed() < limit, "the slots were free after {:?}", began.elapsed());
}

/// Two nodes, and the one that answers is killed when so many bytes have come.
async fn outlives_a_kill_at(place: usize) {
    let (swarm, mut nodes) = TestSwarm::with_nodes(&[STEADY; 2]).await;
    let mut reading = Reading::of(&swarm, "go on").await;
    reading.read(place).await;
    of(&mut nodes, runs(&swarm).await).kill();
    let killed = Instant::now();
    reading.read(place + 30 * TOKEN).await;
    assert!(killed.elapsed() < Duration::from_millis(4_500), "it went on after {:?}", killed.elapsed());
    assert_eq!(reading.read_all().await, expected_text(STEADY, "go on", None));
    let continued = |reason| metric(&swarm, &format!("answers_continued_total{{reason=\"{reason}\"}}"));
    assert_eq!(continued("silent") + continued("lost"), 1);
    is_idle_within(&swarm, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_its_node_at_its_first_token() {
    outlives_a_kill_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_its_node_in_its_midst() {
    outlives_a_kill_at(100 * TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_its_node_near_its_end() {
    outlives_a_kill_at(200 * TOKEN).await;
}

/// A node whose engine fails at that token and a good one; both are asked, as the failing one is there first.
async fn goes_on_after(fault: &str, reason: &str) {
    let good = "seed=1,tokens_per_second=200,answer_tokens=60,slots=2";
    let swarm = TestSwarm::start().await;
    let bad = swarm.add_node(&format!("{good},fault={fault}")).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "a question").await;
    chat.wait_for(&["piece"]).await;
    let _node = swarm.add_node(good).await;
    let (_, end) = chat.read_answer().await;
    assert_eq!((&end["type"], &end["message"]["status"]), (&json!("done"), &json!("complete")), "{end}");
    assert_eq!(end["message"]["text"], json!(expected_text(good, "a question", None)));
    assert_ne!(end["message"]["answer"]["node_peer"], json!(bad.peer.to_string()), "{end}");
    assert_eq!(metric(&swarm, &format!("answers_continued_total{{reason=\"{reason}\"}}")), 1);
    is_idle_within(&swarm, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_its_engine() {
    Box::pin(goes_on_after("die@30", "engine_died")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_a_lack_of_memory() {
    Box::pin(goes_on_after("oom@30", "out_of_memory")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_garbage() {
    Box::pin(goes_on_after("garbage@30", "garbage")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_two_engines_is_not_given_to_a_third() {
    let deadly = "seed=1,tokens_per_second=200,answer_tokens=60,slots=2,fault=die@30";
    let (swarm, _nodes) = TestSwarm::with_nodes(&[deadly; 3]).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "a deadly question").await;
    let (text, end) = chat.read_answer().await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("node_failed")), "{end}");
    assert_eq!(end["message"]["text"], json!(text), "what there is stays");
    assert!(expected_text(deadly, "a deadly question", None).starts_with(&text) && !text.is_empty(), "{text}");
    let serve = |view: &View| view.nodes.iter().filter(|node| !node.models.is_empty()).count();
    swarm.sees("one engine untouched", |view| serve(view) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_a_node_that_comes_soon() {
    let (swarm, mut nodes) = TestSwarm::with_nodes(&[STEADY]).await;
    let mut reading = Reading::of(&swarm, "wait").await;
    reading.read(50 * TOKEN).await;
    nodes[0].kill();
    swarm.sees("it go", |view| view.nodes.is_empty()).await;
    let _node = swarm.add_node(STEADY).await;
    assert_eq!(reading.read_all().await, expected_text(STEADY, "wait", None));
}

/// Thoughts, an answer, and a call of a tool: whatever is cut in two at the seam is read as if it were not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_half_read_at_the_seam_is_read_on() {
    let say = "%3cthink%3eI should look it up%2C at length and with care.%3c/think%3e%3ctool_call%3e\
               {\"name\": \"look\"%2C \"arguments\": {\"for\": \"a long thing that takes some time\"}}%3c/tool_call%3e";
    let options = format!("seed=1,tokens_per_second=60,answer_tokens=0,slots=2,style=reasoning+tools,say={say}");
    let ask = json!({
        "model": "scripted",
        "messages": [{"role": "user", "content": "look"}],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
    });
    let (swarm, _nodes) = TestSwarm::with_nodes(&[&options]).await;
    let whole: Value = swarm.complete(&ask).await.json().await.unwrap();
    let (whole, usage) = (whole["choices"][0].clone(), whole["usage"].clone());
    assert_eq!(whole["finish_reason"], "tool_calls", "{whole}");
    for token in [5, 25, 45] {
        let swarm = TestSwarm::start().await;
        let _bad = swarm.add_node(&format!("{options},fault=garbage@{token}")).await;
        let answer = async { swarm.complete(&ask).await.json::<Value>().await.unwrap() };
        let other = async {
            runs(&swarm).await;
            swarm.add_node(&options).await
        };
        let (mut answer, _node) = futures::future::join(answer, other).await;
        let call = |answer: &mut Value| answer["message"]["tool_calls"][0]["id"].take();
        let mut whole = whole.clone();
        assert_ne!(call(&mut answer["choices"][0]), call(&mut whole));
        assert_eq!(answer["choices"][0], whole, "at token {token}");
        assert_eq!(answer["usage"]["completion_tokens"], usage["completion_tokens"]);
        assert_eq!(answer["usage"]["prompt_tokens"], usage["prompt_tokens"]);
        assert_eq!(metric(&swarm, "answers_continued_total{reason=\"garbage\"}"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_begun_goes_before_those_that_wait() {
    let options = "seed=1,tokens_per_second=40,answer_tokens=80,slots=1";
    let swarm = TestSwarm::start().await;
    let _bad = swarm.add_node(&format!("{options},fault=oom@40")).await;
    let mut first = Reading::of(&swarm, "first").await;
    first.read(TOKEN).await;
    let _good = swarm.add_node(options).await;
    let mut second = Reading::of(&swarm, "second").await;
    second.read(TOKEN).await;
    // Both slots are taken, and this one waits for the good one's.
    let third = tokio::spawn(async move {
        let ask = json!({"model": "scripted", "messages": [{"role": "user", "content": "third"}]});
        let body: Value = swarm.complete(&ask).await.json().await.unwrap();
        (Instant::now(), body)
    });
    let texts = futures::future::join(first.read_all(), second.read_all()).await;
    let begun = Instant::now();
    assert_eq!(texts.0, expected_text(options, "first", None));
    assert_eq!(texts.1, expected_text(options, "second", None));
    let (ended, body) = third.await.unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], json!(expected_text(options, "third", None)), "{body}");
    assert!(ended > begun, "it has waited for its turn");
}

/// A node with a thread of its own, which can be made to stand still as a whole, as one that was sent SIGSTOP.
struct Apart {
    peer: PeerId,
    freeze: tokio::sync::mpsc::Sender<std::sync::mpsc::Receiver<()>>,
}

impl Apart {
    async fn start(swarm: &TestSwarm, options: &str) -> Self {
        let config = swarm.node_config(&[options]);
        let peer = config.swarm.peer();
        let (freeze, mut frozen) = tokio::sync::mpsc::channel::<std::sync::mpsc::Receiver<()>>(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let _node = Box::pin(starling_node::start(config)).await.map_err(|exit| format!("{exit:?}")).unwrap();
                while let Some(thaw) = frozen.recv().await {
                    // Blocks the only thread that it has, until the other end is dropped.
                    let _ = thaw.recv();
                }
            });
        });
        swarm.sees("it", |view| view.nodes.iter().any(|node| node.peer == peer && !node.models.is_empty())).await;
        Self { peer, freeze }
    }

    /// Stands still until the guard is dropped.
    async fn freeze(&self) -> std::sync::mpsc::SyncSender<()> {
        let (guard, thaw) = std::sync::mpsc::sync_channel(0);
        self.freeze.send(thaw).await.unwrap();
        guard
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_is_replaced_within_two_seconds() {
    let swarm = TestSwarm::start().await;
    let node = Apart::start(&swarm, STEADY).await;
    let mut reading = Reading::of(&swarm, "still").await;
    reading.read(50 * TOKEN).await;
    let _other = swarm.add_node(STEADY).await;
    reading.read(80 * TOKEN).await;
    let still = node.freeze().await;
    let frozen = Instant::now();
    // What was on its way when it stopped is less than this.
    reading.read(130 * TOKEN).await;
    assert!(frozen.elapsed() < Duration::from_millis(4_500), "it went on after {:?}", frozen.elapsed());
    assert_eq!(reading.read_all().await, expected_text(STEADY, "still", None));
    assert_eq!(metric(&swarm, "hedges_total{outcome=\"won\"}"), 1);
    assert_eq!(metric(&swarm, "answers_continued_total{reason=\"silent\"}"), 1);
    drop(still);
    swarm.sees("it again", |view| view.nodes.iter().any(|seen| seen.peer == node.peer)).await;
    is_idle_within(&swarm, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_is_seen_when_nobody_is_idle_and_used_when_it_comes_back() {
    let swarm = TestSwarm::start().await;
    let node = Apart::start(&swarm, STEADY).await;
    let mut reading = Reading::of(&swarm, "alone").await;
    reading.read(50 * TOKEN).await;
    let still = node.freeze().await;
    let frozen = Instant::now();
    let lost = async {
        while metric(&swarm, "answers_continued_total{reason=\"lost\"}") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), lost).await.expect("it is never seen");
    assert!(frozen.elapsed() < Duration::from_secs(9), "seen after {:?}", frozen.elapsed());
    drop(still);
    assert_eq!(reading.read_all().await, expected_text(STEADY, "alone", None));
    is_idle_within(&swarm, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_stands_still_is_replaced_within_two_seconds() {
    let swarm = TestSwarm::start().await;
    let _bad = swarm.add_node(&format!("{STEADY},fault=hang@100")).await;
    let mut reading = Reading::of(&swarm, "hang").await;
    reading.read(50 * TOKEN).await;
    let _good = swarm.add_node(STEADY).await;
    reading.read(95 * TOKEN).await;
    let began = Instant::now();
    reading.read(130 * TOKEN).await;
    assert!(began.elapsed() < Duration::from_millis(4_500), "it went on after {:?}", began.elapsed());
    assert_eq!(reading.read_all().await, expected_text(STEADY, "hang", None));
    assert_eq!(metric(&swarm, "hedges_total{outcome=\"won\"}"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_node_that_lives_is_not_given_up() {
    // Ten seconds to read the question, and then a token every second and a half.
    let slow = "seed=1,answer_tokens=4,slots=2,prefill_tokens_per_second=1,tokens_per_second=0.7";
    let swarm = TestSwarm::start().await;
    let _slow = swarm.add_node(slow).await;
    let mut chat = swarm.chat().await;
    let question = "a question of some ten tokens or so";
    chat.ask(None, question).await;
    chat.wait_for(&["started"]).await;
    let _idle = swarm.add_node("seed=1,answer_tokens=4,slots=2").await;
    let (text, end) = chat.read_answer().await;
    assert_eq!((&end["type"], text), (&json!("done"), expected_text(slow, question, None)), "{end}");
    assert_eq!(metric(&swarm, "hedges_total{outcome=\"begun\"}"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_hands_its_answers_over() {
    let (swarm, mut nodes) = TestSwarm::with_nodes(&[STEADY]).await;
    let mut readings = vec![];
    for number in 0..3 {
        let mut reading = Reading::of(&swarm, &format!("question {number}")).await;
        reading.read(30 * TOKEN).await;
        readings.push(reading);
    }
    let _other = swarm.add_node(STEADY).await;
    let began = Instant::now();
    nodes[0].stop(Duration::from_secs(20)).await;
    assert!(began.elapsed() < Duration::from_secs(5), "it left after {:?}", began.elapsed());
    for (number, reading) in readings.into_iter().enumerate() {
        assert_eq!(reading.read_all().await, expected_text(STEADY, &format!("question {number}"), None));
    }
    assert_eq!(metric(&swarm, "answers_continued_total{reason=\"stopping\"}"), 3);
    is_idle_within(&swarm, Duration::from_secs(5)).await;
}
