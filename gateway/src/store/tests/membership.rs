//! Invites and members.

use starling_protocol::{
    membership::{JoinRefusal, MemberRole, SwarmKey},
    swarm::PeerId,
};

use super::*;
use crate::store::{
    invites::{Bearer, Invite, MAX_LIVE_INVITES, NewInvite},
    members::Whereabouts,
};

const HOUR: Duration = Duration::from_secs(3600);

fn new_invite(max_uses: u32) -> NewInvite {
    NewInvite {
        label: "l".to_owned(),
        role: MemberRole::Node,
        max_uses,
        lifetime: HOUR,
        created_by: None,
        printed: false,
    }
}

async fn invite(store: &Store, new: &NewInvite) -> (Invite, Digest) {
    let secret = Token::generate("").digest();
    (store.create_invite(new, &secret).await.unwrap().unwrap(), secret)
}

async fn redeem(store: &Store, digest: Digest, peer: PeerId) -> Result<MemberRole, JoinRefusal> {
    redeem_at(store, digest, peer, Timestamp::now()).await
}

async fn redeem_at(store: &Store, digest: Digest, peer: PeerId, now: Timestamp) -> Result<MemberRole, JoinRefusal> {
    store.redeem(&Bearer { digest, peer, name: "a node", role: None }, now).await.unwrap()
}

async fn uses(store: &Store) -> Vec<u32> {
    store.invites(None).await.unwrap().iter().map(|invite| invite.uses).collect()
}

#[tokio::test]
async fn an_invite_for_another_role_is_not_spent() {
    let (store, _dir) = store().await;
    let (_, secret) = invite(&store, &NewInvite { role: MemberRole::Gateway, ..new_invite(1) }).await;
    let refused = Err(JoinRefusal::OtherRole { role: MemberRole::Gateway });
    let bearer = Bearer { digest: secret, peer: PeerId::random(), name: "a node", role: Some(MemberRole::Node) };
    assert_eq!(store.redeem(&bearer, Timestamp::now()).await.unwrap(), refused);
    assert_eq!(uses(&store).await, [0]);
}

#[tokio::test]
async fn an_invite_lets_in_as_many_as_it_says() {
    let (store, _dir) = store().await;
    let (_, secret) = invite(&store, &new_invite(2)).await;
    let (a, b, c) = (PeerId::random(), PeerId::random(), PeerId::random());
    assert!(!store.has_members(None).await.unwrap());
    assert_eq!(redeem(&store, secret, a).await, Ok(MemberRole::Node));
    assert_eq!(redeem(&store, secret, a).await, Ok(MemberRole::Node), "the answer was lost: the place is still there");
    assert_eq!(uses(&store).await, [1]);
    assert_eq!(redeem(&store, secret, b).await, Ok(MemberRole::Node));
    assert_eq!(redeem(&store, secret, c).await, Err(JoinRefusal::Used));
    assert_eq!(redeem(&store, secret, a).await, Ok(MemberRole::Node), "also when it is used up");
    assert_eq!(redeem(&store, Token::generate("").digest(), c).await, Err(JoinRefusal::Unknown));
    assert_eq!(uses(&store).await, [2]);
    let mut members: Vec<PeerId> = store.members().await.unwrap().iter().map(|member| member.peer).collect();
    members.sort();
    let mut expected = vec![a, b];
    expected.sort();
    assert_eq!(members, expected);
    assert!(store.has_members(Some(MemberRole::Node)).await.unwrap());
    assert!(!store.has_members(Some(MemberRole::Gateway)).await.unwrap());
}

#[tokio::test]
async fn the_last_use_goes_to_one_of_two() {
    let (store, _dir) = store().await;
    for _ in 0..20 {
        let (_, secret) = invite(&store, &new_invite(1)).await;
        let (a, b) = tokio::join!(redeem(&store, secret, PeerId::random()), redeem(&store, secret, PeerId::random()));
        let mut both = [a, b];
        both.sort_by_key(Result::is_err);
        assert_eq!(both, [Ok(MemberRole::Node), Err(JoinRefusal::Used)]);
    }
}

