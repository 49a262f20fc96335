//! Nodes that leave their machine to others and come back: their answers go on elsewhere without a seam, their memory is
//! free, and everybody is told.

use std::{
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use starling_gateway::dispatch::View;
use starling_inference::Load;
use starling_node::{desk, polite};
use starling_protocol::{message::PauseKind, swarm::PeerId};
use starling_tests::{PATIENCE, TestNode, TestSwarm, expected_text, until_some};
use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};

use super::{
    resume::{Reading, metric},
    takeover::busy,
    topology::Watch,
};

/// Some six seconds for each answer.
const STEADY: &str = "seed=1,tokens_per_second=50,answer_tokens=300,slots=4";
/// Bytes of one of its tokens, about.
const TOKEN: usize = 8;
/// On a machine that does a lot else; what it takes is a fraction of this.
const AT_ONCE: Duration = Duration::from_millis(4_500);

/// A node with a folder, at whose desk it can be asked.
struct Home {
    node: TestNode,
    data: TempDir,
}

impl Home {
    async fn add(swarm: &TestSwarm, options: &str, polite: polite::Options) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = starling_node::Config {
            polite,
            data: Some(data.path().to_owned()),
            name: "home".to_owned(),
            ..swarm.node_config(&[options])
        };
        Self { node: swarm.add(config).await, data }
    }

    async fn pause(&self) {
        let node = polite::command::NodeOptions { data: Some(self.data.path().to_owned()) };
        polite::command::pause(polite::command::PauseOptions { lasts: None, node }).await.unwrap();
    }

    async fn resume(&self) {
        let node = polite::command::NodeOptions { data: Some(self.data.path().to_owned()) };
        polite::command::resume(node).await.unwrap();
    }

    /// What it says at its desk once it is so.
    async fn says(&self, what: &str, so: impl Fn(&desk::NodeState) -> bool) -> desk::NodeState {
        until_some(what, async || desk::ask(self.data.path()).await.unwrap().filter(|state| so(state))).await
    }

    /// Follows the engine that it has now; to the end of that, however that is told.
    fn engine(&self) -> watch::Receiver<Load> {
        self.node.node.as_ref().unwrap().models()[0].engine.load()
    }
}

async fn ends(mut engine: watch::Receiver<Load>) {
    let ended = engine.wait_for(|load| !load.alive);
    let _ = timeout(PATIENCE, ended).await.expect("the engine lives on");
}

/// A program of that name; it ends with the guard.
struct Program(Child);

