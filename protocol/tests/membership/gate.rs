//! What a stranger can do: introduce itself, and nothing else.

use futures::{AsyncReadExt, AsyncWriteExt};
use starling_protocol::{
    frame,
    limits::{MAX_EVENT_FRAME, MAX_JOIN_STREAMS, MAX_MEMBER_FRAME, MAX_MEMBER_STREAMS},
    membership::{JoinRefusal, JoinReply, MemberFrame, MemberRole, NotMember, SwarmKey},
    message::{JobEvent, Refusal},
    swarm::{Role, Stream},
};
use tokio::time::timeout;

use crate::peer::{PATIENCE, TestPeer, authority, own, roster};

async fn opens_job(peer: &TestPeer, node: &TestPeer) -> Stream {
    let mut job = peer.handle.open_job(node.id()).await.unwrap();
    job.write_all(b"?").await.unwrap();
    job.flush().await.unwrap();
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_job_and_is_counted() {
    let key = SwarmKey::generate().unwrap();
    let mut node = TestPeer::start(Role::Node, &[]).await;
    let members = node.join_as(&key, MemberRole::Node);
    let stranger = TestPeer::start(Role::Gateway, &[&node]).await;
    stranger.meets(&node).await;
    for round in 1..=3 {
        let mut job = opens_job(&stranger, &node).await;
        let answer: JobEvent = timeout(PATIENCE, frame::read(&mut job, MAX_EVENT_FRAME)).await.unwrap().unwrap();
        assert_eq!(answer, JobEvent::Refused(Refusal::NotMember(NotMember::NoCertificate)));
        assert_eq!(members.refusals().of("no_certificate"), round);
    }
    assert!(node.jobs.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_status_is_not_heard_and_a_members_is() {
    let key = SwarmKey::generate().unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let members = gateway.join(authority(&key));
    let stranger = TestPeer::start(Role::Node, &[&gateway]).await;
    stranger.meets(&gateway).await;
    let mut status = stranger.handle.open_status(gateway.id()).await.unwrap();
    let end = timeout(PATIENCE, status.read(&mut [0])).await.unwrap();
    assert!(end.is_err() || end.is_ok_and(|read| read == 0));
    assert_eq!(members.refusals().of("no_certificate"), 1);

    let mut node = TestPeer::start(Role::Node, &[&gateway]).await;
    let theirs = node.join_as(&key, MemberRole::Node);
    roster(&theirs, "the gateway", |roster| roster.contains_key(&gateway.id())).await;
    let _status = node.handle.open_status(gateway.id()).await.unwrap();
    let inbound = timeout(PATIENCE, gateway.status.recv()).await.unwrap().unwrap();
    assert_eq!(inbound.peer, node.id());
}

/// The gate opens before the node hears that it is a member: however quickly it opens its streams, all are let in.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_members_first_stream_is_never_too_early() {
    let key = SwarmKey::generate().unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let members = gateway.join(authority(&key));
    for round in 0..20 {
        let mut node = TestPeer::start(Role::Node, &[&gateway]).await;
        let (id, _members) = (gateway.id(), node.join_as(&key, MemberRole::Node));
        node.sees("a member", |peers| peers.get(&id).is_some_and(|peer| peer.member.is_some())).await;
        let _status = node.handle.open_status(id).await.unwrap();
        let inbound = timeout(PATIENCE, gateway.status.recv()).await.unwrap().unwrap();
        assert_eq!(inbound.peer, node.id(), "round {round}");
    }
    assert_eq!(members.refusals().of("no_certificate"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn introductions_and_invites_are_few_at_a_time() {
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let _inbound = gateway.members(authority(&SwarmKey::generate().unwrap()), Default::default()).inbound;
    let stranger = TestPeer::start(Role::Node, &[&gateway]).await;
    stranger.meets(&gateway).await;
    let mut kept = vec![];
    for _ in 0..MAX_MEMBER_STREAMS {
        kept.push(stranger.handle.open_member(gateway.id()).await.unwrap());
    }
    let mut one_more = stranger.handle.open_member(gateway.id()).await.unwrap();
    let end = timeout(PATIENCE, one_more.read(&mut [0])).await.unwrap();
    assert!(end.is_err() || end.is_ok_and(|read| read == 0));

    for _ in 0..MAX_JOIN_STREAMS {
        kept.push(stranger.handle.open_join(gateway.id()).await.unwrap());
    }
    let mut one_more = stranger.handle.open_join(gateway.id()).await.unwrap();
    one_more.write_all(b"?").await.unwrap();
    one_more.flush().await.unwrap();
    let answer: JoinReply = timeout(PATIENCE, frame::read(&mut one_more, MAX_MEMBER_FRAME)).await.unwrap().unwrap();
    assert_eq!(answer, JoinReply::Refused(JoinRefusal::Busy));
}

/// The address book names a stranger as one of the swarm's nodes. The gateway calls it, and that is all.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_entry_in_the_address_book_changes_nothing() {
    let key = SwarmKey::generate().unwrap();
    let bootstrap = TestPeer::start(Role::Bootstrap, &[]).await;
    let mut gateway = TestPeer::start(Role::Gateway, &[&bootstrap]).await;
    let members = gateway.join(authority(&key));
    let mut stranger = TestPeer::start(Role::Node, &[&bootstrap]).await;
    // It believes itself to be a member, by a certificate of a swarm of its own.
    let theirs = stranger.join_as(&SwarmKey::generate().unwrap(), MemberRole::Node);
    let id = stranger.id();
    gateway.sees("the stranger", |peers| peers.get(&id).is_some_and(|peer| peer.takes_jobs)).await;
    own(&theirs, "it is refused", |own| own.trouble == Some(NotMember::OtherSwarm)).await;
    assert_eq!(members.refusals().of("other_swarm"), 1);
    assert!(members.roster().borrow().is_empty());
    assert_eq!(gateway.handle.peers().borrow().get(&id).unwrap().member, None);
    assert!(gateway.status.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_word_that_is_no_introduction_is_refused() {
    let key = SwarmKey::generate().unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let members = gateway.join(authority(&key));
    let stranger = TestPeer::start(Role::Node, &[&gateway]).await;
    stranger.meets(&gateway).await;
    let mut stream = stranger.handle.open_member(gateway.id()).await.unwrap();
    frame::write(&mut stream, &MemberFrame::Renew).await.unwrap();
    let answer: MemberFrame = timeout(PATIENCE, frame::read(&mut stream, MAX_MEMBER_FRAME)).await.unwrap().unwrap();
    assert_eq!(answer, MemberFrame::Refused(NotMember::NoCertificate));
    assert_eq!(members.refusals().of("no_certificate"), 1);
}
