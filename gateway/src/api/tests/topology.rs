//! Watching the swarm over a real socket: a thousand nodes, one who does not read, and what is no node.

use serde_json::{Value, json};
use starling_protocol::{message::Nat, swarm::PeerId};

use super::{
    Site,
    socket::{Page, serve},
};
use crate::{
    clock::Timestamp,
    topology::{Card, Link, Pulse, Role, Seen, Totals},
};

/// The most that a frame may be, as docs/websocket.md says it.
const MAX_FRAME: usize = 256 << 10;

fn nodes(count: usize) -> Vec<(Card, Pulse)> {
    let node = |number: usize| {
        let card = Card {
            role: Role::Node,
            peer: PeerId::random(),
            name: format!("node {number}"),
            nat: Nat::Symmetric,
            gpu: "NVIDIA GeForce RTX 4070".to_owned(),
            models: vec!["Qwen3-8B-Q4_K_M".to_owned()],
            slots: 1_000_000,
            version: "0.1.0".to_owned(),
            drained: false,
            paused: None,
            warned: false,
        };
        (card, Pulse { link: Link::Relayed, rtt_tenths: Some(123), used: 0, tokens: 0 })
    };
    (0..count).map(node).collect()
}

/// A look at these nodes in that second; every one of them does otherwise than the second before.
fn look(site: &Site, nodes: &mut [(Card, Pulse)], second: u32) {
    nodes.iter_mut().for_each(|(_, pulse)| (pulse.used, pulse.tokens) = (second, second % 100));
    let totals = Totals { nodes: u32::try_from(nodes.len()).unwrap(), ..Totals::default() };
    let at = Timestamp(1_800_000_000_000 + i64::from(second) * 1000);
    site.app.topology.record(at, Seen { peers: nodes.to_vec(), news: vec![], totals });
}

async fn watcher(site: &Site, name: &str) -> Page {
    let guest = site.user(name).await;
    let mut page = Page::open(serve(site).await, &guest).await.unwrap();
    assert_eq!(page.hear().await.unwrap()["type"], "hello");
    page
}

fn length(frame: &Value, field: &str) -> usize {
    frame[field].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_thousand_nodes_come_in_frames_of_a_bounded_size_and_then_what_changes() {
    let site = Site::new().await;
    let mut nodes = nodes(1_000);
    (0..30).for_each(|second| look(&site, &mut nodes, second));
    let mut page = watcher(&site, "anna").await;
    page.say(json!({"type": "watch"})).await;
    let picture = page.hear().await.unwrap();
    assert_eq!((&picture["type"], &picture["now_ms"]), (&json!("picture"), &json!(1_800_000_029_000_i64)));
    let (mut peers, mut at) = (0, 0);
    while at < 1_800_000_029_000 {
        let frame = page.hear().await.unwrap();
        assert_eq!(frame["type"], "changes");
        assert!(frame.to_string().len() <= MAX_FRAME);
        peers += length(&frame, "peers");
        at = if length(&frame, "pulses") > 0 { frame["at_ms"].as_i64().unwrap() } else { at };
    }
    assert_eq!(peers, 1_000, "each was introduced once");
    let [one, ..] = nodes.as_mut_slice() else { panic!("no nodes") };
    one.1.used += 1;
    let peers = nodes.clone();
    let totals = Totals { nodes: 1_000, ..Totals::default() };
    site.app.topology.record(Timestamp(1_800_000_030_000), Seen { peers, news: vec![], totals });
    let frame = page.hear().await.unwrap();
    assert_eq!((length(&frame, "peers"), length(&frame, "pulses"), length(&frame, "gone")), (0, 1, 0), "{frame}");
}

#[tokio::test]
async fn one_who_does_not_read_holds_up_nobody_and_then_sees_it_as_it_is() {
    let site = Site::new().await;
    let mut nodes = nodes(1_000);
    look(&site, &mut nodes, 0);
    let (mut slow, mut quick) = (watcher(&site, "slow").await, watcher(&site, "quick").await);
    for page in [&mut slow, &mut quick] {
        page.say(json!({"type": "watch"})).await;
        assert_eq!(page.hear().await.unwrap()["type"], "picture");
    }
    // More than any network would take in for one that does not read: 16 MB in all.
    let last = 600;
    for second in 1..=last {
        look(&site, &mut nodes, second);
        let at = 1_800_000_000_000 + i64::from(second) * 1000;
        while quick.hear().await.unwrap()["at_ms"].as_i64().unwrap() < at {}
    }
    let end = 1_800_000_000_000 + i64::from(last) * 1000;
    let (mut pictures, mut frames) = (0, 0);
    loop {
        let frame = slow.hear().await.unwrap();
        frames += 1;
        pictures += usize::from(frame["type"] == "picture");
        if frame["at_ms"] == end && length(&frame, "pulses") > 0 {
            break;
        }
    }
    assert_eq!(pictures, 1, "the picture as it is took the place of what was missed");
    assert!(frames < 550, "{frames} frames waited for it");
    slow.say(json!({"type": "unwatch"})).await;
    slow.say(json!({"type": "stop", "turn": "x"})).await;
    assert_eq!(slow.hear().await.unwrap()["type"], "error", "the socket is as it was");
}

#[tokio::test]
async fn a_node_is_chosen_by_its_key_and_one_that_is_not_there_is_null() {
    let site = Site::new().await;
    let mut page = watcher(&site, "anna").await;
    page.say(json!({"type": "watch", "node": "nonsense"})).await;
    let refused = page.hear().await.unwrap();
    assert_eq!((&refused["type"], &refused["error"]["field"]), (&json!("error"), &json!("node")));
    let peer = PeerId::random().to_string();
    page.say(json!({"type": "watch", "node": peer})).await;
    assert_eq!(page.hear().await.unwrap(), json!({"type": "node", "peer": peer, "node": null}));
    page.say(json!({"type": "watch", "node": 1})).await;
    assert_eq!(page.hear().await.unwrap()["type"], "error");
}
