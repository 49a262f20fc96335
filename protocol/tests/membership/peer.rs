//! A peer on loopback, with or without a membership.

use std::{path::PathBuf, time::Duration};

use starling_protocol::{
    Identity, frame,
    limits::MAX_MEMBER_FRAME,
    members::{self, Members, Own, Roster, Standing},
    membership::{Certificate, Claims, Clock, Hello, MemberFrame, MemberRole, Membership, NotMember, SwarmKey},
    swarm::{self, Config, Handle, InboundStream, Multiaddr, PeerId, Peers, Role, Stream},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestPeer {
    pub(crate) handle: Handle,
    pub(crate) jobs: mpsc::Receiver<InboundStream>,
    pub(crate) status: mpsc::Receiver<InboundStream>,
    member: Option<mpsc::Receiver<InboundStream>>,
    _join: mpsc::Receiver<InboundStream>,
    pub(crate) identity: Identity,
    stop: CancellationToken,
    _guard: DropGuard,
}

/// What a test may want otherwise than it mostly is.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) revocations: Option<PathBuf>,
    pub(crate) membership: Option<PathBuf>,
    pub(crate) clock: Clock,
}

impl TestPeer {
    /// A peer that libp2p and our own protocols know, and no more.
    pub(crate) async fn start(role: Role, first: &[&TestPeer]) -> Self {
        Self::start_as(Identity::generate().unwrap(), role, first).await
    }

    pub(crate) async fn start_as(identity: Identity, role: Role, first: &[&TestPeer]) -> Self {
        let mut bootstrap = vec![];
        for peer in first {
            bootstrap.push(peer.address().await);
        }
        let config = Config {
            identity: identity.clone(),
            swarm: Some("01".repeat(32).parse().unwrap()),
            role,
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            external: vec![],
            bootstrap,
            serve_relay: role == Role::Bootstrap,
            port_mapping: false,
            address_book: None,
            passing: false,
            agent: "test".into(),
        };
        let (handle, inbound, actor) = swarm::new(config).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(actor.run(stop.clone()));
        let swarm::Inbound { jobs, status, member, join } = inbound;
        let (member, guard) = (Some(member), stop.clone().drop_guard());
        Self { handle, jobs, status, member, _join: join, identity, stop, _guard: guard }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.handle.local_peer()
    }

    async fn address(&self) -> Multiaddr {
        let mut addresses = self.handle.addresses();
        let seen = timeout(PATIENCE, addresses.wait_for(|addresses| !addresses.is_empty())).await;
        seen.unwrap().unwrap()[0].clone()
    }

    /// Begins to take part as a member.
    pub(crate) fn join(&mut self, standing: Standing) -> Members {
        self.join_with(standing, Settings::default())
    }

    pub(crate) fn join_with(&mut self, standing: Standing, settings: Settings) -> Members {
        let (members, actor) = members::new(self.members(standing, settings)).unwrap();
        tokio::spawn(actor.run(self.stop.clone()));
        members
    }

    pub(crate) fn members(&mut self, standing: Standing, settings: Settings) -> members::Config {
        members::Config {
            swarm: self.handle.clone(),
            inbound: self.member.take().unwrap(),
            standing,
            revocations: settings.revocations,
            membership: settings.membership,
            clock: settings.clock,
        }
    }

    /// With a certificate that begins now.
    pub(crate) fn join_as(&mut self, key: &SwarmKey, role: MemberRole) -> Members {
        let certificate = key.certify(self.id(), role, Clock::default().now());
        self.join(member(certificate))
    }

    pub(crate) async fn sees(&self, what: &str, condition: impl FnMut(&Peers) -> bool) {
        let mut peers = self.handle.peers();
        assert!(timeout(PATIENCE, peers.wait_for(condition)).await.is_ok(), "never saw {what}");
    }

    /// Connects a stranger and waits until it knows what the other takes.
    pub(crate) async fn meets(&self, other: &TestPeer) {
        let id = other.id();
        self.sees("the other", |peers| peers.get(&id).is_some_and(|peer| peer.takes_status || peer.takes_jobs)).await;
    }

    /// Introduces itself by hand, and gives what is said to that.
    pub(crate) async fn introduces_itself(&self, to: PeerId, certificate: Certificate) -> (MemberFrame, Stream) {
        let mut stream = self.handle.open_member(to).await.unwrap();
        let hello = Hello { certificate, now: Clock::default().now(), authority: false };
        frame::write(&mut stream, &MemberFrame::Hello(hello)).await.unwrap();
        let answer = timeout(PATIENCE, frame::read(&mut stream, MAX_MEMBER_FRAME)).await.unwrap().unwrap();
        (answer, stream)
    }
}

pub(crate) fn member(certificate: Certificate) -> Standing {
    Standing::Member(Membership { certificate, addresses: vec![] })
}

pub(crate) fn authority(key: &SwarmKey) -> Standing {
    Standing::Authority { key: key.clone(), role: MemberRole::Gateway }
}

/// Claims that are right in every way.
pub(crate) fn claims(key: &SwarmKey, peer: PeerId, role: MemberRole) -> Claims {
    let now = Clock::default().now();
    Claims { swarm: key.id(), peer, role, issued_at: now, expires_at: now + 3_600 }
}

pub(crate) async fn roster(members: &Members, what: &str, condition: impl Fn(&Roster) -> bool) {
    let mut roster = members.roster();
    let seen = timeout(PATIENCE, roster.wait_for(|roster| condition(roster))).await;
    assert!(seen.is_ok(), "never: {what}");
}

pub(crate) async fn own(members: &Members, what: &str, condition: impl Fn(&Own) -> bool) {
    let mut own = members.own();
    assert!(timeout(PATIENCE, own.wait_for(|own| condition(own))).await.is_ok(), "never: {what}");
}

pub(crate) fn refused(frame: &MemberFrame) -> Option<NotMember> {
    if let MemberFrame::Refused(why) = frame { Some(*why) } else { None }
}
