//! Several of everything: two first peers, two gateways of one swarm, three nodes. Whichever of them goes, what
//! runs over the others is untouched, and everything else is back in seconds.

use std::time::Duration;

use serde_json::{Value, json};
use starling_gateway::{config::Config, dispatch::View};
use starling_protocol::swarm::Multiaddr;
use starling_tests::{PATIENCE, TestNode, TestSwarm, expected_text, loopback, start_bootstrap};
use tokio::time::{Instant, timeout};
use tokio_util::sync::DropGuard;

use super::resume::{Reading, metric};

/// Some three seconds for each answer.
const STEADY: &str = "seed=1,tokens_per_second=100,answer_tokens=300,slots=8";
/// How soon everything is back.
const BACK: Duration = Duration::from_secs(10);

struct Several {
    /// The first gateway; it also has the first of the first peers.
    one: TestSwarm,
    /// The second.
    two: TestSwarm,
    /// The second of the first peers.
    bootstrap: Multiaddr,
    _bootstrap: DropGuard,
    nodes: Vec<TestNode>,
}

impl Several {
    async fn start() -> Self {
        let (bootstrap, guard) = start_bootstrap().await;
        let knows = |config: &mut Config| config.swarm.bootstrap.push(bootstrap.clone());
        let one = TestSwarm::start_with(knows, vec![loopback()]).await;
        let two = one.another_gateway(knows).await;
        let mut several = Self { one, two, bootstrap, _bootstrap: guard, nodes: vec![] };
        for _ in 0..3 {
            let node = several.add_node().await;
            several.nodes.push(node);
        }
        several.two.sees("all nodes", |view| in_sight(view) == 3).await;
        several
    }

    /// A node that knows both of the first peers; in sight of the first gateway.
    async fn add_node(&self) -> TestNode {
        let mut config = self.one.node_config(&[STEADY]);
        config.swarm.bootstrap.push(self.bootstrap.clone());
        self.one.add(config).await
    }
}

fn in_sight(view: &View) -> usize {
    view.nodes.iter().filter(|node| !node.models.is_empty()).count()
}

async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let came = timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("never: {what}"));
    assert!(begin.elapsed() <= BACK, "{what} after {:?}", begin.elapsed());
    came
}

/// Three answers of a gateway, well begun.
async fn begun(gateway: &TestSwarm) -> Vec<Reading> {
    let mut readings = vec![];
    for number in 0..3 {
        let mut reading = Reading::of(gateway, &format!("question {number}")).await;
        reading.read(40).await;
        readings.push(reading);
    }
    readings
}

/// They end as they would have, and none of them has changed its stream.
async fn are_untouched(gateway: &TestSwarm, readings: Vec<Reading>) {
    for (number, reading) in readings.into_iter().enumerate() {
        assert_eq!(reading.read_all().await, expected_text(STEADY, &format!("question {number}"), None));
    }
    assert_eq!(metric(gateway, "job_resumes_total{outcome=\"resumed\"}"), 0);
}

async fn answers(gateway: &TestSwarm) {
    let body = json!({"model": "scripted", "messages": [{"role": "user", "content": "hello"}]});
    let answer: Value = gateway.complete(&body).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], json!(expected_text(STEADY, "hello", None)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_peer_goes_and_newcomers_come_by_the_other() {
    let mut several = Several::start().await;
    let readings = begun(&several.one).await;
    several.one.kill_bootstrap();
    let _node = within("a fourth node", Box::pin(several.add_node())).await;
    within("the other gateway sees it too", several.two.sees("four", |view| in_sight(view) == 4)).await;
    are_untouched(&several.one, readings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_goes_and_the_other_goes_on_and_a_new_one_takes_its_place() {
    let several = Several::start().await;
    let readings = begun(&several.two).await;
    let gone = several.one.gateway.swarm().local_peer();
    drop(several.one.gateway);
    answers(&several.two).await;
    // The nodes still have a gateway, and so no hurry to look for another.
    let knows = |config: &mut Config| config.swarm.bootstrap.push(several.bootstrap.clone());
    let new = within("a new gateway", Box::pin(several.two.another_gateway(knows))).await;
    within("all nodes", new.sees("all nodes", |view| in_sight(view) == 3)).await;
    assert_ne!(new.gateway.swarm().local_peer(), gone);
    answers(&new).await;
    are_untouched(&several.two, readings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_and_the_answers_of_the_others_go_on() {
    let mut several = Several::start().await;
    // The idlest is asked first, so that each of three questions goes to a node of its own.
    let readings = begun(&several.one).await;
    let view = several.one.gateway.app().dispatch.view().borrow().clone();
    let busy: Vec<_> = view.nodes.iter().filter(|node| node.slots_free < node.slots).map(|node| node.peer).collect();
    assert_eq!(busy.len(), 3, "one answer each");
    several.nodes.remove(0).kill();
    for gateway in [&several.one, &several.two] {
        within("it is out of sight", gateway.sees("two nodes", |view| in_sight(view) == 2)).await;
        answers(gateway).await;
    }
    for (number, reading) in readings.into_iter().enumerate() {
        let expected = expected_text(STEADY, &format!("question {number}"), None);
        assert_eq!(reading.read_all().await, expected, "the one whose node is gone goes on elsewhere");
    }
}