#[tokio::test]
async fn what_is_over_is_refused_for_what_it_is() {
    let (store, _dir) = store().await;
    let (made, secret) = invite(&store, &new_invite(1)).await;
    let (peer, later) = (PeerId::random(), made.expires_at.after(Duration::from_secs(90)));
    assert_eq!(redeem_at(&store, secret, peer, later).await, Err(JoinRefusal::Expired { seconds: 90 }));
    assert!(store.revoke_invite(made.id, None, Timestamp::now()).await.unwrap());
    assert_eq!(redeem(&store, secret, peer).await, Err(JoinRefusal::Revoked));
    assert_eq!(uses(&store).await, [0]);
    let first = store.invites(None).await.unwrap()[0].revoked_at;
    assert!(store.revoke_invite(made.id, None, later).await.unwrap(), "twice is no mistake");
    assert_eq!(store.invites(None).await.unwrap()[0].revoked_at, first);
    assert!(!store.revoke_invite(crate::id::InviteId::generate(), None, later).await.unwrap());
}

#[tokio::test]
async fn who_was_turned_out_needs_another_invite() {
    let (store, _dir) = store().await;
    let (_, secret) = invite(&store, &new_invite(5)).await;
    let peer = PeerId::random();
    redeem(&store, secret, peer).await.unwrap();
    assert!(store.revoke_member(peer, Timestamp::now()).await.unwrap());
    assert!(!store.revoke_member(PeerId::random(), Timestamp::now()).await.unwrap());
    assert!(!store.has_members(None).await.unwrap());
    assert_eq!(redeem(&store, secret, peer).await, Err(JoinRefusal::Revoked));
    let gateway = NewInvite { role: MemberRole::Gateway, ..new_invite(1) };
    let (_, another) = invite(&store, &gateway).await;
    assert_eq!(redeem(&store, another, peer).await, Ok(MemberRole::Gateway));
    let members = store.members().await.unwrap();
    assert_eq!((members.len(), members[0].role, members[0].revoked_at), (1, MemberRole::Gateway, None));
    assert_eq!(members[0].name, "a node");
}

#[tokio::test]
async fn a_printed_invite_takes_the_place_of_the_one_before() {
    let (store, _dir) = store().await;
    let (_, made) = invite(&store, &new_invite(1)).await;
    let printed = NewInvite { printed: true, ..new_invite(1) };
    let (_, first) = invite(&store, &printed).await;
    let (_, second) = invite(&store, &printed).await;
    assert_eq!(redeem(&store, first, PeerId::random()).await, Err(JoinRefusal::Revoked));
    assert_eq!(redeem(&store, second, PeerId::random()).await, Ok(MemberRole::Node));
    store.revoke_printed_invites(Timestamp::now()).await.unwrap();
    assert_eq!(redeem(&store, made, PeerId::random()).await, Ok(MemberRole::Node), "the others stay");
}

#[tokio::test]
async fn there_are_only_so_many_live_invites() {
    let (store, _dir) = store().await;
    let later = Timestamp::now().after(HOUR).0;
    let mut many = sqlx::QueryBuilder::<Db>::new(
        "INSERT INTO invites (id, secret_hash, label, role, max_uses, printed, created_at, expires_at) ",
    );
    many.push_values(1..MAX_LIVE_INVITES, |mut row, number| {
        row.push_bind(format!("00000000-0000-7000-8000-{number:012}")).push_bind(Token::generate("").digest().to_vec());
        row.push("'', 'node', 1, 0, 0").push_bind(later);
    });
    many.build().execute(&store.writer).await.unwrap();
    let (last, secret) = invite(&store, &new_invite(1)).await;
    let more = Token::generate("").digest();
    assert_eq!(store.create_invite(&new_invite(1), &more).await.unwrap(), None);
    redeem(&store, secret, PeerId::random()).await.unwrap();
    assert!(store.create_invite(&new_invite(1), &more).await.unwrap().is_some(), "a used one has made room");
    assert_eq!(store.invites(None).await.unwrap()[1].id, last.id, "the newest come first");
}

#[tokio::test]
async fn where_the_gateway_is_can_be_read_beside_it() {
    let (store, dir) = store().await;
    assert_eq!(store.whereabouts().await.unwrap(), None);
    let swarm = SwarmKey::generate().unwrap().id();
    let address = |port: u16| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap();
    for addresses in [vec![address(1)], vec![address(2), address(3)], vec![]] {
        let here = Whereabouts { peer: PeerId::random(), swarm, addresses };
        store.set_whereabouts(&here).await.unwrap();
        let beside = open(&dir).await;
        assert_eq!(beside.whereabouts().await.unwrap(), Some(here));
    }
}
