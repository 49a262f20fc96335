//! Answers whose streams break or move: the reader sees no seam, and nothing is left running.

use std::time::{Duration, Instant};

use futures::{
    AsyncWriteExt, StreamExt,
    future::{join, join_all},
    stream::BoxStream,
};
use serde_json::{Value, json};
use starling_protocol::{
    JobId, frame,
    limits::MAX_EVENT_FRAME,
    message::{
        Chat, ChatMessage, JobEvent, JobOpening, JobOrder, JobRequest, Piece, Refusal, Resume, Role as Author, Task,
    },
    swarm::{PeerId, Role, Stream},
};
use starling_tests::{MemberPeer, PATIENCE, TestNode, TestSwarm, expected_text, loopback};
use tokio::time::timeout;

/// Some three seconds for each answer.
const STEADY: &str = "seed=1,tokens_per_second=100,answer_tokens=300,slots=4";
/// Far more than fits between a node and a reader who does not read.
const LONG: &str = "seed=1,tokens_per_second=0,answer_tokens=20000,context_tokens=30000,slots=4";
const ENDLESS: &str = "seed=1,tokens_per_second=50,answer_tokens=20000,context_tokens=30000,slots=2";

/// A streamed answer, as far as it was read.
pub(crate) struct Reading {
    chunks: BoxStream<'static, reqwest::Result<Vec<u8>>>,
    /// Bytes of an event that is not whole yet.
    rest: Vec<u8>,
    text: String,
    done: bool,
}

impl Reading {
    pub(crate) async fn of(swarm: &TestSwarm, prompt: &str) -> Self {
        let body = json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": prompt}]});
        let response = swarm.complete(&body).await;
        assert_eq!(response.status(), 200);
        let chunks = response.bytes_stream().map(|chunk| chunk.map(|chunk| chunk.to_vec())).boxed();
        Self { chunks, rest: vec![], text: String::new(), done: false }
    }

    /// Reads until the text is that long, or to its end.
    pub(crate) async fn read(&mut self, bytes: usize) {
        while self.text.len() < bytes && !self.done {
            let chunk = timeout(PATIENCE, self.chunks.next()).await.expect("the answer stands still");
            self.rest.extend(chunk.expect("the answer broke off").unwrap());
            while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.rest.drain(..end + 2).collect();
                self.take(std::str::from_utf8(&event).unwrap());
            }
        }
    }

    fn take(&mut self, event: &str) {
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
        if data == "[DONE]" {
            self.done = true;
        } else if let Ok(chunk) = serde_json::from_str::<Value>(data) {
            assert!(chunk.get("error").is_none(), "{chunk}");
            self.text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        }
    }

    pub(crate) async fn read_all(mut self) -> String {
        self.read(usize::MAX).await;
        assert!(self.done);
        self.text
    }
}

/// Places in a text of that length, in order, and others each time.
fn places(count: usize, length: usize, seed: u64) -> Vec<usize> {
    let mut state = seed;
    let mut places: Vec<usize> = (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % length
        })
        .collect();
    places.sort_unstable();
    places
}

pub(crate) fn metric(swarm: &TestSwarm, series: &str) -> u64 {
    let metrics = swarm.gateway.app().metrics.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("starling_{series} ")));
    line.map_or(0, |value| value.parse().unwrap())
}

async fn is_idle_within(swarm: &TestSwarm, limit: Duration) -> Duration {
    let began = Instant::now();
    swarm.is_idle().await;
    assert!(began.elapsed() < limit, "the slots were free after {:?}", began.elapsed());
    began.elapsed()
}

