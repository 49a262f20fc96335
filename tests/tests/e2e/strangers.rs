//! Members that send garbage, lie about lengths, or say nothing: only their own stream suffers. And peers that
//! are no members: they get nowhere.

use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt};
use serde_json::{Value, json};
use starling_protocol::{
    frame,
    limits::{FIRST_FRAME_TIMEOUT, MAX_EVENT_FRAME, MAX_REQUEST_FRAME, STATUS_TIMEOUT},
    message::{Accepted, JobEvent, Refusal, Status},
    swarm::{Role, Stream},
};
use starling_tests::{MemberPeer, TestSwarm, expected_text};
use tokio::time::timeout;

const GOOD: &str = "answer_tokens=30,tokens_per_second=0,slots=2";

async fn still_answers(swarm: &TestSwarm) {
    let body = json!({"model": "scripted", "messages": [{"role": "user", "content": "hello"}]});
    let answer: Value = swarm.complete(&body).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], json!(expected_text(GOOD, "hello", None)));
}

/// What the node says to these bytes, if anything, before it closes the stream.
async fn answer_to(bytes: &[u8], mut stream: Stream) -> Option<JobEvent> {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    let patience = FIRST_FRAME_TIMEOUT + Duration::from_secs(5);
    let event =
        timeout(patience, frame::read(&mut stream, MAX_EVENT_FRAME)).await.expect("the stream never ended").ok();
    let mut rest = vec![];
    let _ = timeout(patience, stream.read_to_end(&mut rest)).await.expect("the stream never ended");
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_ends_what_makes_no_sense_and_serves_on() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[GOOD]).await;
    let node = nodes[0].peer;
    let peer = MemberPeer::of(&swarm, Role::Gateway, node).await;
    let garbage = [0, 0, 0, 3, 0xff, 0xff, 0xff];
    let lie = u32::try_from(MAX_REQUEST_FRAME + 1).unwrap().to_be_bytes();
    for bytes in [&garbage[..], &lie, &u32::MAX.to_be_bytes()] {
        let event = answer_to(bytes, peer.handle.open_job(node).await.unwrap()).await;
        assert!(matches!(event, Some(JobEvent::Refused(Refusal::Invalid { .. }))), "{bytes:?}: {event:?}");
    }
    still_answers(&swarm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_ends_within_its_deadline() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[GOOD]).await;
    let node = nodes[0].peer;
    let peer = MemberPeer::of(&swarm, Role::Gateway, node).await;
    let began = Instant::now();
    let mut silent = vec![];
    for _ in 0..100 {
        silent.push(answer_to(&[], peer.handle.open_job(node).await.unwrap()));
    }
    still_answers(&swarm).await;
    futures::future::join_all(silent).await;
    assert!(began.elapsed() < FIRST_FRAME_TIMEOUT + Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_believes_no_impossible_status() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[GOOD]).await;
    let gateway = swarm.gateway.peer();
    let peer = MemberPeer::of(&swarm, Role::Node, gateway).await;
    let me = peer.handle.local_peer();
    let liar = Status { name: "x".repeat(10_000), ..Status::default() };
    for bytes in [frame::encode(&liar), vec![0, 0, 0, 1, 0xff], u32::MAX.to_be_bytes().to_vec(), vec![]] {
        let mut stream = peer.handle.open_status(gateway).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        let patience = STATUS_TIMEOUT + Duration::from_secs(5);
        let ended = timeout(patience, stream.read(&mut [0])).await.expect("the stream never ended");
        assert!(matches!(ended, Ok(0) | Err(_)));
    }
    swarm.sees("only the honest node", |view| view.nodes.iter().all(|node| node.peer != me)).await;
    still_answers(&swarm).await;
}

/// A peer that claims to have the model, and then treats jobs badly in every way there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_breaks_the_protocol_is_replaced() {
    let (swarm, nodes) = TestSwarm::with_nodes(&["answer_tokens=30,tokens_per_second=0,slots=1"]).await;
    let gateway = swarm.gateway.peer();
    let mut peer = MemberPeer::of(&swarm, Role::Node, gateway).await;
    let me = peer.handle.local_peer();
    let model = nodes[0].node.as_ref().unwrap().models()[0].id;
    let offer = starling_protocol::message::Offer {
        context_tokens: 1024,
        slots: 1_000,
        slots_free: 1_000,
        decode_tokens_per_second: 1e9,
        prefill_tokens_per_second: 1e9,
        ..starling_protocol::message::Offer::new(model, "scripted")
    };
    let status = Status { name: "liar".into(), offers: vec![offer], ..Status::default() };
    let mut stream = peer.handle.open_status(gateway).await.unwrap();
    tokio::spawn(async move {
        while frame::write(&mut stream, &status).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    tokio::spawn(async move {
        let lie = u32::MAX.to_be_bytes();
        let early_done = frame::encode(&JobEvent::Accepted(Accepted::default()));
        for bytes in [&b"\0\0\0\x01\xff"[..], &lie, &early_done, b""].into_iter().cycle() {
            let Some(mut job) = peer.inbound.jobs.recv().await else { return };
            let _ = job.stream.write_all(bytes).await;
            let _ = job.stream.close().await;
        }
    });
    swarm.sees("the liar", |view| view.nodes.iter().any(|node| node.peer == me)).await;
    for _ in 0..5 {
        still_answers(&swarm).await;
    }
}
