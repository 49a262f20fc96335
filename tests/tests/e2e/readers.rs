//! Readers that leave and come back, and readers that do not read.

use std::time::{Duration, Instant};

use futures::{StreamExt, future::join_all, stream::BoxStream};
use reqwest::Response;
use serde_json::{Value, json};
use starling_tests::{Answer, PATIENCE, TestSwarm, expected_text};
use tokio::time::timeout;

const STEADY: &str = "seed=1,tokens_per_second=100,answer_tokens=200,slots=4";
/// Events of several megabytes: far more than fits between a gateway and a client who does not read.
const LONG: &str = "seed=1,tokens_per_second=0,answer_tokens=30000,context_tokens=40000,slots=4";
const ENDLESS: &str = "seed=1,tokens_per_second=20,answer_tokens=20000,context_tokens=30000,slots=16";

/// A client of a resumable answer.
#[derive(Default)]
pub(super) struct Client {
    /// The answer, once an event has named it.
    pub(super) id: String,
    /// The last event that came.
    pub(super) seen: u64,
    pub(super) text: String,
    pub(super) done: bool,
}

/// What comes over one connection.
pub(super) struct Line {
    chunks: BoxStream<'static, reqwest::Result<Vec<u8>>>,
    rest: Vec<u8>,
}

impl Line {
    pub(super) fn new(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        let chunks = response.bytes_stream().map(|chunk| chunk.map(|chunk| chunk.to_vec())).boxed();
        Self { chunks, rest: vec![] }
    }

    /// The next event; `None` when the answer is over.
    pub(super) async fn event(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let event = self.rest.drain(..end + 2).collect();
                return Some(String::from_utf8(event).unwrap());
            }
            let chunk = timeout(PATIENCE, self.chunks.next()).await.expect("the answer stands still")?;
            self.rest.extend(chunk.expect("the answer broke off"));
        }
    }
}

impl Client {
    /// Reads until the text is that long, or to its end.
    pub(super) async fn read(&mut self, line: &mut Line, bytes: usize) {
        while self.text.len() < bytes {
            let Some(event) = line.event().await else { return };
            self.take(&event);
        }
    }

    fn take(&mut self, event: &str) {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let Some(id) = field("id: ") else { return };
        let (id, number) = id.rsplit_once(':').unwrap();
        assert_eq!(number.parse::<u64>().unwrap(), self.seen + 1, "a gap, or a double");
        self.seen += 1;
        id.clone_into(&mut self.id);
        match field("data: ").unwrap() {
            "[DONE]" => self.done = true,
            data => {
                let chunk: Value = serde_json::from_str(data).unwrap();
                assert_eq!(chunk["id"], json!(self.id), "{chunk}");
                self.text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
            }
        }
    }

    pub(super) fn last_event(&self) -> String {
        format!("{}:{}", self.id, self.seen)
    }

    async fn again(&self, swarm: &TestSwarm) -> Line {
        Line::new(rest(swarm, &swarm.key, &self.id, &self.last_event()).await)
    }
}

async fn ask(swarm: &TestSwarm, prompt: &str) -> Response {
    let body = json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": prompt}]});
    let request = swarm.http.post(swarm.url("/v1/chat/completions")).bearer_auth(&swarm.key).json(&body);
    request.header("x-starling-resumable", "true").send().await.unwrap()
}

async fn rest(swarm: &TestSwarm, key: &str, id: &str, last_event: &str) -> Response {
    let request = swarm.http.get(swarm.url(&format!("/v1/chat/completions/{id}/events"))).bearer_auth(key);
    request.header("last-event-id", last_event).send().await.unwrap()
}