async fn survives(breaks: usize) {
    let (swarm, nodes) = TestSwarm::with_nodes(&[STEADY]).await;
    let expected = expected_text(STEADY, "go on", None);
    let mut reading = Reading::of(&swarm, "go on").await;
    for place in places(breaks, expected.len() * 3 / 4, breaks as u64) {
        reading.read(place.max(1)).await;
        swarm.cut(&nodes[0]).await;
    }
    assert_eq!(reading.read_all().await, expected);
    is_idle_within(&swarm, Duration::from_secs(2)).await;
    let resumed = metric(&swarm, "job_resumes_total{outcome=\"resumed\"}");
    // Two breaks that are near to each other are one.
    assert!(resumed >= 1 && resumed <= breaks as u64, "{resumed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_one_break() {
    survives(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_two_breaks() {
    survives(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_five_breaks() {
    survives(5).await;
}

/// The readers stop in the middle, so that everything between engine and reader is full when the stream breaks.
#[tokio::test(flavor = "multi_thread")]
async fn many_slow_readers_lose_nothing_when_their_streams_break() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[LONG]).await;
    let prompts: Vec<String> = (0..4).map(|i| format!("question {i}")).collect();
    let mut readings = join_all(prompts.iter().map(|prompt| Reading::of(&swarm, prompt))).await;
    for place in [1, 100_000, 300_000] {
        join_all(readings.iter_mut().map(|reading| reading.read(place))).await;
        swarm.cut(&nodes[0]).await;
    }
    let texts = join_all(readings.into_iter().map(Reading::read_all)).await;
    for (prompt, text) in prompts.iter().zip(texts) {
        // Not `assert_eq`: nobody wants to read them.
        assert!(text == expected_text(LONG, prompt, None), "{} bytes of {prompt}", text.len());
    }
    is_idle_within(&swarm, Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_outlive_a_break() {
    let options = "kind=embedding,dimensions=32,prefill_tokens_per_second=300,slots=2";
    let (swarm, nodes) = TestSwarm::with_nodes(&[options]).await;
    let texts: Vec<String> = (0..32).map(|i| format!("the text of number {i:04}, made longer than it is")).collect();
    let body = json!({"model": swarm.gateway.app().dispatch.view().borrow().models[0].name, "input": texts});
    let ask = async || {
        let request = swarm.http.post(swarm.url("/v1/embeddings")).bearer_auth(&swarm.key).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["data"].as_array().map(Vec::len), Some(32), "{answer}");
        answer["data"].clone()
    };
    let undisturbed = ask().await;
    let mut load = nodes[0].node.as_ref().unwrap().models()[0].engine.load();
    let cut = async {
        timeout(PATIENCE, load.wait_for(|load| load.running > 0)).await.expect("no job began").unwrap();
        // What the gateway then says it has has to be there: a job that is not accepted yet is another's to answer.
        swarm.sees("a job", |view| view.nodes.iter().any(|node| node.slots_free < node.slots)).await;
        swarm.cut(&nodes[0]).await;
    };
    is_idle_within(&swarm, Duration::from_secs(2)).await;
    assert_eq!(join(ask(), cut).await.0, undisturbed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_frees_the_slot_at_once() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[ENDLESS]).await;
    let taken = |free| move |view: &starling_gateway::dispatch::View| view.nodes.iter().any(|n| n.slots_free == free);
    let mut reading = Reading::of(&swarm, "a long story").await;
    reading.read(1).await;
    swarm.sees("a slot taken", taken(1)).await;
    drop(reading);
    is_idle_within(&swarm, Duration::from_secs(1)).await;

    let mut reading = Reading::of(&swarm, "another").await;
    reading.read(1).await;
    swarm.cut(&nodes[0]).await;
    reading.read(reading.text.len() + 1_000).await;
    swarm.sees("a slot taken", taken(1)).await;
    drop(reading);
    is_idle_within(&swarm, Duration::from_secs(1)).await;
}

/// A bare peer that is a gateway of the swarm.
struct Bare(MemberPeer);

impl Bare {
    async fn connected(swarm: &TestSwarm, node: PeerId) -> Self {
        Self(MemberPeer::of(swarm, Role::Gateway, node).await)
    }

    async fn open(&self, node: &TestNode, opening: JobOpening) -> Stream {
        let mut stream = self.0.handle.open_job(node.peer).await.unwrap();
        frame::write(&mut stream, &opening).await.unwrap();
        stream
    }

    async fn begin(&self, node: &TestNode) -> (Stream, JobRequest) {
        let model = node.node.as_ref().unwrap().models()[0].id;
        let chat = Chat { messages: vec![ChatMessage::new(Author::User, "hello")], ..Chat::default() };
        let request = JobRequest { job: JobId::generate(), attempt: 1, model, task: Task::Chat(chat), beats: false };
        let mut stream = self.open(node, JobOpening::Begin(request.clone())).await;
        assert!(matches!(event(&mut stream).await, Some(JobEvent::Accepted(_))));
        (stream, request)
    }

    /// What the node first says to it.
    async fn resume(&self, node: &TestNode, request: &JobRequest, received: u64) -> (Stream, Option<JobEvent>) {
        let resume = Resume { job: request.job, attempt: request.attempt, received };
        let mut stream = self.open(node, JobOpening::Resume(resume)).await;
        let event = event(&mut stream).await;
        (stream, event)
    }
}

/// The next event; none when the stream has ended.
async fn event(stream: &mut Stream) -> Option<JobEvent> {
    timeout(PATIENCE, frame::read(stream, MAX_EVENT_FRAME)).await.expect("the node is silent").ok()
}

/// The numbers of the next pieces.
async fn pieces(stream: &mut Stream, count: u64) -> Vec<u64> {
    let mut seqs = vec![];
    for _ in 0..count {
        let Some(JobEvent::Piece(Piece { seq, .. })) = event(stream).await else { break };
        seqs.push(seq);
    }
    seqs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_gone_for_good_holds_its_slots_for_the_grace_only() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[ENDLESS]).await;
    let gateway = Bare::connected(&swarm, nodes[0].peer).await;
    let (stream, _) = gateway.begin(&nodes[0]).await;
    let (other, _) = gateway.begin(&nodes[0]).await;
    swarm.sees("both slots taken", |view| view.nodes.iter().any(|node| node.slots_free == 0)).await;
    drop((stream, other, gateway));
    let took = is_idle_within(&swarm, Duration::from_secs(10)).await;
    assert!(took > Duration::from_secs(6), "given up after {took:?}, before its gateway would be");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_belongs_to_the_gateway_that_began_it() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[ENDLESS]).await;
    let node = &nodes[0];
    let (ours, theirs) = join(Bare::connected(&swarm, node.peer), Bare::connected(&swarm, node.peer)).await;
    let (mut stream, request) = ours.begin(node).await;
    assert_eq!(pieces(&mut stream, 3).await, [0, 1, 2]);
    let not_here = |event: &Option<JobEvent>| matches!(event, Some(JobEvent::Refused(Refusal::NotHere)));
    assert!(not_here(&theirs.resume(node, &request, 0).await.1), "a forged one");
    let other = JobRequest { attempt: 2, ..request.clone() };
    assert!(not_here(&ours.resume(node, &other, 0).await.1), "an attempt that never was");
    let (_, refused) = ours.resume(node, &request, 1_000_000).await;
    assert!(matches!(refused, Some(JobEvent::Refused(Refusal::Invalid { .. }))), "{refused:?}");
    let mut again = ours.open(node, JobOpening::Begin(request.clone())).await;
    let refused = event(&mut again).await;
    assert!(matches!(refused, Some(JobEvent::Refused(Refusal::Invalid { .. }))), "{refused:?}");
    assert_eq!(pieces(&mut stream, 3).await, [3, 4, 5], "nothing of that has touched the attempt");

    let (mut second, resumed) = ours.resume(node, &request, 3).await;
    assert_eq!(resumed, Some(JobEvent::Resumed));
    assert_eq!(pieces(&mut second, 3).await, [2, 3, 4]);
    while let Some(event) = event(&mut stream).await {
        assert!(matches!(event, JobEvent::Piece(_)), "{event:?}");
    }
    frame::write(&mut second, &JobOrder::End).await.unwrap();
    is_idle_within(&swarm, Duration::from_secs(1)).await;
    assert!(not_here(&ours.resume(node, &request, 0).await.1), "forgotten");
}

/// As over a path that was cut without a word: the stream is there, and nothing comes.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_gateway_is_not_heard_any_more_ends_within_ten_seconds() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[ENDLESS]).await;
    let gateway = Bare::connected(&swarm, nodes[0].peer).await;
    let model = nodes[0].node.as_ref().unwrap().models()[0].id;
    let chat = Chat { messages: vec![ChatMessage::new(Author::User, "hello")], ..Chat::default() };
    let request = JobRequest { job: JobId::generate(), attempt: 1, model, task: Task::Chat(chat), beats: true };
    let mut stream = gateway.open(&nodes[0], JobOpening::Begin(request)).await;
    assert!(matches!(event(&mut stream).await, Some(JobEvent::Accepted(_))));
    assert_eq!(pieces(&mut stream, 100).await.len(), 100);
    frame::write(&mut stream, &JobOrder::Received(100)).await.unwrap();
    let took = is_idle_within(&swarm, Duration::from_secs(10)).await;
    assert!(took > Duration::from_secs(6), "given up after {took:?}");
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_attempt_ends_an_older_one_that_still_runs() {
    let (swarm, nodes) = TestSwarm::with_nodes(&["seed=1,tokens_per_second=50,answer_tokens=20000,slots=1"]).await;
    let node = &nodes[0];
    let gateway = Bare::connected(&swarm, node.peer).await;
    let (mut older, request) = gateway.begin(node).await;
    assert_eq!(pieces(&mut older, 3).await, [0, 1, 2]);
    // As a gateway does that was restarted and knows of the job only what it has stored.
    let again = JobRequest { attempt: 5, ..request.clone() };
    let mut newer = gateway.open(node, JobOpening::Begin(again)).await;
    let accepted = event(&mut newer).await;
    assert!(matches!(accepted, Some(JobEvent::Accepted(_))), "the only slot is its own: {accepted:?}");
    while event(&mut older).await.is_some() {}
    assert_eq!(pieces(&mut newer, 3).await, [0, 1, 2]);
    let mut late = gateway.open(node, JobOpening::Begin(JobRequest { attempt: 4, ..request.clone() })).await;
    let refused = event(&mut late).await;
    assert!(matches!(refused, Some(JobEvent::Refused(Refusal::Invalid { .. }))), "{refused:?}");
    let (_, resumed) = gateway.resume(node, &request, 0).await;
    assert_eq!(resumed, Some(JobEvent::Refused(Refusal::NotHere)), "there is no older one any more");
    frame::write(&mut newer, &JobOrder::End).await.unwrap();
    is_idle_within(&swarm, Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resumes_harms_nobody() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[ENDLESS]).await;
    let node = &nodes[0];
    let gateway = Bare::connected(&swarm, node.peer).await;
    let (_stream, request) = gateway.begin(node).await;
    let flood = join_all((0..500).map(|_| async {
        let Ok(mut stream) = gateway.0.handle.open_job(node.peer).await else { return };
        let resume = Resume { job: request.job, attempt: request.attempt, received: 0 };
        let _ = frame::write(&mut stream, &JobOpening::Resume(resume)).await;
        let answer = timeout(PATIENCE, frame::read::<JobEvent>(&mut stream, MAX_EVENT_FRAME)).await;
        let answer = answer.expect("the node is silent").ok();
        // None: another one came before the word was out.
        let fine = matches!(answer, None | Some(JobEvent::Resumed | JobEvent::Refused(Refusal::Busy)));
        assert!(fine, "{answer:?}");
        let _ = stream.close().await;
    }));
    let answers = Reading::of(&swarm, "meanwhile");
    let (mut reading, _) = join(answers, flood).await;
    reading.read(100).await;
    assert!(expected_text(ENDLESS, "meanwhile", None).starts_with(&reading.text));
    let (mut last, resumed) = gateway.resume(node, &request, 1).await;
    assert_eq!(resumed, Some(JobEvent::Resumed));
    assert_eq!(pieces(&mut last, 5).await, [0, 1, 2, 3, 4]);
    frame::write(&mut last, &JobOrder::End).await.unwrap();
    drop(reading);
    is_idle_within(&swarm, Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_answer_moves_to_a_direct_path_in_its_midst() {
    let swarm = TestSwarm::start_relayed().await;
    let node = swarm.add_node(ENDLESS).await;
    swarm.sees("the node over the relay", |view| view.nodes.iter().any(|node| node.relayed)).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "go on").await;
    let turn = chat.wait_for(&["accepted"]).await["turn"].clone();
    assert_eq!(chat.wait_for(&["started"]).await["path"], "relayed");
    let mut text = chat.wait_for(&["piece"]).await["text"].as_str().unwrap().to_owned();
    node.node.as_ref().unwrap().swarm().listen(loopback()).await;
    let mut moved_at = None;
    // Well beyond the place where it moved.
    while moved_at.is_none_or(|at| text.len() < at + 1_000) {
        let frame = chat.wait_for(&["piece", "started", "done", "failed"]).await;
        match frame["text"].as_str() {
            Some(piece) => text.push_str(piece),
            None => {
                assert_eq!((&frame["type"], &frame["path"]), (&json!("started"), &json!("direct")), "{frame}");
                moved_at = Some(text.len());
            }
        }
    }
    chat.send(&json!({"type": "stop", "turn": turn})).await;
    let (rest, end) = chat.read_answer().await;
    assert_eq!(end["message"]["status"], "partial", "{end}");
    text.push_str(&rest);
    assert!(expected_text(ENDLESS, "go on", None).starts_with(&text), "no gap and no double");
    assert_eq!(metric(&swarm, "job_moves_total{to=\"direct\"}"), 1);
    is_idle_within(&swarm, Duration::from_secs(1)).await;
}
