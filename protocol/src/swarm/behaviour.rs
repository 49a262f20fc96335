//! What a peer speaks: every libp2p protocol we use, with our limits, put together in one place.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use libp2p::{
    PeerId, StreamProtocol, Swarm, Transport, autonat, connection_limits,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dcutr, identify,
    identity::Keypair,
    kad, memory_connection_limits, noise, ping, quic, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    tcp, yamux,
};

use super::{
    Config, StartError, candidates,
    guard::{Guarded, Permits},
    pulse, streams,
};
use crate::limits;

/// What identify calls our family of protocols.
const FAMILY: &str = "/starling/1";
const KADEMLIA: StreamProtocol = StreamProtocol::new("/starling/kad/1");

/// Long enough for the gaps between two rounds of Kademlia; connections to peers that take our
/// streams are kept for as long as they live.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that has gone is forgotten after this long; one that lives says so three times as often.
pub(super) const PROVIDER_TTL: Duration = Duration::from_secs(15 * 60);
/// Providers remembered for one key. libp2p's 20 would lose all but 20 nodes of a swarm.
const MAX_PROVIDERS_PER_KEY: usize = 2_048;
/// Lists of many providers, each with its addresses, have to fit.
const MAX_KADEMLIA_PACKET: usize = 256 << 10;
/// Share of the machine's memory past which no new connection is taken.
const MAX_MEMORY_SHARE: f64 = 0.75;

/// A relayed answer may take this long; libp2p cuts after two minutes.
const MAX_CIRCUIT_DURATION: Duration = Duration::from_secs(2 * 3600);
/// A 30-minute answer at 200 tokens a second in small frames is some 70 MB; libp2p cuts after 128 KiB.
const MAX_CIRCUIT_BYTES: u64 = 1 << 30;
const MAX_RESERVATIONS: usize = 2_048;
const MAX_CIRCUITS: usize = 4_096;
const MAX_CIRCUITS_PER_PEER: usize = 1_024;
/// Circuits one peer or one address may begin.
const CIRCUITS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(600).expect("not zero");

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    pub(crate) streams: streams::Behaviour,
    pub(crate) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) kademlia: kad::Behaviour<kad::store::MemoryStore>,
    relay_client: relay::client::Behaviour,
    dcutr: Toggle<dcutr::Behaviour>,
    autonat_client: autonat::v2::client::Behaviour,
    relay: Toggle<relay::Behaviour>,
    autonat_server: Toggle<autonat::v2::server::Behaviour>,
    pub(crate) candidates: candidates::Behaviour,
}

/// A swarm that listens nowhere yet.
pub(crate) fn swarm(
    key: Keypair,
    config: &Config,
    streams: streams::Behaviour,
    permits: Arc<Permits>,
) -> Result<Swarm<Behaviour>, StartError> {
    let setup = |error: &dyn std::fmt::Display| StartError::Setup(error.to_string());
    // Tells this process from an earlier one of the same peer, see `lives`.
    let life = getrandom::u64().map_err(|error| setup(&error))?;
    let swarm = libp2p::SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|key| direct(key, permits))
        .map_err(|error| setup(&error))?
        .with_dns()
        .map_err(|error| setup(&error))?
        .with_relay_client(noise::Config::new, multiplex)
        .map_err(|error| setup(&error))?
        .with_behaviour(|key, relay_client| behaviour(key, relay_client, config, streams, life))
        .map_err(|error| setup(&error))?
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(limits::MAX_NEGOTIATING_INBOUND)
        });
    Ok(swarm.build())
}

type Direct = Boxed<(PeerId, StreamMuxerBox)>;

