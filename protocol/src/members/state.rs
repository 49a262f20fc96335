//! Whom to believe: who is known, whose introduction is accepted, which revocation is new, whom to turn out,
//! when to renew. No stream, no task, no clock: the time comes in with each event.

use std::{collections::BTreeMap, sync::Arc};

use libp2p::PeerId;

use super::{Own, Refusals, Roster};
use crate::membership::{
    Certificate, Claims, Hello, MAX_CLOCK_SKEW, MemberRole, Membership, NotMember, Revocation, Revocations, Seconds,
    SwarmId, SwarmKey,
};

/// A peer that has shown a certificate which we believe.
#[derive(Debug)]
struct Member {
    claims: Claims,
    authority: bool,
}

/// What came of revocations that were heard.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Heard {
    /// Those that were not known: to be kept, and to be passed on.
    pub(super) fresh: Vec<Revocation>,
    /// Members until now.
    pub(super) out: Vec<PeerId>,
    /// The swarm has not said this: whoever passed it on is no honest member.
    pub(super) forged: bool,
}

#[derive(Debug)]
pub(super) struct State {
    me: PeerId,
    key: Option<Arc<SwarmKey>>,
    /// How we introduce ourselves, and what that says.
    membership: Membership,
    claims: Claims,
    revocations: Revocations,
    members: BTreeMap<PeerId, Member>,
    /// Why the last peer did not take us for a member, until one does.
    refused: Option<NotMember>,
    refusals: Refusals,
    /// The roster is not as it was when somebody last asked.
    changed: bool,
}

/// A certificate that begins now, or just after what was revoked before.
pub(super) fn certify(
    key: &SwarmKey,
    peer: PeerId,
    role: MemberRole,
    revocations: &Revocations,
    now: Seconds,
) -> Certificate {
    let after = revocations.of(&peer).map_or(0, |revocation| revocation.revoked_at.saturating_add(1));
    key.certify(peer, role, now.max(after))
}

impl State {
    /// A holder of the swarm's key.
    pub(super) fn authority(me: PeerId, key: Arc<SwarmKey>, role: MemberRole, now: Seconds) -> Self {
        let certificate = key.certify(me, role, now);
        let claims = certificate.claims().expect("we have just signed it");
        Self::new(me, Some(key), Membership { certificate, addresses: vec![] }, claims)
    }

    /// A member by certificate.
    ///
    /// # Errors
    /// When it is not a certificate of this peer. One that is over is no error.
    pub(super) fn member(me: PeerId, membership: Membership, now: Seconds) -> Result<Self, NotMember> {
        let claims = membership.certificate.claims().ok_or(NotMember::NoCertificate)?;
        match membership.certificate.verify(&claims.swarm, &me, now) {
            Ok(_) | Err(NotMember::Expired { .. } | NotMember::NotYetValid { .. }) => {}
            Err(why) => return Err(why),
        }
        Ok(Self::new(me, None, membership, claims))
    }

    fn new(me: PeerId, key: Option<Arc<SwarmKey>>, membership: Membership, claims: Claims) -> Self {
        Self {
            me,
            key,
            membership,
            claims,
            revocations: Revocations::default(),
            members: BTreeMap::new(),
            refused: None,
            refusals: Refusals::default(),
            changed: false,
        }
    }

    pub(super) fn swarm(&self) -> SwarmId {
        self.claims.swarm
    }

    pub(super) fn key(&self) -> Option<Arc<SwarmKey>> {
        self.key.clone()
    }

    pub(super) fn role(&self) -> MemberRole {
        self.claims.role
    }

    pub(super) fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(super) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    pub(super) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Whether the roster has changed since the last time.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn roster(&self) -> Roster {
        self.members.iter().map(|(peer, member)| (*peer, member.claims.clone())).collect()
    }

    pub(super) fn own(&self, now: Seconds) -> Own {
        let revoked = self.revocations.revokes(&self.claims).then_some(NotMember::Revoked);
        let trouble = revoked.or(self.claims.check_time(now).err()).or(self.refused);
        Own { claims: self.claims.clone(), trouble }
    }

    /// Our introduction.
    pub(super) fn hello(&self, now: Seconds) -> Hello {
        Hello { certificate: self.membership.certificate.clone(), now, authority: self.key.is_some() }
    }

    /// Judges a peer's introduction, its first one or a later one. Who passes is a member; who fails is counted,
    /// and none any more.
    pub(super) fn judge(&mut self, peer: PeerId, hello: &Hello, now: Seconds) -> Result<MemberRole, NotMember> {
        match self.verify(&peer, hello, now) {
            Ok(claims) => {
                let role = claims.role;
                self.members.insert(peer, Member { claims, authority: hello.authority });
                (self.refused, self.changed) = (None, true);
                Ok(role)
            }
            Err(why) => {
                self.turn_out(&peer, &why);
                // Here too it may be our clock that is wrong, and then nobody else will tell us.
                if matches!(why, NotMember::ClockOff { .. }) && self.members.is_empty() {
                    self.refused = Some(why);
                }
                Err(why)
            }
        }
    }

    /// A peer sent something else than an introduction.
    pub(super) fn no_hello(&mut self) -> NotMember {
        self.refusals.add(&NotMember::NoCertificate);
        NotMember::NoCertificate
    }

