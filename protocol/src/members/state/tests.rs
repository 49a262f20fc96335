//! Whom to believe, tried without a network.

mod simulation;

use super::*;
use crate::membership::CERTIFICATE_LIFETIME;

const NOW: Seconds = 1_800_000_000;
const MINUTE: Seconds = 60;
const LIFETIME: Seconds = CERTIFICATE_LIFETIME.as_secs();

fn key() -> Arc<SwarmKey> {
    Arc::new(SwarmKey::generate().unwrap())
}

fn gateway(key: &Arc<SwarmKey>) -> State {
    State::authority(PeerId::random(), key.clone(), MemberRole::Gateway, NOW)
}

fn member(key: &SwarmKey, role: MemberRole) -> State {
    let me = PeerId::random();
    let membership = Membership { certificate: key.certify(me, role, NOW), addresses: vec![] };
    State::member(me, membership, NOW).unwrap()
}

/// Introduces one to the other.
fn meet(state: &mut State, other: &State, now: Seconds) -> Result<MemberRole, NotMember> {
    state.judge(other.me, &other.hello(now), now)
}

#[test]
fn a_certificate_of_somebody_else_makes_no_member_and_an_expired_one_a_troubled_one() {
    let (key, me) = (key(), PeerId::random());
    let with = |peer, now| {
        let certificate = key.certify(peer, MemberRole::Node, NOW);
        State::member(me, Membership { certificate, addresses: vec![] }, now)
    };
    assert_eq!(with(PeerId::random(), NOW).unwrap_err(), NotMember::OtherPeer);
    assert_eq!(with(me, NOW).unwrap().own(NOW).trouble, None);
    let late = NOW + LIFETIME + 7;
    assert_eq!(with(me, late).unwrap().own(late).trouble, Some(NotMember::Expired { seconds: 7 }));
}

#[test]
fn a_node_is_no_business_of_a_node_and_that_is_counted() {
    let key = key();
    let (mut node, other, gateway) = (member(&key, MemberRole::Node), member(&key, MemberRole::Node), gateway(&key));
    assert_eq!(meet(&mut node, &gateway, NOW), Ok(MemberRole::Gateway));
    assert_eq!(meet(&mut node, &other, NOW), Err(NotMember::WrongRole));
    assert_eq!(node.refusals().iter().collect::<Vec<_>>(), [("wrong_role", 1)]);
    assert_eq!(node.roster().into_keys().collect::<Vec<_>>(), [gateway.me]);
}

#[test]
fn a_wrong_clock_is_named_only_where_it_is_the_reason() {
    let key = key();
    let (mut ours, node) = (gateway(&key), member(&key, MemberRole::Node));
    let late = NOW + LIFETIME + MINUTE;
    let hello = |now| Hello { now, ..node.hello(now) };
    assert_eq!(ours.judge(node.me, &hello(late), late), Err(NotMember::Expired { seconds: MINUTE }));
    assert_eq!(ours.judge(node.me, &hello(late - 10 * MINUTE), late), Err(NotMember::ClockOff { seconds: 600 }));
    assert_eq!(ours.own(late).claims.peer, ours.me);
    // Ten minutes ahead is no reason to refuse a certificate that is good by our clock.
    assert_eq!(ours.judge(node.me, &hello(NOW + 10 * MINUTE), NOW), Ok(MemberRole::Node));
    // Ours is behind: their certificate begins in the future.
    let early = NOW - 10 * MINUTE;
    let mut behind = member(&key, MemberRole::Node);
    assert_eq!(behind.judge(ours.me, &ours.hello(NOW), early), Err(NotMember::ClockOff { seconds: 600 }));
    assert_eq!(behind.refused, Some(NotMember::ClockOff { seconds: 600 }), "our own owner must learn of it");
}

#[test]
fn a_revocation_turns_out_whom_it_names_and_is_news_only_once() {
    let key = key();
    let (mut ours, node) = (gateway(&key), member(&key, MemberRole::Node));
    meet(&mut ours, &node, NOW).unwrap();
    let revocation = key.revoke(node.me, NOW);
    let heard = ours.heard(vec![revocation.clone()], NOW);
    assert_eq!((heard.out, heard.fresh, heard.forged), (vec![node.me], vec![revocation.clone()], false));
    assert!(ours.roster().is_empty());
    assert_eq!(ours.heard(vec![revocation], NOW), Heard::default());
    assert_eq!(meet(&mut ours, &node, NOW), Err(NotMember::Revoked));
}

