//! Who may come in, who may not, and how one is turned out: through real invites, end to end.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use starling_gateway::{
    app::Gateway,
    config::{Config, DatabaseOption, MasterOption},
    membership::{JoinOptions, join as gateway_join},
};
use starling_node::{
    Node,
    membership::{Files, join, swarm_of},
};
use starling_protocol::{
    Identity,
    join::{JoinError, join as redeem},
    membership::{Clock, Invite, JoinRefusal, MemberRole, NotMember, Secret, SwarmKey},
    program::{Exit, LogFileOptions, LogFormat, SwarmOptions},
    swarm::{self, Role},
};
use starling_tests::{MemberPeer, PATIENCE, TestSwarm, expected_text, until};
use tokio::time::{Instant, timeout};

const SCRIPT: &str = "answer_tokens=20,tokens_per_second=0,slots=2";
/// Long enough to be cut.
const SLOW: &str = "answer_tokens=4000,tokens_per_second=20,slots=2";

async fn invite(swarm: &TestSwarm, body: Value) -> (String, String) {
    let made = swarm.post("/api/invites", &body).await;
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    (text(&made["invite"]["id"]), text(&made["text"]))
}

/// A peer as `starling-node join` starts it.
fn newcomer(data: &Path) -> swarm::Config {
    options(data).swarm_config(Role::Node, data, false).unwrap()
}

fn options(data: &Path) -> SwarmOptions {
    SwarmOptions {
        config: None,
        data: Some(data.to_owned()),
        listen: vec![],
        external: vec![],
        no_port_mapping: true,
        bootstrap: vec![],
        log: "off".to_owned(),
        log_format: LogFormat::Text,
        log_file: LogFileOptions::default(),
    }
}

/// What `starling-node join INVITE` does; the second time what `run` does.
async fn start_node(swarm: &TestSwarm, data: &Path, invite: Option<&str>, script: &str) -> Result<Node, Exit> {
    let (alone, files) = (newcomer(data), Files::new(data));
    let membership = match invite {
        Some(text) => join(text, alone.clone(), "a new node", &files).await?,
        None => files.load()?,
    };
    let of_swarm = options(data).of_swarm(alone, swarm_of(&membership)?, &membership.addresses);
    let config = starling_node::Config {
        swarm: of_swarm,
        membership,
        data: Some(data.to_owned()),
        ..swarm.node_config(&[script])
    };
    starling_node::start(config).await
}

async fn answers(swarm: &TestSwarm) {
    let body = json!({"model": "scripted", "messages": [{"role": "user", "content": "hello"}]});
    let answer: Value = swarm.complete(&body).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], json!(expected_text(SCRIPT, "hello", None)), "{answer}");
}

/// What the gateway says of a member.
async fn member(swarm: &TestSwarm, peer: &swarm::PeerId) -> Value {
    let list = swarm.get("/api/members").await;
    let members = list["members"].as_array().unwrap_or_else(|| panic!("{list}"));
    members.iter().find(|member| member["peer"] == json!(peer.to_string())).cloned().unwrap_or_default()
}

