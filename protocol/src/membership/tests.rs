//! Round trips, bounds, and what becomes of damage.

use super::*;
use crate::limits::{MAX_INVITE_ADDRESSES, MAX_INVITE_CHARACTERS};
use certificate::span;
use libp2p::PeerId;

const NOW: Seconds = 1_800_000_000;
const LIFETIME: Seconds = CERTIFICATE_LIFETIME.as_secs();
/// Signatures are slow without optimisation: one bit of each byte, another one each time.
const STEP: usize = 7;
const SKEW: Seconds = MAX_CLOCK_SKEW.as_secs();

fn key() -> SwarmKey {
    SwarmKey::generate().unwrap()
}

fn invite(addresses: usize) -> Invite {
    let gateway = PeerId::random();
    let address = |n| format!("/ip4/203.0.113.7/tcp/{n}/p2p/{gateway}").parse().unwrap();
    let addresses = (1..=addresses).map(address).collect();
    Invite { swarm: key().id(), gateway, addresses, secret: Secret::generate().unwrap() }
}

#[test]
fn a_certificate_is_good_for_its_peer_its_swarm_and_its_time() {
    let (key, other, peer) = (key(), key(), PeerId::random());
    let certificate = key.certify(peer, MemberRole::Node, NOW);
    let verify = |swarm: &SwarmKey, peer, now| certificate.verify(&swarm.id(), &peer, now);
    let claims = verify(&key, peer, NOW).unwrap();
    assert_eq!((claims.peer, claims.role, claims.expires_at), (peer, MemberRole::Node, NOW + LIFETIME));
    assert_eq!(verify(&other, peer, NOW), Err(NotMember::OtherSwarm));
    assert_eq!(verify(&key, PeerId::random(), NOW), Err(NotMember::OtherPeer));
    assert!(verify(&key, peer, NOW + LIFETIME - 1).is_ok());
    assert_eq!(verify(&key, peer, NOW + LIFETIME), Err(NotMember::Expired { seconds: 0 }));
    assert!(verify(&key, peer, NOW - SKEW).is_ok());
    assert_eq!(verify(&key, peer, NOW - SKEW - 1), Err(NotMember::NotYetValid { seconds: SKEW + 1 }));
    assert_eq!(minicbor::decode::<Certificate>(&minicbor::to_vec(&certificate).unwrap()).unwrap(), certificate);
}