#[test]
fn a_revocation_that_the_swarm_has_not_signed_is_seen_and_changes_nothing() {
    let (ours_key, other) = (key(), key());
    let (mut ours, node) = (gateway(&ours_key), member(&ours_key, MemberRole::Node));
    meet(&mut ours, &node, NOW).unwrap();
    let heard = ours.heard(vec![other.revoke(node.me, NOW)], NOW);
    assert!(heard.forged && heard.out.is_empty() && heard.fresh.is_empty());
    assert!(ours.roster().contains_key(&node.me));
    assert_eq!(ours.refusals().of("forged"), 1);
}

#[test]
fn who_is_readmitted_in_the_second_of_its_revocation_is_a_member_and_can_be_turned_out_again() {
    let key = key();
    let (mut ours, mut node) = (gateway(&key), member(&key, MemberRole::Node));
    for round in 0..3 {
        meet(&mut ours, &node, NOW).unwrap_or_else(|why| panic!("round {round}: {why}"));
        if round == 1 {
            // As if it had gone in the meantime: nothing tells when its certificate begins.
            ours.keep_connected(|_| false);
        }
        assert_eq!(ours.revoke(node.me, NOW).unwrap().fresh.len(), 1);
        assert_eq!(meet(&mut ours, &node, NOW), Err(NotMember::Revoked), "round {round}");
        let certificate = certify(&key, node.me, MemberRole::Node, ours.revocations(), NOW);
        assert!(node.renewed(certificate, NOW), "round {round}");
    }
}

#[test]
fn only_a_holder_of_the_key_revokes_and_never_itself() {
    let key = key();
    let (mut ours, mut node) = (gateway(&key), member(&key, MemberRole::Node));
    assert_eq!(ours.revoke(ours.me, NOW), None);
    assert_eq!(node.revoke(PeerId::random(), NOW), None);
}

#[test]
fn a_certificate_is_renewed_at_half_life_by_an_authority_and_for_members_only() {
    let key = key();
    let (mut ours, mut node, stranger) = (gateway(&key), member(&key, MemberRole::Node), PeerId::random());
    meet(&mut ours, &node, NOW).unwrap();
    meet(&mut node, &ours, NOW).unwrap();
    assert_eq!(node.authorities(), [ours.me]);
    let half = NOW + LIFETIME / 2;
    assert!(!node.wants_renewal(half - 1) && node.wants_renewal(half));
    assert_eq!(ours.renew(&node.me, half - 10 * MINUTE), None, "too early");
    assert_eq!(ours.renew(&stranger, half), None);
    assert_eq!(node.renew(&ours.me, half), None, "it holds no key");
    let certificate = ours.renew(&node.me, half).unwrap();
    assert!(node.renewed(certificate.clone(), half));
    assert!(!node.renewed(certificate, half), "no better than what it has");
    assert_eq!(node.own(half).claims.expires_at, half + LIFETIME);
    assert_eq!(node.membership().certificate.claims().unwrap(), node.own(half).claims);
    assert!(ours.wants_renewal(half) && ours.renew_own(half) && !ours.wants_renewal(half));
    ours.revoke(node.me, half).unwrap();
    assert_eq!(ours.renew(&node.me, half + LIFETIME / 2), None, "revoked");
}

#[test]
fn a_renewed_certificate_is_ours_of_our_role_and_signed() {
    let (ours, other) = (key(), key());
    let mut node = member(&ours, MemberRole::Node);
    let later = NOW + 100;
    for bad in [
        ours.certify(PeerId::random(), MemberRole::Node, later),
        ours.certify(node.me, MemberRole::Gateway, later),
        other.certify(node.me, MemberRole::Node, later),
    ] {
        assert!(!node.renewed(bad, later));
    }
    assert!(node.renewed(ours.certify(node.me, MemberRole::Node, later), later));
}

#[test]
fn certificates_that_end_are_seen_to() {
    let key = key();
    let (mut ours, node) = (gateway(&key), member(&key, MemberRole::Node));
    meet(&mut ours, &node, NOW).unwrap();
    assert_eq!(ours.expire(NOW + LIFETIME - 1), []);
    assert_eq!(ours.expire(NOW + LIFETIME), [(node.me, NotMember::Expired { seconds: 0 })]);
    assert!(ours.take_change() && ours.roster().is_empty());
}

#[test]
fn a_strangers_word_counts_only_where_no_member_says_otherwise() {
    let key = key();
    let (mut node, ours, stranger) = (member(&key, MemberRole::Node), gateway(&key), PeerId::random());
    node.refused_by(&stranger, NotMember::OtherSwarm);
    assert_eq!(node.own(NOW).trouble, Some(NotMember::OtherSwarm));
    meet(&mut node, &ours, NOW).unwrap();
    assert_eq!(node.own(NOW).trouble, None);
    node.refused_by(&stranger, NotMember::Revoked);
    assert_eq!(node.own(NOW).trouble, None);
    node.refused_by(&ours.me, NotMember::Revoked);
    assert_eq!(node.own(NOW).trouble, Some(NotMember::Revoked));
}
