//! Who belongs to the swarm, for administrators.

use std::collections::BTreeMap;

use axum::{Json as Answer, extract::State, http::StatusCode};
use starling_protocol::{
    members::Roster,
    membership::{Claims, Seconds},
    swarm::PeerId,
};

use super::{
    auth::{Address, SignedInAdministrator},
    error::ApiError,
    extract::InPath,
    wire::{Member, MemberList, RefusedPeers},
};
use crate::{
    app::App,
    clock::Timestamp,
    store::{audit::Action, members},
};

/// `GET /api/members`
#[utoipa::path(
    get,
    path = "/api/members",
    summary = "Members of the swarm",
    responses((status = 200, description = "", body = MemberList)),
)]
pub(super) async fn list(State(app): State<App>, _: SignedInAdministrator) -> Result<Answer<MemberList>, ApiError> {
    let known = app.store.members().await?;
    let roster = app.network.members.roster().borrow().clone();
    let refused = app.network.members.refusals();
    let refused = refused.iter().map(|(reason, count)| RefusedPeers { reason: reason.to_owned(), count });
    Ok(Answer(MemberList {
        swarm: app.network.members.swarm().to_string(),
        members: join(known, &roster),
        refused: refused.collect(),
    }))
}

/// `DELETE /api/members/{id}`
#[utoipa::path(
    delete,
    path = "/api/members/{id}",
    summary = "Turns a member out",
    params(("id" = String, Path)),
    responses((status = 204, description = "It is turned out")),
)]
pub(super) async fn revoke(
    State(app): State<App>,
    SignedInAdministrator(by): SignedInAdministrator,
    from: Address,
    InPath(peer): InPath<PeerId>,
) -> Result<StatusCode, ApiError> {
    let members = &app.network.members;
    if !members.is_authority() {
        return Err(ApiError::NotAuthority);
    }
    if peer == app.network.swarm.local_peer() {
        return Err(ApiError::Oneself);
    }
    let listed = app.store.members().await?.iter().any(|member| member.peer == peer);
    if !listed && !members.roster().borrow().contains_key(&peer) {
        return Err(ApiError::NoSuchMember);
    }
    // First the swarm: should the database fail, the peer is out all the same, and asking again mends the rest.
    members.revoke(peer).await;
    app.store.revoke_member(peer, Timestamp::now()).await?;
    app.note(&by, Action::MemberRevoked, peer, from).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Those in the database, then those that joined elsewhere.
fn join(known: Vec<members::Member>, roster: &Roster) -> Vec<Member> {
    let mut elsewhere: BTreeMap<PeerId, Claims> = roster.clone();
    let mut joined: Vec<Member> = known
        .into_iter()
        .map(|member| {
            let claims = elsewhere.remove(&member.peer);
            Member {
                peer: member.peer.to_string(),
                name: member.name,
                role: claims.as_ref().map_or(member.role, |claims| claims.role).into(),
                connected: claims.is_some(),
                expires_at: claims.map(|claims| timestamp(claims.expires_at)),
                joined_at: Some(member.joined_at),
                revoked_at: member.revoked_at,
            }
        })
        .collect();
    joined.extend(elsewhere.into_iter().map(|(peer, claims)| Member {
        peer: peer.to_string(),
        name: String::new(),
        role: claims.role.into(),
        connected: true,
        expires_at: Some(timestamp(claims.expires_at)),
        joined_at: None,
        revoked_at: None,
    }));
    joined
}

fn timestamp(seconds: Seconds) -> Timestamp {
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use starling_protocol::membership::{MemberRole, SwarmKey};

    use super::*;

    #[test]
    fn the_list_has_each_member_once() {
        let (here, away, elsewhere) = (PeerId::random(), PeerId::random(), PeerId::random());
        let key = SwarmKey::generate().unwrap();
        let claims = |peer| key.certify(peer, MemberRole::Node, 1_000).claims().unwrap();
        let known = |peer| members::Member {
            peer,
            name: "n".to_owned(),
            role: MemberRole::Node,
            joined_at: Timestamp(5),
            revoked_at: None,
            invite: None,
        };
        let roster = [(here, claims(here)), (elsewhere, claims(elsewhere))].into();
        let joined = join(vec![known(here), known(away)], &roster);
        let seen: Vec<_> = joined.iter().map(|member| (member.peer.clone(), member.connected)).collect();
        assert_eq!(seen, [(here.to_string(), true), (away.to_string(), false), (elsewhere.to_string(), true)]);
        assert_eq!(joined[0].expires_at, Some(timestamp(claims(here).expires_at)));
        assert_eq!((joined[1].expires_at, joined[2].joined_at), (None, None));
    }
}
