//! Who of the connected peers is a member of our swarm: certificates shown, checked, renewed and taken back.
//!
//! [`new`] gives the [`Members`] handle and the [`Actor`], and spawns nothing. Two members keep one stream
//! open for as long as they are connected. A node opens it towards every gateway, and of two gateways the
//! one with the smaller id does. Each says `Hello` with its certificate; whoever believes the other tells
//! [`swarm::Handle::admit`]. From then on each passes on the revocations that are new to it, so that what one
//! holder of the swarm's key has signed reaches everybody over any member that is left.
//!
//! The thinking is in `state` (whom to believe) and `calls` (whom to open a stream to), which have neither
//! clock nor socket; `talk` is the task of one stream, and `file` keeps revocations over a restart.

mod actor;
mod calls;
mod file;
mod lines;
mod shown;
mod state;
mod talk;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use libp2p::PeerId;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::actor::Actor;
use self::{actor::Event, state::State};
use crate::{
    membership::{Certificate, Claims, Clock, MemberRole, Membership, NotMember, Revocations, SwarmId, SwarmKey},
    swarm::{self, InboundStream},
};

/// Reports of streams and orders that may wait for the actor; a stream waits for room.
const EVENT_QUEUE: usize = 1_024;

/// How a peer is a member.
#[derive(Debug)]
pub struct Config {
    /// The swarm it is connected with.
    pub swarm: swarm::Handle,
    /// Introductions: [`swarm::Inbound::member`].
    pub inbound: mpsc::Receiver<InboundStream>,
    /// What makes it a member.
    pub standing: Standing,
    /// The file that revocations are kept in. Without one they are forgotten at the end.
    pub revocations: Option<PathBuf>,
    /// The file that a renewed [`Membership`] is saved to.
    pub membership: Option<PathBuf>,
    /// What the time is.
    pub clock: Clock,
}

/// What makes a peer a member.
#[derive(Debug)]
pub enum Standing {
    /// It holds the swarm's key, and certifies itself.
    Authority {
        /// The key.
        key: SwarmKey,
        /// What it is there for.
        role: MemberRole,
    },
    /// It was given a certificate.
    Member(Membership),
}

/// What we are ourselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// What our certificate says.
    pub claims: Claims,
    /// Why others do not take us for a member, if so.
    pub trouble: Option<NotMember>,
}

/// How often peers were refused since the start, by [`NotMember::code`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals(BTreeMap<&'static str, u64>);

/// The peers that are connected and verified now.
pub type Roster = BTreeMap<PeerId, Claims>;

/// Why membership could not begin.
#[derive(Debug, Error)]
pub enum MembersError {
    /// The certificate that was given cannot be used by this peer.
    #[error("this machine's membership cannot be used: {0}")]
    Certificate(NotMember),
    /// The file of revocations holds something else.
    #[error("the file of revocations {0} is damaged")]
    Damaged(PathBuf),
    /// The file of revocations cannot be read.
    #[error("the file of revocations {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl MembersError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Certificate(why) => why.hint().to_owned(),
            Self::Damaged(path) => format!(
                "restore {0} from a backup, or delete it: the revocations then come back from the other members",
                path.display()
            ),
            Self::Io { path, .. } => format!("check who owns {} and its folder", path.display()),
        }
    }
}

impl Refusals {
    /// Code and count of whatever was refused at least once.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(code, count)| (*code, *count))
    }

    /// How often peers were refused for this reason.
    #[must_use]
    pub fn of(&self, code: &str) -> u64 {
        self.0.get(code).copied().unwrap_or_default()
    }

    fn add(&mut self, why: &NotMember) {
        *self.0.entry(why.code()).or_default() += 1;
    }
}

/// Speaks to the actor, and sees what it knows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Members {
    swarm: SwarmId,
    key: Option<Arc<SwarmKey>>,
    clock: Clock,
    events: mpsc::Sender<Event>,
    network: swarm::Handle,
    seen: Seen,
}

/// What a handle sees of the actor's state.
#[derive(Clone, Debug)]
struct Seen {
    own: watch::Receiver<Own>,
    roster: watch::Receiver<Arc<Roster>>,
    refusals: watch::Receiver<Refusals>,
    revocations: watch::Receiver<Arc<Revocations>>,
}

impl Members {
    /// The swarm we are a member of.
    #[must_use]
    pub fn swarm(&self) -> SwarmId {
        self.swarm
    }

    /// Whether we hold the swarm's key.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.key.is_some()
    }

    /// What we are ourselves; changes wake the receiver.
    #[must_use]
    pub fn own(&self) -> watch::Receiver<Own> {
        self.seen.own.clone()
    }

    /// The connected peers that are verified members now; changes wake the receiver.
    #[must_use]
    pub fn roster(&self) -> watch::Receiver<Arc<Roster>> {
        self.seen.roster.clone()
    }

    /// How often peers were refused since the start, and streams of peers that had not introduced themselves.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        let mut refusals = self.seen.refusals.borrow().clone();
        let strangers = self.network.strangers_refused();
        if strangers > 0 {
            *refusals.0.entry(NotMember::NoCertificate.code()).or_default() += strangers;
        }
        refusals
    }

    /// Who was turned out.
    #[must_use]
    pub fn revocations(&self) -> watch::Receiver<Arc<Revocations>> {
        self.seen.revocations.clone()
    }

    /// A certificate for this peer, which also counts when an earlier one was revoked; `None` when we do not
    /// hold the swarm's key.
    #[must_use]
    pub fn certify(&self, peer: PeerId, role: MemberRole) -> Option<Certificate> {
        let key = self.key.as_ref()?;
        Some(state::certify(key, peer, role, &self.seen.revocations.borrow(), self.clock.now()))
    }

    /// Turns the peer out, here and everywhere. False when we do not hold the swarm's key, or when it is us.
    pub async fn revoke(&self, peer: PeerId) -> bool {
        let (done, answer) = oneshot::channel();
        if !self.is_authority() || self.events.send(Event::Revoke { peer, done }).await.is_err() {
            return false;
        }
        answer.await.unwrap_or(false)
    }
}

/// A member that waits for [`Actor::run`].
///
/// # Errors
/// When the certificate or the file of revocations cannot be used; see [`MembersError::hint`]. A certificate
/// that has expired or was revoked is no error: it shows in [`Own::trouble`].
pub fn new(config: Config) -> Result<(Members, Actor), MembersError> {
    let (me, now) = (config.swarm.local_peer(), config.clock.now());
    let state = match config.standing {
        Standing::Authority { key, role } => State::authority(me, Arc::new(key), role, now),
        Standing::Member(membership) => State::member(me, membership, now).map_err(MembersError::Certificate)?,
    };
    let kept = config.revocations.as_deref().map_or(Ok(vec![]), |path| load(path, &state.swarm()))?;
    let mut state = state;
    state.heard(kept, now);
    let (events, reports) = mpsc::channel(EVENT_QUEUE);
    let (swarm, key) = (state.swarm(), state.key());
    let handle = config.swarm.clone();
    let files = actor::Files { revocations: config.revocations, membership: config.membership };
    let network = actor::Network { swarm: config.swarm, inbound: config.inbound, events: events.clone(), reports };
    let (actor, seen) = Actor::new(state, network, files, config.clock);
    Ok((Members { swarm, key, clock: config.clock, events, network: handle, seen }, actor))
}

fn load(path: &Path, swarm: &SwarmId) -> Result<Vec<crate::membership::Revocation>, MembersError> {
    file::load(path, swarm).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => MembersError::Damaged(path.into()),
        _ => MembersError::Io { path: path.into(), source },
    })
}
