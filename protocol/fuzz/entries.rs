//! What is done with bytes from strangers, for the fuzzer and for the tests alike. Nothing here may panic, and
//! what was read must be read back the same from what it is written as.
#![allow(dead_code, reason = "each fuzz target is a program of its own and uses one")]

use futures::{executor::block_on, io::Cursor};
use minicbor::{Decode, Encode};
use starling_protocol::{
    frame,
    limits::{MAX_EVENT_FRAME, MAX_HELLO_FRAME, MAX_MEMBER_FRAME, MAX_REQUEST_FRAME, MAX_STATUS_FRAME},
    membership::{Certificate, Invite, JoinReply, JoinRequest, MemberFrame, Membership, Revocation, SwarmId},
    message::{JobEvent, JobOpening, JobOrder, Status},
};

/// A frame as each of the messages that a stranger can send.
pub(crate) fn frames(data: &[u8]) {
    if let Some(opening) = message::<JobOpening>(data, MAX_REQUEST_FRAME) {
        let _ = opening.validate();
        let _ = format!("{opening:?}");
    }
    message::<JobOrder>(data, MAX_REQUEST_FRAME);
    if let Some(JobEvent::Vector(vector)) = message::<JobEvent>(data, MAX_EVENT_FRAME) {
        let _ = vector.floats();
    }
    if let Some(status) = message::<Status>(data, MAX_STATUS_FRAME) {
        let _ = status.validate();
    }
    message::<MemberFrame>(data, MAX_MEMBER_FRAME);
    message::<MemberFrame>(data, MAX_HELLO_FRAME);
    message::<JoinRequest>(data, MAX_MEMBER_FRAME);
    if let Some(JoinReply::Refused(why)) = message::<JoinReply>(data, MAX_MEMBER_FRAME) {
        let _ = format!("{why}, {}", why.hint());
    }
}

/// What a person may paste for an invite.
pub(crate) fn invites(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Invite>() {
        Ok(invite) => assert_eq!(invite.to_string().parse(), Ok(invite)),
        Err(error) => drop(format!("{error}, {}", error.hint())),
    }
}

/// A certificate, a membership file or a revocation.
pub(crate) fn certificates(data: &[u8]) {
    if let Ok(certificate) = minicbor::decode::<Certificate>(data)
        && let Some(claims) = certificate.claims()
    {
        for now in [0, claims.issued_at, claims.expires_at, u64::MAX] {
            if let Err(why) = certificate.verify(&claims.swarm, &claims.peer, now) {
                let _ = format!("{why}, {}", why.hint());
            }
            let _ = claims.wants_renewal(now);
        }
        same::<Certificate>(&certificate);
    }
    if let Ok(membership) = minicbor::decode::<Membership>(data) {
        same::<Membership>(&membership);
    }
    if let Ok(revocation) = minicbor::decode::<Revocation>(data) {
        let swarm: SwarmId = "00".repeat(32).parse().expect("64 digits");
        assert!(!revocation.is_of(&swarm));
        let _ = revocation.is_over(u64::MAX);
        same::<Revocation>(&revocation);
    }
}

fn message<T>(data: &[u8], limit: usize) -> Option<T>
where
    T: Encode<()> + for<'b> Decode<'b, ()>,
{
    let message = block_on(frame::read::<T>(&mut Cursor::new(data), limit)).ok()?;
    same::<T>(&message);
    Some(message)
}

/// By its bytes: a number may be none, and that is not equal to itself.
fn same<T>(message: &T)
where
    T: Encode<()> + for<'b> Decode<'b, ()>,
{
    let bytes = frame::encode(message);
    let again = minicbor::decode::<T>(&bytes[4..]).expect("what we write can be read");
    assert!(frame::encode(&again) == bytes, "read back as something else");
}
