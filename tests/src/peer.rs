//! A bare member: it has shown its certificate, and speaks for itself from then on.

use starling_protocol::{
    members::{self, Members, Standing},
    membership::{Clock, MemberRole, Membership},
    swarm::{self, Handle, Inbound, PeerId, Role},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{PATIENCE, TestSwarm};

/// A peer with a certificate, for tests of what the others do with what it says.
pub struct MemberPeer {
    /// Its part in the swarm.
    pub handle: Handle,
    /// Whom it takes for a member.
    pub members: Members,
    /// What others open with it; introductions are taken already.
    pub inbound: Inbound,
    _stop: DropGuard,
}

impl MemberPeer {
    /// Starts it.
    #[must_use]
    pub fn start(config: swarm::Config, membership: Membership) -> Self {
        let (handle, mut inbound, actor) = swarm::new(config).unwrap();
        let (_, taken) = mpsc::channel(1);
        let (members, introducing) = members::new(members::Config {
            swarm: handle.clone(),
            inbound: std::mem::replace(&mut inbound.member, taken),
            standing: Standing::Member(membership),
            revocations: None,
            membership: None,
            clock: Clock::default(),
        })
        .unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(actor.run(stop.clone()));
        tokio::spawn(introducing.run(stop.clone()));
        Self { handle, members, inbound, _stop: stop.drop_guard() }
    }

    /// Starts it as a member of this swarm, and waits until it and that peer take each other for one.
    pub async fn of(swarm: &TestSwarm, role: Role, other: PeerId) -> Self {
        let config = swarm.peer_config(role);
        let member = if role == Role::Node { MemberRole::Node } else { MemberRole::Gateway };
        let membership = swarm.certify(config.peer(), member);
        let mut peer = Self::start(config, membership);
        peer.meets(other).await;
        if role == Role::Gateway {
            // A node has seen the certificate, too, once it says how it is.
            timeout(PATIENCE, peer.inbound.status.recv()).await.expect("the node said nothing").unwrap();
        }
        peer
    }

    /// Waits until it and this peer take each other for members.
    pub async fn meets(&self, peer: PeerId) {
        let mut peers = self.handle.peers();
        let met = peers.wait_for(|peers| peers.get(&peer).is_some_and(|peer| peer.member.is_some()));
        timeout(PATIENCE, met).await.expect("the member never met the other").unwrap();
    }
}