async fn code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_connection_breaks_gets_the_rest() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[STEADY]).await;
    let (expected, mut client) = (expected_text(STEADY, "go on", None), Client::default());
    let mut line = Line::new(ask(&swarm, "go on").await);
    for bytes in [1, 100, 101, 500, 900] {
        client.read(&mut line, bytes).await;
        // The new connection may also be there before the old one has ended.
        let next = client.again(&swarm).await;
        line = next;
    }
    drop(line);
    // Long enough for the answer to end meanwhile.
    swarm.is_idle().await;
    let mut line = client.again(&swarm).await;
    client.read(&mut line, usize::MAX).await;
    assert!(client.done);
    assert_eq!(client.text, expected);
    let mut all = Client { id: client.id.clone(), ..Client::default() };
    let mut line = all.again(&swarm).await;
    all.read(&mut line, usize::MAX).await;
    assert_eq!((all.text, all.seen), (expected, client.seen), "from the beginning, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_an_answer_is_its_owners() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[STEADY]).await;
    let mut client = Client::default();
    client.read(&mut Line::new(ask(&swarm, "go on").await), 100).await;
    let hash = swarm.gateway.app().passwords.hash("a good password".to_owned().into()).await.unwrap();
    let store = &swarm.gateway.app().store;
    store.create_user("other", &hash, starling_gateway::store::users::Role::User).await.unwrap();
    let other = json!({"username": "other", "password": "a good password"});
    let session = swarm.http.post(swarm.url("/api/session")).json(&other).send().await.unwrap();
    let session: Value = session.json().await.unwrap();
    let request = swarm.http.get(swarm.url(&format!("/v1/chat/completions/{}/events", client.id)));
    let refused = request.bearer_auth(session["access_token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(code(refused).await, (404, "no_such_completion".to_owned()));
    let (id, key) = (client.id.as_str(), swarm.key.as_str());
    for (event, status) in
        [("nonsense", 400), ("chatcmpl-1:1", 400), (&format!("{id}:x"), 400), (&format!("{id}:999999"), 410)]
    {
        assert_eq!(rest(&swarm, key, id, event).await.status(), status, "{event}");
    }
    assert_eq!(rest(&swarm, key, "chatcmpl-1", "chatcmpl-1:1").await.status(), 404);
    // None of that has taken the answer from its reader.
    let mut line = client.again(&swarm).await;
    client.read(&mut line, usize::MAX).await;
    assert_eq!(client.text, expected_text(STEADY, "go on", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_more_resumable_answers_than_fit() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[ENDLESS]).await;
    let prompts: Vec<String> = (0..8).map(|i| format!("question {i}")).collect();
    let answers = join_all(prompts.iter().map(|prompt| ask(&swarm, prompt))).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
    let refused = ask(&swarm, "one more").await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(code(refused).await, (429, "too_many_resumable".to_owned()));
    swarm.sees("the slots taken", |view| view.nodes[0].slots_free == 8).await;
    // Nobody comes back: then nothing is computed any more, and not at once.
    let left = Instant::now();
    drop(answers);
    swarm.is_idle().await;
    let freed = left.elapsed();
    assert!((Duration::from_secs(14)..Duration::from_secs(18)).contains(&freed), "{freed:?}");
    assert_eq!(ask(&swarm, "and now").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[LONG]).await;
    let mut slow = Line::new(ask(&swarm, "slow").await);
    let mut client = Client::default();
    client.read(&mut slow, 1).await;
    let mut quick = Client::default();
    quick.read(&mut Line::new(ask(&swarm, "quick").await), usize::MAX).await;
    assert!(quick.done && quick.text == expected_text(LONG, "quick", None));
    swarm.sees("that the node waits for the slow one", |view| view.nodes[0].slots_free == 3).await;
    client.read(&mut slow, usize::MAX).await;
    assert!(client.done && client.text == expected_text(LONG, "slow", None));
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_read_holds_nobody_up() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[LONG]).await;
    let mut silent = swarm.chat().await;
    silent.ask(None, "go on").await;
    let accepted = silent.wait_for(&["accepted"]).await;
    let conversation = &accepted["conversation"]["id"];
    let mut others = vec![];
    // A second device that reads, and some that do not.
    for _ in 0..4 {
        let mut page = swarm.chat().await;
        page.join(conversation, &Answer::default()).await;
        others.push(page);
    }
    let (mut page, mut answer) = (others.pop().unwrap(), Answer::default());
    let end = page.read(&mut answer, usize::MAX).await.unwrap();
    let expected = expected_text(LONG, "go on", None);
    assert!(answer.text == expected && end["message"]["text"] == json!(expected));
    swarm.is_idle().await;
    for mut page in others.into_iter().chain([silent]) {
        let mut late = Answer::default();
        page.read(&mut late, usize::MAX).await.unwrap();
        assert!(late.text == expected, "{} bytes", late.text.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_loses_its_line_often_sees_no_seam() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[STEADY]).await;
    let mut page = swarm.chat().await;
    page.ask(None, "go on").await;
    let accepted = page.wait_for(&["accepted"]).await;
    let mut answer = Answer { turn: accepted["turn"].clone(), ..Answer::default() };
    for bytes in [1, 50, 300, 301, 700] {
        page.read(&mut answer, bytes).await;
        page = swarm.chat().await;
        let before = answer.text.clone();
        page.join(&accepted["conversation"]["id"], &answer).await;
        page.read(&mut answer, bytes + 1).await;
        assert!(answer.text.starts_with(&before));
    }
    let end = page.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!(answer.text, expected_text(STEADY, "go on", None));
    assert_eq!(end["message"]["text"], json!(answer.text));
}
