//! Peers behind relays: what happens when relays go and come, and who is remembered.
//!
//! A peer that listens nowhere can be reached through a relay only, as one behind a NAT.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{path::PathBuf, time::Duration};

use starling_protocol::{
    Identity,
    swarm::{self, Config, Handle, Inbound, Multiaddr, NatKind, Peer, PeerId, Reachability, Role, Upgrade},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
/// What is promised after a relay has gone or come back.
const RECOVERY: Duration = Duration::from_secs(10);

struct TestPeer {
    handle: Handle,
    _inbound: Inbound,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn config(role: Role, listen: &[&str], bootstrap: Vec<Multiaddr>) -> Config {
    Config {
        identity: Identity::generate().unwrap(),
        swarm: Some("01".repeat(32).parse().unwrap()),
        role,
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        external: vec![],
        bootstrap,
        serve_relay: role == Role::Bootstrap,
        port_mapping: false,
        address_book: None,
        passing: false,
        agent: "test".into(),
    }
}

impl TestPeer {
    fn start(config: Config) -> Self {
        let (handle, inbound, actor) = swarm::new(config).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(actor.run(stop.clone()));
        Self { handle, _inbound: inbound, stop, task }
    }

    /// A relay on a free port of loopback, and its address.
    async fn relay() -> (Self, Multiaddr) {
        let relay = Self::start(config(Role::Bootstrap, &["/ip4/127.0.0.1/tcp/0"], vec![]));
        let address = relay.address().await;
        (relay, address)
    }

    async fn address(&self) -> Multiaddr {
        let mut addresses = self.handle.addresses();
        timeout(PATIENCE, addresses.wait_for(|all| !all.is_empty())).await.unwrap().unwrap()[0].clone()
    }

    fn id(&self) -> PeerId {
        self.handle.local_peer()
    }

    async fn is_seen(&self, what: &str, within: Duration, condition: impl FnMut(&Reachability) -> bool) {
        let mut seen = self.handle.reachability();
        let found = timeout(within, seen.wait_for(condition)).await.is_ok();
        assert!(found, "never seen: {what}; {:?}", self.handle.reachability().borrow());
    }

    async fn sees(&self, peer: PeerId, what: &str, within: Duration, mut condition: impl FnMut(Option<&Peer>) -> bool) {
        let mut peers = self.handle.peers();
        let found = timeout(within, peers.wait_for(|peers| condition(peers.get(&peer)))).await.is_ok();
        assert!(found, "never saw {what}");
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_holds_reservations_on_two_relays_and_loses_nobody_when_one_goes() {
    let ((first, one), (second, two)) = (TestPeer::relay().await, TestPeer::relay().await);
    let relays = vec![one, two];
    let node = TestPeer::start(config(Role::Node, &[], relays.clone()));
    node.is_seen("two relays", PATIENCE, |seen| seen.relays.len() == 2).await;
    let gateway = TestPeer::start(config(Role::Gateway, &[], relays));
    gateway.sees(node.id(), "the node", PATIENCE, |peer| peer.is_some_and(Peer::is_relayed)).await;
    first.end().await;
    let left = second.id();
    node.is_seen("the relay that is left", RECOVERY, |seen| seen.relays == [left]).await;
    let id = node.id();
    // Whether or not the connection was through the relay that went: it is there, and stays.
    for _ in 0..2 {
        gateway.sees(id, "the node over the other relay", RECOVERY, |peer| peer.is_some()).await;
        let mut peers = gateway.handle.peers();
        let is_lost = async { peers.wait_for(|peers| peers.get(&id).is_none()).await.is_ok() };
        // A held borrow of the peers would hold up the actor, so nothing of it leaves this line.
        if timeout(Duration::from_secs(1), is_lost).await.is_err() {
            return;
        }
    }
    panic!("the node comes and goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_comes_back_is_reserved_and_told_again() {
    let identity = Identity::generate().unwrap();
    let on = |listen: &str| Config { identity: identity.clone(), ..config(Role::Bootstrap, &[listen], vec![]) };
    let relay = TestPeer::start(on("/ip4/127.0.0.1/tcp/0"));
    let address = relay.address().await;
    let [gateway, node] =
        [Role::Gateway, Role::Node].map(|role| TestPeer::start(config(role, &[], vec![address.clone()])));
    gateway.sees(node.id(), "the node", PATIENCE, |peer| peer.is_some()).await;
    relay.end().await;
    node.is_seen("no relay", PATIENCE, |seen| seen.relays.is_empty()).await;
    gateway.sees(node.id(), "no node", PATIENCE, |peer| peer.is_none()).await;
    let mut listen = address;
    listen.pop();
    let relay = TestPeer::start(on(&listen.to_string()));
    let id = relay.id();
    node.is_seen("the relay", RECOVERY, |seen| seen.relays == [id]).await;
    gateway.sees(node.id(), "the node", RECOVERY, |peer| peer.is_some()).await;
}

/// Both can be dialled by the other, once they know where: then the relayed connection goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_connection_ends_when_a_direct_one_is_there() {
    let (_relay, address) = TestPeer::relay().await;
    let node = TestPeer::start(config(Role::Node, &[], vec![address.clone()]));
    node.is_seen("its relay", PATIENCE, |seen| !seen.relays.is_empty()).await;
    let mut upgrades = node.handle.upgrades();
    // It knows of the circuit only; the node learns over it where the gateway listens.
    let gateway = TestPeer::start(config(Role::Gateway, &["/ip4/127.0.0.1/tcp/0"], vec![address]));
    gateway.sees(node.id(), "a direct path", PATIENCE, |peer| peer.is_some_and(|peer| peer.direct > 0)).await;
    gateway.sees(node.id(), "no relayed path", PATIENCE, |peer| peer.is_some_and(|peer| peer.relayed == 0)).await;
    let peer = gateway.id();
    if let Ok(upgrade) = upgrades.try_recv() {
        assert_eq!(upgrade, Upgrade { peer, succeeded: true });
    }
    node.sees(peer, "the gateway", Duration::ZERO, |peer| peer.is_some_and(|peer| !peer.is_relayed())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_finds_itself_again_without_its_first_bootstrap() {
    let data = tempfile::tempdir().unwrap();
    let book: PathBuf = data.path().join("peers.cbor");
    let (bootstrap, first) = TestPeer::relay().await;
    let (second, _) = {
        let relay = TestPeer::start(config(Role::Bootstrap, &["/ip4/127.0.0.1/tcp/0"], vec![first.clone()]));
        let address = relay.address().await;
        (relay, address)
    };
    let gateway = TestPeer::start(config(Role::Gateway, &["/ip4/127.0.0.1/tcp/0"], vec![first.clone()]));
    let node = || Config {
        address_book: Some(book.clone()),
        ..config(Role::Node, &["/ip4/127.0.0.1/tcp/0"], vec![first.clone()])
    };
    let before = TestPeer::start(node());
    before.sees(gateway.id(), "the gateway", PATIENCE, |peer| peer.is_some_and(|peer| peer.takes_status)).await;
    before.end().await;
    bootstrap.end().await;
    let after = TestPeer::start(node());
    after.sees(gateway.id(), "the gateway", RECOVERY, |peer| peer.is_some_and(|peer| peer.takes_status)).await;
    second.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sees_its_own_address_is_open() {
    let (_relay, address) = TestPeer::relay().await;
    let node = TestPeer::start(config(Role::Node, &["/ip4/127.0.0.1/tcp/0"], vec![address]));
    node.is_seen("an open network", PATIENCE, |seen| seen.nat == NatKind::Open).await;
}