    fn verify(&self, peer: &PeerId, hello: &Hello, now: Seconds) -> Result<Claims, NotMember> {
        let claims = hello.certificate.verify(&self.claims.swarm, peer, now).map_err(|why| match why {
            NotMember::Expired { .. } | NotMember::NotYetValid { .. } => {
                let seconds = hello.now.abs_diff(now);
                if seconds > MAX_CLOCK_SKEW.as_secs() { NotMember::ClockOff { seconds } } else { why }
            }
            why => why,
        })?;
        if self.revocations.revokes(&claims) {
            return Err(NotMember::Revoked);
        }
        if claims.role == MemberRole::Node && self.claims.role == MemberRole::Node {
            return Err(NotMember::WrongRole);
        }
        Ok(claims)
    }

    fn turn_out(&mut self, peer: &PeerId, why: &NotMember) {
        self.refusals.add(why);
        self.remove(peer);
    }

    fn remove(&mut self, peer: &PeerId) -> bool {
        let known = self.members.remove(peer).is_some();
        self.changed |= known;
        known
    }

    /// Forgets members that are not connected any more.
    pub(super) fn keep_connected(&mut self, is_connected: impl Fn(&PeerId) -> bool) {
        let before = self.members.len();
        self.members.retain(|peer, _| is_connected(peer));
        self.changed |= self.members.len() != before;
    }

    /// A peer does not take us for a member. A stranger's word counts only where no member says otherwise: it
    /// may belong to another swarm, or want to frighten.
    pub(super) fn refused_by(&mut self, peer: &PeerId, why: NotMember) {
        if self.remove(peer) || self.members.is_empty() {
            self.refused = Some(why);
        }
    }

    /// Takes in revocations.
    pub(super) fn heard(&mut self, revocations: Vec<Revocation>, now: Seconds) -> Heard {
        let swarm = self.swarm();
        let mut heard = Heard::default();
        for revocation in revocations {
            let known = self.revocations.of(&revocation.peer).is_some_and(|r| r.revoked_at >= revocation.revoked_at);
            if known || revocation.is_over(now) {
                continue;
            }
            if !self.revocations.add(revocation.clone(), &swarm, now) {
                self.refusals.add(&NotMember::Forged);
                heard.forged = true;
                break;
            }
            let member = self.members.get(&revocation.peer);
            if member.is_some_and(|member| self.revocations.revokes(&member.claims)) {
                self.turn_out(&revocation.peer, &NotMember::Revoked);
                heard.out.push(revocation.peer);
            }
            heard.fresh.push(revocation);
        }
        heard
    }

    /// Turns a peer out; `None` when we may not.
    pub(super) fn revoke(&mut self, peer: PeerId, now: Seconds) -> Option<Heard> {
        let key = self.key.clone().filter(|_| peer != self.me)?;
        // After a revocation in this very second, certificates begin in the next one: see `certify`.
        let again = self.revocations.of(&peer).map_or(0, |known| known.revoked_at.saturating_add(1));
        let issued = self.members.get(&peer).map_or(0, |member| member.claims.issued_at);
        Some(self.heard(vec![key.revoke(peer, now.max(issued).max(again))], now))
    }

    /// Turns out members whose certificates are over.
    pub(super) fn expire(&mut self, now: Seconds) -> Vec<(PeerId, NotMember)> {
        let over = |(peer, member): (&PeerId, &Member)| member.claims.check_time(now).err().map(|why| (*peer, why));
        let out: Vec<_> = self.members.iter().filter_map(over).collect();
        for (peer, why) in &out {
            self.turn_out(peer, why);
        }
        out
    }

    /// Whether our certificate should be renewed.
    pub(super) fn wants_renewal(&self, now: Seconds) -> bool {
        self.claims.wants_renewal(now)
    }

    /// Members that can renew ours.
    pub(super) fn authorities(&self) -> Vec<PeerId> {
        self.members.iter().filter(|(_, member)| member.authority).map(|(peer, _)| *peer).collect()
    }

    /// A holder of the key renews its own.
    pub(super) fn renew_own(&mut self, now: Seconds) -> bool {
        let Some(key) = &self.key else { return false };
        let certificate = key.certify(self.me, self.claims.role, now);
        self.renewed(certificate, now)
    }

    /// What a member that asks for it gets: only one that is a member now, and whose time is half over by a
    /// clock that may differ from ours.
    pub(super) fn renew(&self, peer: &PeerId, now: Seconds) -> Option<Certificate> {
        let claims = &self.members.get(peer)?.claims;
        let due = claims.wants_renewal(now.saturating_add(MAX_CLOCK_SKEW.as_secs())) && claims.check_time(now).is_ok();
        let key = self.key.as_ref().filter(|_| due)?;
        Some(certify(key, *peer, claims.role, &self.revocations, now))
    }

    /// A new certificate for us; true when it is one and better than ours.
    pub(super) fn renewed(&mut self, certificate: Certificate, now: Seconds) -> bool {
        let Ok(claims) = certificate.verify(&self.claims.swarm, &self.me, now) else { return false };
        let better = claims.role == self.claims.role && claims.expires_at > self.claims.expires_at;
        if !better || self.revocations.revokes(&claims) {
            return false;
        }
        self.membership.certificate = certificate;
        self.claims = claims;
        true
    }
}

#[cfg(test)]
mod tests;