async fn refused(text: &str, clock: Clock) -> JoinError {
    let data = tempfile::tempdir().unwrap();
    let invite: Invite = text.parse().unwrap();
    redeem(newcomer(data.path()), &invite, "n", clock).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_with_an_invite_serves_and_stays_a_member() {
    let swarm = TestSwarm::start().await;
    let (_, text) = invite(&swarm, json!({})).await;
    let data = tempfile::tempdir().unwrap();
    let node = start_node(&swarm, data.path(), Some(&text), SCRIPT).await.map_err(|exit| format!("{exit:?}")).unwrap();
    let peer = node.swarm().local_peer();
    swarm.sees("the new node", |view| view.nodes.iter().any(|node| node.peer == peer)).await;
    answers(&swarm).await;
    let seen = member(&swarm, &peer).await;
    assert_eq!(
        (&seen["connected"], &seen["name"], &seen["role"]),
        (&json!(true), &json!("a new node"), &json!("node"))
    );
    node.stop(Duration::ZERO).await;
    swarm.sees("nobody", |view| view.nodes.is_empty()).await;

    let again = start_node(&swarm, data.path(), None, SCRIPT).await.map_err(|exit| format!("{exit:?}")).unwrap();
    assert_eq!(again.swarm().local_peer(), peer);
    swarm.sees("the node again", |view| view.nodes.iter().any(|node| node.peer == peer)).await;
    answers(&swarm).await;
    again.stop(Duration::ZERO).await;
    // The invite is used up, and not needed: the same command works again.
    let third = start_node(&swarm, data.path(), Some(&text), SCRIPT).await.map_err(|exit| format!("{exit:?}")).unwrap();
    swarm.sees("the node once more", |view| view.nodes.iter().any(|node| node.peer == peer)).await;
    third.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_buys_nothing_says_why() {
    let swarm = TestSwarm::start().await;
    let (_, used) = invite(&swarm, json!({})).await;
    let data = tempfile::tempdir().unwrap();
    redeem(newcomer(data.path()), &used.parse().unwrap(), "first", Clock::default()).await.unwrap();
    assert!(matches!(refused(&used, Clock::default()).await, JoinError::Refused(JoinRefusal::Used)));

    let (id, revoked) = invite(&swarm, json!({})).await;
    assert_eq!(swarm.delete(&format!("/api/invites/{id}")).await, 204);
    assert!(matches!(refused(&revoked, Clock::default()).await, JoinError::Refused(JoinRefusal::Revoked)));

    let (_, short) = invite(&swarm, json!({"expires_in_seconds": 1})).await;
    let expired = timeout(PATIENCE, async {
        loop {
            // Whoever is let in before it is over uses it up.
            if let JoinError::Refused(refusal @ JoinRefusal::Expired { .. }) = refused_or_used(&short).await {
                return refusal;
            }
        }
    });
    assert!(expired.await.unwrap().to_string().starts_with("the invite expired "));

    let mut guessed: Invite = used.parse().unwrap();
    guessed.secret = Secret::generate().unwrap();
    let unknown = refused(&guessed.to_string(), Clock::default()).await;
    assert!(matches!(unknown, JoinError::Refused(JoinRefusal::Unknown)));
}

async fn refused_or_used(text: &str) -> JoinError {
    let data = tempfile::tempdir().unwrap();
    let invite: Invite = text.parse().unwrap();
    let joined = redeem(newcomer(data.path()), &invite, "n", Clock::default()).await;
    joined.err().unwrap_or(JoinError::Refused(JoinRefusal::Used))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_named_and_costs_no_invite() {
    let swarm = TestSwarm::start().await;
    let (_, text) = invite(&swarm, json!({})).await;
    let slow = Clock(|| std::time::SystemTime::now() - Duration::from_secs(600));
    let error = refused(&text, slow).await;
    assert!(error.to_string().starts_with("this machine's clock is "), "{error}");
    assert!(error.to_string().ends_with("minutes behind the gateway's"), "{error}");
    assert!(error.hint().contains("set the clock"), "{}", error.hint());
    let data = tempfile::tempdir().unwrap();
    redeem(newcomer(data.path()), &text.parse().unwrap(), "n", Clock::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_node_is_cut_within_seconds_and_says_why() {
    let swarm = TestSwarm::start().await;
    let (_, text) = invite(&swarm, json!({"max_uses": 5})).await;
    let data = tempfile::tempdir().unwrap();
    let node = start_node(&swarm, data.path(), Some(&text), SLOW).await.map_err(|exit| format!("{exit:?}")).unwrap();
    let peer = node.swarm().local_peer();
    swarm.sees("the new node", |view| view.nodes.iter().any(|node| node.peer == peer)).await;
    let body = json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let mut answer = swarm.complete(&body).await;
    assert!(answer.chunk().await.unwrap().is_some(), "it has begun");

    let began = Instant::now();
    assert_eq!(swarm.delete(&format!("/api/members/{peer}")).await, 204);
    swarm.sees("nobody", |view| view.nodes.is_empty()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Another node might have come to go on with it.
    let rest = timeout(Duration::from_secs(15), async {
        let mut rest = vec![];
        while let Ok(Some(chunk)) = answer.chunk().await {
            rest.extend(chunk);
        }
        String::from_utf8(rest).unwrap()
    });
    let rest = rest.await.expect("the answer was not cut");
    assert!(!rest.contains("[DONE]"), "a cut answer does not end well");

    let own = node.members().own();
    until("the node knows why", || own.borrow().trouble == Some(NotMember::Revoked)).await;
    until("the node notes it", || data.path().join("membership.revoked").exists()).await;
    let seen = member(&swarm, &peer).await;
    assert_eq!(seen["connected"], json!(false));
    assert!(seen["revoked_at"].is_string());
    node.stop(Duration::ZERO).await;

    // The invite that it came in with does not bring it back; a new one does.
    let files = Files::new(data.path());
    let Err(Exit::Usage { what, .. }) = join(&text, newcomer(data.path()), "n", &files).await else {
        panic!("it is back");
    };
    assert_eq!(what, "the invite was revoked");
    let (_, fresh) = invite(&swarm, json!({})).await;
    let node = start_node(&swarm, data.path(), Some(&fresh), SLOW).await.map_err(|exit| format!("{exit:?}")).unwrap();
    swarm.sees("the node back", |view| view.nodes.iter().any(|node| node.peer == peer)).await;
    node.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_of_the_swarm_has_the_same_node() {
    let (swarm, nodes) = TestSwarm::with_nodes(&[SCRIPT]).await;
    let (_, text) = invite(&swarm, json!({"role": "gateway"})).await;
    let data = tempfile::tempdir().unwrap();
    let joining = JoinOptions {
        invite: text,
        swarm: options(data.path()),
        name: "second".to_owned(),
        database: DatabaseOption::default(),
        master: MasterOption::default(),
    };
    gateway_join(&joining).await.map_err(|exit| format!("{exit:?}")).unwrap();
    let config = Config::loopback(data.path()).unwrap();
    let second = Gateway::start(config).await.map_err(|exit| format!("{exit:?}")).unwrap();
    let mut view = second.app().dispatch.view();
    let found = view.wait_for(|view| view.nodes.iter().any(|node| node.peer == nodes[0].peer));
    timeout(PATIENCE, found).await.expect("the second gateway never saw the node").unwrap();
    assert_eq!(member(&swarm, &second.peer()).await["role"], json!("gateway"));
    assert!(!second.app().network.members.is_authority());
    swarm.sees("the node, still", |view| view.nodes.len() == 1).await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_another_swarm_get_nowhere_and_are_counted() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[SCRIPT]).await;
    let gateway = swarm.gateway.peer();
    let config = swarm.peer_config(Role::Node);
    let certificate = SwarmKey::generate().unwrap().certify(config.peer(), MemberRole::Node, Clock::default().now());
    let membership = starling_protocol::membership::Membership { certificate, addresses: vec![] };
    let other = MemberPeer::start(config, membership);
    let members = &swarm.gateway.app().network.members;
    until("a refusal", || members.refusals().of("other_swarm") > 0).await;
    let list = swarm.get("/api/members").await;
    let refused = list["refused"].as_array().unwrap();
    assert!(refused.iter().any(|refused| refused["reason"] == json!("other_swarm")), "{list}");
    let me = other.handle.local_peer();
    assert!(other.handle.peers().borrow().get(&gateway).is_none_or(|peer| peer.member.is_none()));
    swarm.sees("only the member", |view| view.nodes.iter().all(|node| node.peer != me)).await;
    answers(&swarm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founder_with_members_does_not_leave_its_swarm_by_mistake() {
    let swarm = TestSwarm::start().await;
    let (_, text) = invite(&swarm, json!({"role": "gateway", "max_uses": 2})).await;
    // A founder without members: its swarm is put aside.
    let data = tempfile::tempdir().unwrap();
    let first = Config::loopback(data.path()).unwrap();
    drop(first);
    let joining = |data: &Path| JoinOptions {
        invite: text.clone(),
        swarm: options(data),
        name: "g".to_owned(),
        database: DatabaseOption::default(),
        master: MasterOption::default(),
    };
    gateway_join(&joining(data.path())).await.map_err(|exit| format!("{exit:?}")).unwrap();
    assert!(data.path().join("swarm.key.unused").exists() && !data.path().join("swarm.key").exists());
    // One with members.
    let error = gateway_join(&joining(swarm.data.path())).await.unwrap_err();
    let Exit::Usage { what, .. } = error else { panic!("{error:?}") };
    assert_eq!(what, "this gateway has founded a swarm, and the swarm has members");
    assert_ne!(Identity::load_or_create(&data.path().join("identity.key")).unwrap().peer(), swarm.gateway.peer());
}