impl Program {
    fn start(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        if !path.exists() {
            std::fs::copy("/bin/sleep", &path).unwrap();
        }
        Self(Command::new(path).arg("600").spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn yields_to(program: &str) -> polite::Options {
    polite::Options {
        polite: polite::Level::Full,
        yield_to: vec![program.parse().unwrap()],
        // A machine of tests has a card of its own, and others on it.
        gpu_others: 100,
        gpu_memory_others: 100,
        on_battery: polite::While::Serve,
        come_back_after: Duration::from_secs(1),
        ..polite::Options::default()
    }
}

fn paused(view: &View, peer: PeerId) -> Option<PauseKind> {
    view.nodes.iter().find(|node| node.peer == peer)?.paused.map(|paused| paused.kind)
}

fn serves(view: &View, peer: PeerId) -> bool {
    view.nodes.iter().any(|node| node.peer == peer && node.paused.is_none() && node.slots > 0)
}

fn prompt(text: &str) -> Value {
    json!({"model": "scripted", "messages": [{"role": "user", "content": text}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_the_owner_named_takes_the_answer_elsewhere_and_the_node_comes_back() {
    let (swarm, folder) = (TestSwarm::start().await, tempfile::tempdir().unwrap());
    let mut watch = Watch::begin(&swarm).await;
    let home = Home::add(&swarm, STEADY, yields_to("their-game-e2e")).await;
    let peer = home.node.peer;
    let mut reading = Reading::of(&swarm, "go on").await;
    reading.read(20 * TOKEN).await;
    let mut other = swarm.add_node(STEADY).await;
    let engine = home.engine();

    let game = Program::start(folder.path(), "their-game-e2e");
    swarm.sees("that it is paused", |view| paused(view, peer) == Some(PauseKind::Process)).await;
    let told = Instant::now();
    swarm.sees("the answer elsewhere", |view| busy(view) == Some(other.peer)).await;
    assert!(told.elapsed() < AT_ONCE, "handed over after {:?}", told.elapsed());
    ends(engine).await;
    assert!(told.elapsed() < AT_ONCE, "its memory was free after {:?}", told.elapsed());
    assert_eq!(home.node.node.as_ref().unwrap().models().len(), 0);
    let state =
        home.says("why", |state| state.paused.is_some() && state.models.iter().all(|model| model.slots == 0)).await;
    let pause = state.paused.unwrap();
    assert_eq!((pause.reason.as_str(), pause.program.as_deref()), ("process", Some("their-game-e2e")));
    assert!(!state.stopping && !pause.in_memory);

    // Those who watch are told the kind and nothing else; so is whoever reads the metrics.
    watch.until("that it is paused", |seen| seen.event("paused").is_some()).await;
    let event = watch.event("paused").unwrap().clone();
    assert_eq!(event["reason"], "process");
    assert!(watch.of_role("node").iter().any(|node| node["paused"] == "process" && node["name"] == "home"));
    assert!(!format!("{:?}", watch.of_role("node")).contains("their-game"));
    assert_eq!(metric(&swarm, "nodes_paused"), 1);
    let nodes = swarm.get("/api/swarm").await;
    assert!(!nodes.to_string().contains("their-game"), "{nodes}");

    assert_eq!(reading.read_all().await, expected_text(STEADY, "go on", None), "no seam");
    assert_eq!(metric(&swarm, "answers_continued_total{reason=\"stopping\"}"), 1);
    // While it runs nothing is asked of the node.
    assert_eq!(asked(&swarm).await, other.peer.to_string());

    drop(game);
    swarm.sees("it again", |view| serves(view, peer)).await;
    watch.until("that it is back", |seen| seen.event("back").is_some()).await;
    assert!(home.says("no pause", |state| state.paused.is_none()).await.models.iter().all(|model| model.slots == 4));
    other.stop(Duration::ZERO).await;
    assert_eq!(asked(&swarm).await, peer.to_string(), "it has failed nobody, and is asked at once");
    swarm.is_idle().await;
}

/// Who has answered.
async fn asked(swarm: &TestSwarm) -> String {
    let body = json!({"model": "scripted", "max_tokens": 3, "messages": [{"role": "user", "content": "who"}]});
    let response = swarm.complete(&body).await;
    assert_eq!(response.status(), 200, "{:?}", response.text().await);
    response.headers()["x-starling-peer"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_while_the_models_are_loaded_again_ends_that() {
    let swarm = TestSwarm::start().await;
    let home = Home::add(&swarm, &format!("{STEADY},load_seconds=3"), polite::Options::default()).await;
    let peer = home.node.peer;
    home.pause().await;
    swarm.sees("that it is paused", |view| paused(view, peer) == Some(PauseKind::ByHand)).await;
    home.says("it free", |state| state.paused.as_ref().is_some_and(|pause| !pause.in_memory)).await;
    home.resume().await;
    let returning = |view: &View| view.nodes.iter().any(|node| node.paused.is_some_and(|paused| paused.returning));
    swarm.sees("that it loads", returning).await;
    home.pause().await;
    swarm.sees("that it does not any more", |view| paused(view, peer).is_some() && !returning(view)).await;
    assert_eq!(home.node.node.as_ref().unwrap().models().len(), 0);
    home.resume().await;
    swarm.sees("it again", |view| serves(view, peer)).await;
    assert_eq!(asked(&swarm).await, peer.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_every_node_is_paused_readers_are_told_and_an_answer_waits_for_one() {
    let swarm = TestSwarm::start().await;
    let home = Home::add(&swarm, STEADY, polite::Options::default()).await;
    let peer = home.node.peer;
    let mut reading = Reading::of(&swarm, "wait for me").await;
    reading.read(20 * TOKEN).await;
    home.pause().await;
    swarm.sees("that it is paused", |view| paused(view, peer).is_some() && view.models.is_empty()).await;
    let refused = swarm.complete(&prompt("now")).await;
    let (status, body) = (refused.status(), refused.json::<Value>().await.unwrap());
    assert_eq!((status.as_u16(), &body["error"]["code"]), (503, &json!("no_node")), "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("paused"), "{body}");
    let models = swarm.get("/api/models").await;
    assert_eq!((&models["models"][0]["id"], &models["models"][0]["state"]), (&json!("scripted"), &json!("away")));
    home.resume().await;
    swarm.sees("it again", |view| serves(view, peer)).await;
    assert_eq!(reading.read_all().await, expected_text(STEADY, "wait for me", None), "it has waited, and went on here");
    swarm.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_little_polite_is_no_more_answers_and_the_models_in_memory() {
    let (swarm, folder) = (TestSwarm::start().await, tempfile::tempdir().unwrap());
    let light = polite::Options { polite: polite::Level::Light, ..yields_to("their-light-e2e") };
    let home = Home::add(&swarm, STEADY, light).await;
    let peer = home.node.peer;
    let mut reading = Reading::of(&swarm, "finish it").await;
    reading.read(20 * TOKEN).await;
    let game = Program::start(folder.path(), "their-light-e2e");
    swarm.sees("that it is paused", |view| paused(view, peer) == Some(PauseKind::Process)).await;
    let state = home.says("why", |state| state.paused.is_some()).await;
    assert!(state.paused.unwrap().in_memory);
    assert_eq!(swarm.complete(&prompt("now")).await.status(), 503);
    assert_eq!(
        reading.read_all().await,
        expected_text(STEADY, "finish it", None),
        "nobody else takes it: it is finished"
    );
    assert_eq!(metric(&swarm, "answers_continued_total{reason=\"stopping\"}"), 0);
    assert_eq!(home.node.node.as_ref().unwrap().models().len(), 1);
    drop(game);
    swarm.sees("it again", |view| serves(view, peer)).await;
    assert_eq!(asked(&swarm).await, peer.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_while_it_is_needed_elsewhere_loads_its_models_later() {
    let (swarm, folder) = (TestSwarm::start().await, tempfile::tempdir().unwrap());
    let game = Program::start(folder.path(), "their-start-e2e");
    let home = Home::add(&swarm, STEADY, yields_to("their-start-e2e")).await;
    let peer = home.node.peer;
    swarm.sees("it paused", |view| paused(view, peer) == Some(PauseKind::Process) && view.away.len() == 1).await;
    assert_eq!(home.node.node.as_ref().unwrap().models().len(), 0);
    drop(game);
    swarm.sees("it", |view| serves(view, peer) && view.away.is_empty()).await;
    assert_eq!(asked(&swarm).await, peer.to_string());
}