#[test]
fn a_changed_certificate_is_refused() {
    let (key, peer) = (key(), PeerId::random());
    let whole = minicbor::to_vec(key.certify(peer, MemberRole::Node, NOW)).unwrap();
    for bit in (0..whole.len() * 8).step_by(STEP) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(certificate) = minicbor::decode::<Certificate>(&flipped) {
            assert!(certificate.verify(&key.id(), &peer, NOW).is_err(), "bit {bit}");
        }
    }
    for cut in 0..whole.len() {
        assert!(minicbor::decode::<Certificate>(&whole[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_certificate_is_renewed_when_half_of_its_time_is_over() {
    let claims = key().certify(PeerId::random(), MemberRole::Node, NOW).claims().unwrap();
    assert!(!claims.wants_renewal(NOW + LIFETIME / 2 - 1));
    assert!(claims.wants_renewal(NOW + LIFETIME / 2));
    let backwards = Claims { issued_at: u64::MAX, expires_at: 0, ..claims };
    assert!(!backwards.wants_renewal(NOW) && backwards.check_time(NOW).is_err());
}

#[test]
fn an_invite_reads_back_also_with_blanks_around_it() {
    for addresses in [1, MAX_INVITE_ADDRESSES] {
        let invite = invite(addresses);
        let text = invite.to_string();
        assert!(text.len() <= MAX_INVITE_CHARACTERS, "{}", text.len());
        assert_eq!(format!("  {text}\n").parse(), Ok(invite));
    }
}

#[test]
fn a_changed_invite_is_refused() {
    let text = invite(1).to_string();
    for bit in 0..text.len() * 8 {
        let mut flipped = text.clone().into_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(flipped) = String::from_utf8(flipped) else { continue };
        // The blank at an end is no part of it.
        if flipped.trim().len() == text.len() {
            assert!(flipped.parse::<Invite>().is_err(), "bit {bit}");
        }
    }
    for cut in 0..text.len() {
        assert!(text[..cut].parse::<Invite>().is_err(), "cut at {cut}");
    }
    assert_eq!("hello".parse::<Invite>(), Err(InviteError::NotOne));
    assert_eq!(format!("{text}{}", "A".repeat(MAX_INVITE_CHARACTERS)).parse::<Invite>(), Err(InviteError::Damaged));
}

#[test]
fn an_invite_names_a_few_addresses_and_at_least_one() {
    for addresses in [0, MAX_INVITE_ADDRESSES + 1] {
        assert_eq!(invite(addresses).to_string().parse::<Invite>(), Err(InviteError::Damaged), "{addresses}");
    }
}

#[test]
fn secrets_are_shown_nowhere() {
    assert!(format!("{:?}", invite(1)).contains("secret: Secret"));
}

#[test]
fn revocations_add_up_to_the_same_in_any_order() {
    let (key, peers) = (key(), [PeerId::random(), PeerId::random()]);
    let all: Vec<_> = [(0, 5), (1, 3), (0, 9), (1, 3), (0, 7)].map(|(n, at)| key.revoke(peers[n], NOW + at)).into();
    let add = |order: &mut dyn Iterator<Item = &Revocation>| {
        let mut revocations = Revocations::default();
        for revocation in order {
            revocations.add(revocation.clone(), &key.id(), NOW);
        }
        revocations
    };
    let forwards = add(&mut all.iter());
    for turn in 0..all.len() {
        let turned = || all[turn..].iter().chain(&all[..turn]);
        assert_eq!(add(&mut turned()), forwards);
        assert_eq!(add(&mut turned().collect::<Vec<_>>().into_iter().rev()), forwards);
    }
    assert_eq!((forwards.len(), forwards.of(&peers[0]).unwrap().revoked_at), (2, NOW + 9));
}

#[test]
fn a_revocation_ends_what_was_issued_before_it_and_nothing_else() {
    let (key, peer) = (key(), PeerId::random());
    let claims = |at| key.certify(peer, MemberRole::Node, at).claims().unwrap();
    let mut revocations = Revocations::default();
    assert!(revocations.add(key.revoke(peer, NOW), &key.id(), NOW));
    assert!(revocations.revokes(&claims(NOW - 1)) && revocations.revokes(&claims(NOW)));
    assert!(!revocations.revokes(&claims(NOW + 1)));
    assert!(!revocations.revokes(&Claims { peer: PeerId::random(), ..claims(NOW) }));
}

#[test]
fn a_revocation_is_the_swarms_and_is_forgotten_when_it_is_over() {
    let (ours, other, peer) = (key(), key(), PeerId::random());
    let mut revocations = Revocations::default();
    assert!(!revocations.add(other.revoke(peer, NOW), &ours.id(), NOW), "of another swarm");
    let revocation = ours.revoke(peer, NOW);
    let whole = minicbor::to_vec(&revocation).unwrap();
    for bit in (0..whole.len() * 8).step_by(STEP) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(flipped) = minicbor::decode::<Revocation>(&flipped) {
            assert!(!revocations.add(flipped, &ours.id(), NOW), "bit {bit}");
        }
    }
    let over = NOW + LIFETIME + SKEW + 1;
    assert!(!revocations.add(revocation.clone(), &ours.id(), over), "too late");
    assert!(revocations.add(revocation, &ours.id(), over - 1));
    assert!(revocations.add(ours.revoke(PeerId::random(), over), &ours.id(), over));
    assert_eq!(revocations.len(), 1);
}

#[test]
fn spans_are_said_in_the_unit_that_fits() {
    for (seconds, words) in [
        (0, "0 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7_199, "119 minutes"),
        (7_200, "2 hours"),
        (172_799, "47 hours"),
        (172_800, "2 days"),
        (30 * 86_400, "30 days"),
    ] {
        assert_eq!(span(seconds), words);
    }
    assert_eq!(
        JoinRefusal::ClockOff { seconds: -600 }.to_string(),
        "this machine's clock is 10 minutes behind the gateway's"
    );
    assert_eq!(NotMember::ClockOff { seconds: 600 }.to_string(), "the clocks of the two peers are 10 minutes apart");
}

#[test]
fn a_membership_is_read_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("membership.cbor");
    assert_eq!(Membership::load(&path).unwrap(), None);
    let invite = invite(2);
    let certificate = key().certify(invite.gateway, MemberRole::Node, NOW);
    let membership = Membership { certificate, addresses: invite.addresses };
    membership.save(&path).unwrap();
    assert_eq!(Membership::load(&path).unwrap(), Some(membership));
    std::fs::write(&path, "something else").unwrap();
    assert_eq!(Membership::load(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
}
