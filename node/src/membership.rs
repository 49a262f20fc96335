//! What makes this node a member of a swarm: from an invite to a file, and what goes wrong with it later.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use starling_protocol::{
    join,
    members::Own,
    membership::{Clock, Invite, MemberRole, Membership, NotMember, SwarmId},
    program::{Exit, say},
    swarm::{self, PeerId},
};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::{disk::remove, service::events};

/// A reason is told once it has lasted: after a loss of all gateways the first word may be a stranger's.
const TOLD_AFTER: Duration = Duration::from_millis(500);

/// The files of a member in its data folder.
#[derive(Clone, Debug)]
pub struct Files {
    /// Certificate and first addresses.
    pub membership: PathBuf,
    /// Who was turned out.
    pub revocations: PathBuf,
    /// There while others say that our certificate was taken back: then an invite is worth using.
    revoked: PathBuf,
}

impl Files {
    /// Those of this data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self {
            membership: data.join("membership.cbor"),
            revocations: data.join("revocations.cbor"),
            revoked: data.join("membership.revoked"),
        }
    }

    /// What makes this node a member.
    ///
    /// # Errors
    /// When it is none yet, or the file is damaged.
    pub fn load(&self) -> Result<Membership, Exit> {
        self.read()?.ok_or_else(|| {
            Exit::usage("this machine has not joined a swarm", "ask for an invite, and run starling-node join INVITE")
        })
    }

    fn read(&self) -> Result<Option<Membership>, Exit> {
        Membership::load(&self.membership).map_err(|error| {
            let hint = "restore it from a backup, or delete it and join again with a new invite";
            Exit::usage(format!("the membership {}: {error}", self.membership.display()), hint)
        })
    }

    fn save(&self, membership: &Membership) -> io::Result<()> {
        if let Some(folder) = self.membership.parent() {
            std::fs::create_dir_all(folder)?;
        }
        membership.save(&self.membership)?;
        remove(&self.revoked)
    }

    /// Follows what becomes of our membership, and says so to the owner, for as long as there is news.
    pub(crate) async fn watch(files: Option<Self>, mut own: watch::Receiver<Own>) {
        let mut told = None;
        loop {
            let trouble = own.borrow_and_update().trouble;
            if kind(trouble) != kind(told) {
                tell(trouble);
                files.iter().for_each(|files| files.note(trouble));
                told = trouble;
            }
            tokio::time::sleep(TOLD_AFTER).await;
            if own.changed().await.is_err() {
                return;
            }
        }
    }

    fn note(&self, trouble: Option<NotMember>) {
        let noted = match trouble {
            Some(NotMember::Revoked) => std::fs::write(&self.revoked, b""),
            _ => remove(&self.revoked),
        };
        if let Err(error) = noted {
            debug!(%error, "what others say of the membership was not noted");
        }
    }
}

/// The swarm that says it.
///
/// # Errors
/// When the certificate is none.
pub fn swarm_of(membership: &Membership) -> Result<SwarmId, Exit> {
    let claims = membership.certificate.claims();
    claims
        .map(|claims| claims.swarm)
        .ok_or_else(|| Exit::usage("this machine's membership cannot be read", "join again: starling-node join INVITE"))
}

/// Makes this node a member with an invite, unless it is one already.
///
/// # Errors
/// When the invite is not one, or buys nothing.
pub async fn join(text: &str, config: swarm::Config, name: &str, files: &Files) -> Result<Membership, Exit> {
    let invite: Invite = text.parse()?;
    // A damaged file is replaced like one of another swarm: that is what the invite is for.
    let before = files.read().ok().flatten();
    if let Some(membership) = before.as_ref().filter(|before| is_good(before, &invite, config.peer(), files)) {
        info!("this machine is a member of the swarm already: the invite was not used");
        say(format_args!("joined {}", invite.swarm));
        return Ok(membership.clone());
    }
    if let Some(other) = before.and_then(|before| before.certificate.claims()).filter(|c| c.swarm != invite.swarm) {
        warn!("leaving the swarm {:?} for the swarm {:?}", other.swarm, invite.swarm);
    }
    let membership = join::join(config, &invite, name, Clock::default()).await?;
    let role = membership.certificate.claims().map(|claims| claims.role);
    if role != Some(MemberRole::Node) {
        return Err(Exit::usage("this invite is for a gateway and not for a node", "ask for one for nodes"));
    }
    files.save(&membership).map_err(|error| {
        let hint = format!("check who owns {} and its folder", files.membership.display());
        Exit::usage(format!("the membership cannot be written: {error}"), hint)
    })?;
    say(format_args!("joined {}", invite.swarm));
    Ok(membership)
}

fn is_good(membership: &Membership, invite: &Invite, me: PeerId, files: &Files) -> bool {
    let believed = membership.certificate.verify(&invite.swarm, &me, Clock::default().now());
    believed.is_ok_and(|claims| claims.role == MemberRole::Node) && !files.revoked.exists()
}

fn tell(trouble: Option<NotMember>) {
    match trouble {
        Some(why) => {
            let what = format!("the swarm does not take this node for a member: {why}; {}", why.hint());
            warn!("{what}");
            events::note(events::Event::Attention, &what);
        }
        None => info!("the swarm takes this node for a member"),
    }
}

/// The same trouble, whatever its seconds.
fn kind(trouble: Option<NotMember>) -> Option<&'static str> {
    trouble.map(|why| why.code())
}

#[cfg(test)]
mod tests {
    use starling_protocol::membership::{Secret, SwarmKey};

    use super::*;

    #[test]
    fn a_good_membership_of_that_very_swarm_needs_no_invite() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        assert!(matches!(files.load(), Err(Exit::Usage { .. })));
        let (key, me, now) = (SwarmKey::generate().unwrap(), PeerId::random(), Clock::default().now());
        let invite =
            |swarm| Invite { swarm, gateway: PeerId::random(), addresses: vec![], secret: Secret::generate().unwrap() };
        let of = |role, at| Membership { certificate: key.certify(me, role, at), addresses: vec![] };
        let member = of(MemberRole::Node, now);
        files.save(&member).unwrap();
        assert_eq!(files.load().unwrap(), member);
        assert!(is_good(&member, &invite(key.id()), me, &files));
        assert!(!is_good(&member, &invite(SwarmKey::generate().unwrap().id()), me, &files), "another swarm");
        assert!(!is_good(&member, &invite(key.id()), PeerId::random(), &files), "another peer's");
        assert!(!is_good(&of(MemberRole::Gateway, now), &invite(key.id()), me, &files));
        assert!(!is_good(&of(MemberRole::Node, 1), &invite(key.id()), me, &files), "long over");
        files.note(Some(NotMember::Revoked));
        assert!(!is_good(&member, &invite(key.id()), me, &files), "others say that it was taken back");
        files.note(Some(NotMember::Expired { seconds: 1 }));
        assert!(is_good(&member, &invite(key.id()), me, &files));
        files.note(Some(NotMember::Revoked));
        files.save(&member).unwrap();
        assert!(is_good(&member, &invite(key.id()), me, &files));
    }
}
