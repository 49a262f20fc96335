//! Who is let in, and who is not.

use starling_protocol::{
    membership::{Certificate, Claims, Clock, MemberFrame, MemberRole, NotMember, SwarmKey},
    swarm::{PeerId, Role},
};

use crate::peer::{TestPeer, authority, claims, refused, roster};

#[tokio::test(flavor = "multi_thread")]
async fn two_members_meet_and_are_in_each_others_roster() {
    let key = SwarmKey::generate().unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let mut node = TestPeer::start(Role::Node, &[&gateway]).await;
    let (ours, theirs) = (gateway.join(authority(&key)), node.join_as(&key, MemberRole::Node));
    roster(&ours, "the node", |roster| roster.get(&node.id()).is_some_and(|c| c.role == MemberRole::Node)).await;
    roster(&theirs, "the gateway", |roster| roster.get(&gateway.id()).is_some_and(|c| c.role == MemberRole::Gateway))
        .await;
    let (gateway_id, node_id) = (gateway.id(), node.id());
    gateway.sees("a member", |peers| peers.get(&node_id).and_then(|p| p.member) == Some(MemberRole::Node)).await;
    node.sees("a member", |peers| peers.get(&gateway_id).and_then(|p| p.member) == Some(MemberRole::Gateway)).await;
    assert_eq!(theirs.own().borrow().trouble, None);
    assert_eq!((theirs.swarm(), theirs.is_authority(), ours.is_authority()), (key.id(), false, true));
    assert_eq!(ours.refusals().iter().count(), 0);

    drop(node);
    roster(&ours, "the node is gone", |roster| !roster.contains_key(&node_id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_meet() {
    let key = SwarmKey::generate().unwrap();
    let mut one = TestPeer::start(Role::Gateway, &[]).await;
    let mut other = TestPeer::start(Role::Gateway, &[&one]).await;
    let (ours, theirs) = (one.join(authority(&key)), other.join_as(&key, MemberRole::Gateway));
    roster(&ours, "the other", |roster| roster.contains_key(&other.id())).await;
    roster(&theirs, "the one", |roster| roster.contains_key(&one.id())).await;
}

/// What a gateway says to a node with this certificate; it must be counted, and nobody be let in.
async fn gateway_says(certificate: impl FnOnce(&SwarmKey, &TestPeer) -> Certificate) -> NotMember {
    let key = SwarmKey::generate().unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let members = gateway.join(authority(&key));
    let node = TestPeer::start(Role::Node, &[&gateway]).await;
    node.meets(&gateway).await;
    let (answer, _stream) = node.introduces_itself(gateway.id(), certificate(&key, &node)).await;
    let why = refused(&answer).unwrap();
    assert_eq!(members.refusals().of(why.code()), 1);
    assert!(members.roster().borrow().is_empty());
    assert_eq!(gateway.handle.peers().borrow().get(&node.id()).unwrap().member, None);
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_another_swarm_is_refused() {
    let why = gateway_says(|_, node| {
        let other = SwarmKey::generate().unwrap();
        other.certify(node.id(), MemberRole::Node, Clock::default().now())
    });
    assert_eq!(why.await, NotMember::OtherSwarm);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_and_says_since_when() {
    let why = gateway_says(|key, node| {
        let good = claims(key, node.id(), MemberRole::Node);
        key.sign_claims(&Claims { issued_at: good.issued_at - 7_200, expires_at: good.issued_at - 3_600, ..good })
    });
    let NotMember::Expired { seconds } = why.await else { panic!() };
    assert!((3_600..3_700).contains(&seconds), "{seconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_certificate_is_refused() {
    let why = gateway_says(|key, _| key.certify(PeerId::random(), MemberRole::Node, Clock::default().now()));
    assert_eq!(why.await, NotMember::OtherPeer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_signature_is_refused() {
    let why = gateway_says(|key, node| {
        let bytes = minicbor::to_vec(key.sign_claims(&claims(key, node.id(), MemberRole::Node))).unwrap();
        let mut forged = bytes;
        *forged.last_mut().unwrap() ^= 1;
        minicbor::decode(&forged).unwrap()
    });
    assert_eq!(why.await, NotMember::Forged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_no_business_with_a_node() {
    let key = SwarmKey::generate().unwrap();
    let mut node = TestPeer::start(Role::Node, &[]).await;
    let members = node.join_as(&key, MemberRole::Node);
    let other = TestPeer::start(Role::Node, &[&node]).await;
    other.meets(&node).await;
    let certificate = key.certify(other.id(), MemberRole::Node, Clock::default().now());
    let (answer, _stream) = other.introduces_itself(node.id(), certificate).await;
    assert_eq!(answer, MemberFrame::Refused(NotMember::WrongRole));
    assert_eq!(members.refusals().of("wrong_role"), 1);
}