/// TCP and QUIC, towards addresses that may be dialled.
fn direct(key: &Keypair, permits: Arc<Permits>) -> Result<Direct, Box<dyn std::error::Error + Send + Sync>> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(multiplex())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let mut settings = quic::Config::new(key);
    settings.max_concurrent_stream_limit = limits::MAX_STREAMS as u32;
    settings.keep_alive_interval = pulse::INTERVAL;
    settings.max_idle_timeout = (pulse::INTERVAL + pulse::TIMEOUT).as_millis() as u32;
    let quic = quic::tokio::Transport::new(settings).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let either = tcp.or_transport(quic).map(|either, _| either.into_inner()).boxed();
    Ok(Guarded::new(either, permits).boxed())
}

fn multiplex() -> yamux::Config {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(limits::MAX_STREAMS);
    yamux
}

fn behaviour(
    key: &Keypair,
    relay_client: relay::client::Behaviour,
    config: &Config,
    streams: streams::Behaviour,
    life: u64,
) -> Behaviour {
    let me = key.public().to_peer_id();
    let agent = format!("{} {life:016x}", config.agent);
    let identify = identify::Config::new(FAMILY.to_owned(), key.public())
        .with_agent_version(agent)
        .with_push_listen_addr_updates(true);
    Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits()),
        memory: memory_connection_limits::Behaviour::with_max_percentage(MAX_MEMORY_SHARE),
        streams,
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(pulse::INTERVAL).with_timeout(pulse::TIMEOUT)),
        kademlia: kademlia(me, config),
        relay_client,
        dcutr: (!config.passing).then(|| dcutr::Behaviour::new(me)).into(),
        autonat_client: autonat::v2::client::Behaviour::default(),
        relay: config.serve_relay.then(|| relay::Behaviour::new(me, relay_limits())).into(),
        autonat_server: config.serve_relay.then(autonat::v2::server::Behaviour::default).into(),
        candidates: candidates::Behaviour::default(),
    }
}

fn connection_limits() -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits::MAX_PENDING_CONNECTIONS))
        .with_max_pending_outgoing(Some(limits::MAX_PENDING_CONNECTIONS))
        .with_max_established_incoming(Some(limits::MAX_INCOMING))
        .with_max_established_per_peer(Some(limits::MAX_CONNECTIONS_PER_PEER))
}

fn kademlia(me: PeerId, config: &Config) -> kad::Behaviour<kad::store::MemoryStore> {
    let mut settings = kad::Config::new(KADEMLIA);
    settings
        .set_query_timeout(QUERY_TIMEOUT)
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_provider_publication_interval(Some(PROVIDER_TTL / 3))
        .set_max_packet_size(MAX_KADEMLIA_PACKET)
        // What others write passes through `records` first.
        .set_record_filtering(kad::StoreInserts::FilterBoth);
    let store = kad::store::MemoryStoreConfig {
        max_providers_per_key: MAX_PROVIDERS_PER_KEY,
        ..kad::store::MemoryStoreConfig::default()
    };
    let store = kad::store::MemoryStore::with_config(me, store);
    let mut kademlia = kad::Behaviour::with_config(me, store, settings);
    // Not left to libp2p: it takes a relayed address for a public one and turns server behind a NAT.
    kademlia.set_mode(Some(if config.serve_relay { kad::Mode::Server } else { kad::Mode::Client }));
    kademlia
}

fn relay_limits() -> relay::Config {
    relay::Config {
        max_reservations: MAX_RESERVATIONS,
        max_circuits: MAX_CIRCUITS,
        max_circuits_per_peer: MAX_CIRCUITS_PER_PEER,
        max_circuit_duration: MAX_CIRCUIT_DURATION,
        max_circuit_bytes: MAX_CIRCUIT_BYTES,
        // libp2p's 30 in two minutes would starve a home gateway with 31 nodes.
        circuit_src_rate_limiters: vec![],
        ..relay::Config::default()
    }
    .circuit_src_per_peer(CIRCUITS_PER_MINUTE, Duration::from_secs(60))
    .circuit_src_per_ip(CIRCUITS_PER_MINUTE, Duration::from_secs(60))
}
