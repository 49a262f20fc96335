//! What time does to certificates, with clocks that the tests set.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use starling_protocol::{
    membership::{CERTIFICATE_LIFETIME, Clock, MemberRole, Membership, NotMember, SwarmKey},
    swarm::Role,
};
use tokio::time::timeout;

use crate::peer::{PATIENCE, Settings, TestPeer, authority, member, own, roster};

/// Seconds that the clock of a test is ahead; each test has its own.
type Ahead = AtomicU64;

fn shifted(ahead: &Ahead) -> SystemTime {
    SystemTime::now() + Duration::from_secs(ahead.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_at_half_of_their_life() {
    static AHEAD: Ahead = Ahead::new(0);
    let clock = Clock(|| shifted(&AHEAD));
    let (key, folder) = (SwarmKey::generate().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("membership.cbor");
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let mut other = TestPeer::start(Role::Gateway, &[&gateway]).await;
    let mut node = TestPeer::start(Role::Node, &[&gateway, &other]).await;
    let ours = gateway.join_with(authority(&key), Settings { clock, ..Settings::default() });
    let certify = |peer: &TestPeer, role| member(key.certify(peer.id(), role, clock.now()));
    let standing = certify(&other, MemberRole::Gateway);
    let others = other.join_with(standing, Settings { clock, ..Settings::default() });
    let standing = certify(&node, MemberRole::Node);
    let settings = Settings { clock, membership: Some(path.clone()), ..Settings::default() };
    let theirs = node.join_with(standing, settings);
    roster(&theirs, "both gateways", |roster| roster.len() == 2).await;
    let first = theirs.own().borrow().claims.clone();

    AHEAD.fetch_add(CERTIFICATE_LIFETIME.as_secs() / 2 + 60, Ordering::Relaxed);
    let later = |claims: &starling_protocol::membership::Claims| claims.expires_at > first.expires_at + 1_000;
    own(&theirs, "renewed", |own| later(&own.claims)).await;
    own(&ours, "the authority renews itself", |own| later(&own.claims)).await;
    own(&others, "a gateway without the key", |own| later(&own.claims)).await;
    for members in [&ours, &others, &theirs] {
        roster(members, "all know it", |roster| roster.len() == 2 && roster.values().all(later)).await;
    }
    let saved = async {
        loop {
            match Membership::load(&path).unwrap() {
                Some(saved) => break saved,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let saved = timeout(PATIENCE, saved).await.unwrap();
    assert!(later(&saved.certificate.claims().unwrap()));

    // Past the end of the first ones: nobody is turned out.
    AHEAD.fetch_add(CERTIFICATE_LIFETIME.as_secs() / 2, Ordering::Relaxed);
    own(&theirs, "renewed again", |own| own.claims.issued_at > first.expires_at).await;
    assert_eq!(ours.refusals().iter().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_renew_is_turned_out_at_the_end() {
    static AHEAD: Ahead = Ahead::new(0);
    let clock = Clock(|| shifted(&AHEAD));
    let key = SwarmKey::generate().unwrap();
    // Nobody here holds the key.
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let mut node = TestPeer::start(Role::Node, &[&gateway]).await;
    let certificate = key.certify(gateway.id(), MemberRole::Gateway, clock.now() + 120);
    let ours = gateway.join_with(member(certificate), Settings { clock, ..Settings::default() });
    let certificate = key.certify(node.id(), MemberRole::Node, clock.now());
    let theirs = node.join_with(member(certificate), Settings { clock, ..Settings::default() });
    roster(&ours, "the node", |roster| roster.contains_key(&node.id())).await;

    AHEAD.fetch_add(CERTIFICATE_LIFETIME.as_secs() + 60, Ordering::Relaxed);
    let expired = |why| matches!(why, Some(NotMember::Expired { .. }));
    own(&theirs, "it is told", |own| expired(own.trouble)).await;
    roster(&ours, "the node is out", |roster| roster.is_empty()).await;
    assert!(ours.refusals().of("expired") > 0);
    assert_eq!(ours.own().borrow().trouble, None);
}

/// The node's clock is ten minutes behind: the gateway's fresh certificate lies in its future.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ten_minutes_off_is_named() {
    let behind = Clock(|| SystemTime::now() - Duration::from_secs(600));
    let key = SwarmKey::generate().unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let mut node = TestPeer::start(Role::Node, &[&gateway]).await;
    let ours = gateway.join(authority(&key));
    let certificate = key.certify(node.id(), MemberRole::Node, behind.now());
    let theirs = node.join_with(member(certificate), Settings { clock: behind, ..Settings::default() });
    own(&theirs, "the clock", |own| matches!(own.trouble, Some(NotMember::ClockOff { seconds: 598..=602 }))).await;
    let why = theirs.own().borrow().trouble.unwrap();
    assert!(why.to_string().contains("are 10 minutes apart") || why.to_string().contains("9 minutes"), "{why}");
    assert!(why.hint().contains("clock"), "{}", why.hint());
    roster(&ours, "it does not take us", |roster| roster.is_empty()).await;
}
