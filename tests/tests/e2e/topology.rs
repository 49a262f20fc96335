//! Watching a swarm: nodes that come and go, and an answer that moves from one that dies to another.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};
use starling_tests::{Chat, PATIENCE, TestSwarm};

const SLOW: &str = "seed=1,tokens_per_second=20,answer_tokens=200,slots=2";

/// One who watches, and what it has been told.
pub(crate) struct Watch {
    chat: Chat,
    /// Peers by their number.
    peers: HashMap<u64, Value>,
    pulses: HashMap<u64, Value>,
    events: Vec<Value>,
}

impl Watch {
    pub(crate) async fn begin(swarm: &TestSwarm) -> Self {
        let mut chat = swarm.chat().await;
        chat.send(&json!({"type": "watch"})).await;
        let picture = chat.wait_for(&["picture"]).await;
        assert!(picture["now_ms"].as_i64() >= picture["at_ms"].as_i64(), "{picture}");
        Self { chat, peers: HashMap::new(), pulses: HashMap::new(), events: vec![] }
    }

    /// Takes in what changes until it is as it should be.
    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let told = async {
            while !condition(self) {
                let frame = self.chat.wait_for(&["changes"]).await;
                self.take(&frame);
            }
        };
        assert!(tokio::time::timeout(PATIENCE, told).await.is_ok(), "never seen: {what}");
    }

    fn take(&mut self, frame: &Value) {
        for gone in list(frame, "gone") {
            self.peers.remove(&gone.as_u64().unwrap());
        }
        for peer in list(frame, "peers") {
            self.peers.insert(peer["id"].as_u64().unwrap(), peer.clone());
        }
        for pulse in list(frame, "pulses") {
            self.pulses.insert(pulse[0].as_u64().unwrap(), pulse.clone());
        }
        self.events.extend(list(frame, "events").iter().cloned());
    }

    pub(crate) fn of_role(&self, role: &str) -> Vec<&Value> {
        self.peers.values().filter(|peer| peer["role"] == role).collect()
    }

    fn id_of(&self, peer: &str) -> Option<u64> {
        self.peers.iter().find(|(_, known)| known["peer"] == peer).map(|(id, _)| *id)
    }

    pub(crate) fn event(&self, what: &str) -> Option<&Value> {
        self.events.iter().find(|event| event["what"] == what)
    }
}

fn list<'a>(frame: &'a Value, field: &str) -> &'a [Value] {
    frame[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_sees_nodes_come_an_answer_move_and_nodes_leave() {
    let swarm = TestSwarm::start().await;
    let mut watch = Watch::begin(&swarm).await;
    watch
        .until("gateway and bootstrap", |seen| {
            let linked =
                seen.of_role("bootstrap").iter().any(|peer| seen.pulses[&peer["id"].as_u64().unwrap()][1] == "direct");
            seen.of_role("gateway").len() == 1 && linked
        })
        .await;
    let first = swarm.add_node(SLOW).await;
    let second = swarm.add_node(SLOW).await;
    watch.until("two nodes", |seen| seen.of_role("node").len() == 2 && seen.event("joined").is_some()).await;
    assert!(watch.of_role("node").iter().all(|node| node["slots"] == 2 && node["name"] == "test node"));

    let mut chat = swarm.chat().await;
    chat.ask(None, "a secret question").await;
    let started = chat.wait_for(&["started"]).await;
    watch
        .until("the answer begins, and its tokens flow", |seen| {
            let begun = seen.event("began").and_then(|event| event["peer"].as_u64());
            begun.is_some_and(|on| seen.pulses[&on][3] == 1 && seen.pulses[&on][4].as_u64() > Some(0))
        })
        .await;
    let (mut nodes, dying) = ([first, second], started["node_peer"].as_str().unwrap().to_owned());
    let [from, to] = [true, false].map(|dies| {
        let node = nodes.iter().find(|node| (node.peer.to_string() == dying) == dies).unwrap();
        watch.id_of(&node.peer.to_string()).unwrap()
    });
    nodes.iter_mut().find(|node| node.peer.to_string() == dying).unwrap().kill();
    watch
        .until("the answer moves, and its node is gone", |seen| {
            seen.event("moved").is_some() && seen.event("left").is_some()
        })
        .await;
    let moved = watch.event("moved").unwrap();
    assert_eq!((&moved["from"], &moved["peer"]), (&json!(from), &json!(to)), "{moved}");
    assert_eq!(moved["answer"], watch.event("began").unwrap()["answer"], "it is the same answer");
    assert_eq!(watch.event("left").unwrap()["peer"], from);
    let (_, end) = chat.read_answer().await;
    assert_eq!(end["type"], "done", "{end}");
    watch.until("its end", |seen| seen.event("ended").is_some()).await;
    assert_eq!(watch.event("ended").unwrap()["tokens"], 200);

    // Everything about the one that is left, and nothing any more once it has left in order.
    let left = nodes.iter_mut().find(|node| node.node.is_some()).unwrap();
    let peer = left.peer.to_string();
    watch.chat.send(&json!({"type": "watch", "node": peer})).await;
    let node = watch.chat.wait_for(&["node"]).await;
    assert_eq!((&node["node"]["peer"], &node["node"]["slots_total"]), (&json!(peer), &json!(2)));
    left.stop(Duration::from_secs(5)).await;
    watch.until("nobody", |seen| seen.of_role("node").is_empty()).await;

    // Who comes now sees all of that, and no word of it.
    let mut later = Watch::begin(&swarm).await;
    later.until("the same end", |seen| seen.events.len() >= watch.events.len()).await;
    assert_eq!(later.events[..watch.events.len()], watch.events);
    let told = format!("{:?} {:?}", later.events, later.peers);
    assert!(!told.contains("secret") && !told.contains("admin"));
}
