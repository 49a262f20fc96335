//! The swarm actor against itself, over real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, stream};
use starling_protocol::{
    Identity, frame,
    limits::{INBOUND_QUEUE, MAX_EVENT_FRAME},
    membership::MemberRole,
    message::{JobEvent, Refusal},
    swarm::{self, Config, Handle, Inbound, Multiaddr, OpenError, PeerId, Peers, Role},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

const PATIENCE: Duration = Duration::from_secs(20);

struct TestPeer {
    handle: Handle,
    inbound: Inbound,
    _stop: DropGuard,
    task: JoinHandle<()>,
}

fn config(role: Role, listen: Vec<Multiaddr>, bootstrap: Vec<Multiaddr>) -> Config {
    Config {
        identity: Identity::generate().unwrap(),
        swarm: Some("01".repeat(32).parse().unwrap()),
        role,
        listen,
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
    async fn start(role: Role, transport: &str, bootstrap: Vec<Multiaddr>) -> Self {
        let listen = match transport {
            "quic" => "/ip4/127.0.0.1/udp/0/quic-v1",
            _ => "/ip4/127.0.0.1/tcp/0",
        };
        let peer = Self::start_on(role, vec![listen.parse().unwrap()], bootstrap);
        peer.address().await;
        peer
    }

    fn start_on(role: Role, listen: Vec<Multiaddr>, bootstrap: Vec<Multiaddr>) -> Self {
        let config = config(role, listen, bootstrap);
        let (handle, inbound, actor) = swarm::new(config).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(actor.run(stop.clone()));
        Self { handle, inbound, _stop: stop.drop_guard(), task }
    }

    async fn address(&self) -> Multiaddr {
        let mut addresses = self.handle.addresses();
        let seen = timeout(PATIENCE, addresses.wait_for(|addresses| !addresses.is_empty())).await;
        seen.unwrap().unwrap()[0].clone()
    }

    async fn sees(&self, what: &str, condition: impl FnMut(&Peers) -> bool) {
        let mut peers = self.handle.peers();
        assert!(timeout(PATIENCE, peers.wait_for(condition)).await.is_ok(), "never saw {what}");
    }

    fn id(&self) -> PeerId {
        self.handle.local_peer()
    }
}

/// A bootstrap peer, a gateway and a node that have found each other through Kademlia.
async fn trio(transport: &str) -> (TestPeer, TestPeer, TestPeer) {
    let bootstrap = TestPeer::start(Role::Bootstrap, transport, vec![]).await;
    let first = vec![bootstrap.address().await];
    let gateway = TestPeer::start(Role::Gateway, transport, first.clone()).await;
    let node = TestPeer::start(Role::Node, transport, first).await;
    let (gateway_id, node_id) = (gateway.id(), node.id());
    gateway.sees("the node", |peers| peers.get(&node_id).is_some_and(|peer| peer.takes_jobs)).await;
    node.sees("the gateway", |peers| peers.get(&gateway_id).is_some_and(|peer| peer.takes_status)).await;
    admit(&gateway, &node).await;
    (bootstrap, gateway, node)
}

/// As if they had shown each other their certificates.
async fn admit(gateway: &TestPeer, node: &TestPeer) {
    for (one, other, role) in [(gateway, node, MemberRole::Node), (node, gateway, MemberRole::Gateway)] {
        let other = other.id();
        one.sees("the other", |peers| peers.get(&other).is_some()).await;
        one.handle.admit(other, role).await;
        one.sees("a member", |peers| peers.get(&other).is_some_and(|peer| peer.member.is_some())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_gateways_find_each_other_over_tcp() {
    let (_bootstrap, gateway, node) = trio("tcp").await;
    let path = gateway.handle.peers().borrow().get(&node.id()).cloned().unwrap();
    assert!(!path.is_relayed());
}

/// The gateway listens nowhere, so that a direct connection can only be its own doing.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_finds_and_dials_a_node_by_itself() {
    let bootstrap = TestPeer::start(Role::Bootstrap, "tcp", vec![]).await;
    let first = vec![bootstrap.address().await];
    let node = TestPeer::start(Role::Node, "tcp", first.clone()).await;
    let gateway = TestPeer::start_on(Role::Gateway, vec![], first);
    let id = node.id();
    gateway.sees("the node", |peers| peers.get(&id).is_some_and(|peer| peer.takes_jobs && !peer.is_relayed())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_both_ways_over_quic() {
    let (_bootstrap, gateway, mut node) = trio("quic").await;
    let mut ours = gateway.handle.open_job(node.id()).await.unwrap();
    ours.write_all(b"ping").await.unwrap();
    ours.flush().await.unwrap();
    let mut theirs = timeout(PATIENCE, node.inbound.jobs.recv()).await.unwrap().unwrap();
    assert_eq!(theirs.peer, gateway.id());
    let mut word = [0; 4];
    theirs.stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
}

/// Opens 1,000 streams at once while nobody takes them: as many as fit the queue are kept, every
/// other one gets a refusal, none is lost.
async fn a_burst_loses_no_stream(transport: &str) {
    let (_bootstrap, gateway, mut node) = trio(transport).await;
    let (id, late) = (node.id(), AtomicUsize::new(0));
    let open = |_| async {
        let mut stream = loop {
            match gateway.handle.open_job(id).await {
                Ok(stream) => break stream,
                // On a machine that is busy with other things. The stream given up may have its place.
                Err(OpenError::Timeout) => drop(late.fetch_add(1, Ordering::Relaxed)),
                Err(error) => panic!("{error}"),
            }
        };
        stream.write_all(b"?").await.unwrap();
        stream.flush().await.unwrap();
        let answer = frame::read::<JobEvent>(&mut stream, MAX_EVENT_FRAME);
        (timeout(Duration::from_secs(10), answer).await, stream)
    };
    let outcomes: Vec<_> = stream::iter(0..1_000).map(open).buffer_unordered(1_000).collect().await;
    let is_refused = |answer: &_| matches!(answer, Ok(Ok(JobEvent::Refused(Refusal::Busy))));
    let refused = outcomes.iter().filter(|(answer, _)| is_refused(answer)).count();
    let kept = outcomes.iter().filter(|(answer, _)| answer.is_err()).count();
    assert_eq!(refused + kept, 1_000);
    assert!(kept <= INBOUND_QUEUE && kept + late.into_inner() >= INBOUND_QUEUE, "{kept} were kept");
    let mut taken = 0;
    while let Ok(mut inbound) = node.inbound.jobs.try_recv() {
        taken += usize::from(inbound.stream.read_exact(&mut [0]).await.is_ok());
    }
    assert!(taken >= kept, "of {kept} that were kept only {taken} came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_over_tcp_loses_no_stream() {
    a_burst_loses_no_stream("tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_over_quic_loses_no_stream() {
    a_burst_loses_no_stream("quic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opens_that_cannot_be_say_why() {
    let (bootstrap, gateway, node) = trio("tcp").await;
    assert_eq!(gateway.handle.open_job(PeerId::random()).await.unwrap_err(), OpenError::NotConnected);
    assert_eq!(gateway.handle.open_job(bootstrap.id()).await.unwrap_err(), OpenError::Unsupported);
    assert_eq!(node.handle.open_job(gateway.id()).await.unwrap_err(), OpenError::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stops_is_seen_to_go_at_once() {
    let (_bootstrap, gateway, node) = trio("tcp").await;
    let id = node.id();
    let TestPeer { _stop: stop, task, .. } = node;
    drop(stop);
    timeout(PATIENCE, task).await.unwrap().unwrap();
    gateway.sees("the node go", |peers| peers.get(&id).is_none()).await;
    assert_eq!(gateway.handle.open_job(id).await.unwrap_err(), OpenError::NotConnected);
}

/// Yamux wakes nobody when its own side closes.
async fn a_stream_ends_with_its_connection(transport: &str) {
    let (_bootstrap, gateway, mut node) = trio(transport).await;
    let mut ours = gateway.handle.open_job(node.id()).await.unwrap();
    ours.write_all(b"?").await.unwrap();
    ours.flush().await.unwrap();
    let mut theirs = node.inbound.jobs.recv().await.unwrap();
    theirs.stream.read_exact(&mut [0]).await.unwrap();
    let (mut word, mut other) = ([0], [0]);
    let (ends, id) = (futures::future::join(ours.read(&mut word), theirs.stream.read(&mut other)), node.id());
    let (ends, ()) =
        timeout(Duration::from_secs(3), futures::future::join(ends, gateway.handle.expel(id))).await.unwrap();
    assert!(!matches!(ends.0, Ok(1..)) && !matches!(ends.1, Ok(1..)), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_connection_over_tcp() {
    a_stream_ends_with_its_connection("tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_connection_over_quic() {
    a_stream_ends_with_its_connection("quic").await;
}

/// Neither side listens anywhere, as behind two NATs that let nothing in. More goes through than the
/// 128 KiB after which libp2p's own relay limits cut.
#[tokio::test(flavor = "multi_thread")]
async fn peers_that_nobody_can_dial_meet_over_the_relay() {
    const BYTES: usize = 1 << 20;
    let bootstrap = TestPeer::start(Role::Bootstrap, "tcp", vec![]).await;
    let first = vec![bootstrap.address().await];
    let gateway = TestPeer::start_on(Role::Gateway, vec![], first.clone());
    let mut node = TestPeer::start_on(Role::Node, vec![], first);
    let id = node.id();
    gateway.sees("the node", |peers| peers.get(&id).is_some_and(|peer| peer.takes_jobs && peer.is_relayed())).await;
    admit(&gateway, &node).await;
    let mut ours = gateway.handle.open_job(id).await.unwrap();
    let send = async {
        ours.write_all(&vec![7; BYTES]).await.unwrap();
        ours.close().await.unwrap();
    };
    let receive = async {
        let mut received = vec![];
        node.inbound.jobs.recv().await.unwrap().stream.read_to_end(&mut received).await.unwrap();
        received.len()
    };
    let ((), received) = timeout(PATIENCE, async { tokio::join!(send, receive) }).await.unwrap();
    assert_eq!(received, BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_bootstrap_peer_is_dialled_again() {
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    let identity = Identity::generate().unwrap();
    let config = |listen| Config { identity: identity.clone(), ..config(Role::Bootstrap, vec![listen], vec![]) };
    let (handle, _inbound, actor) = swarm::new(config(address)).unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(actor.run(stop.clone()));
    let mut addresses = handle.addresses();
    let address = timeout(PATIENCE, addresses.wait_for(|a| !a.is_empty())).await.unwrap().unwrap()[0].clone();
    let node = TestPeer::start(Role::Node, "tcp", vec![address.clone()]).await;
    let id = handle.local_peer();
    node.sees("the bootstrap peer", |peers| peers.get(&id).is_some()).await;
    stop.cancel();
    task.await.unwrap();
    node.sees("it go", |peers| peers.get(&id).is_none()).await;

    let mut listen = address;
    listen.pop();
    let (_handle, _inbound, actor) = swarm::new(config(listen)).unwrap();
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    tokio::spawn(actor.run(stop));
    node.sees("it come back", |peers| peers.get(&id).is_some()).await;
}

#[tokio::test]
async fn one_port_serves_ipv4_and_ipv6() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let both = [format!("/ip4/127.0.0.1/udp/{port}/quic-v1"), format!("/ip6/::/udp/{port}/quic-v1")];
    let listen = both.map(|address| address.parse().unwrap()).to_vec();
    swarm::new(config(Role::Node, listen, vec![])).unwrap();
}

#[tokio::test]
async fn a_taken_port_is_said_with_the_next_step() {
    let first = TestPeer::start(Role::Node, "tcp", vec![]).await;
    let mut taken = first.address().await;
    taken.pop();
    let error = swarm::new(config(Role::Node, vec![taken], vec![])).err().unwrap();
    assert!(error.to_string().contains("cannot listen on /ip4/127.0.0.1/tcp/"), "{error}");
    assert!(error.hint().contains("--listen"));
}

/// What is no address of ours is a mistake, also where the other one would do.
#[tokio::test]
async fn an_address_of_another_machine_is_refused_with_the_systems_reason() {
    for bad in ["/ip4/203.0.113.7/udp/0/quic-v1", "/ip4/203.0.113.7/tcp/0"] {
        let listen = ["/ip4/127.0.0.1/tcp/0", bad].map(|address| address.parse().unwrap());
        let Err(error) = swarm::new(config(Role::Node, listen.to_vec(), vec![])) else { panic!("{bad} was taken") };
        let said = error.to_string();
        assert!(said.starts_with(&format!("cannot listen on {bad}: ")) && !said.ends_with(": "), "{said}");
    }
}
