//! First packets of QUIC connections that never go on.
//!
//! Each is a real one: it is what libp2p sends to a socket of our own that keeps silent, and is sent on to
//! the victim from there. A packet can be opened by whoever gets it, as its keys are made of what it says.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::{Endpoint, Transport};
use libp2p::{Multiaddr, identity, quic};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Held, socket};

/// How long a dial goes on that nobody will answer: its first packet leaves at once.
const DIAL: Duration = Duration::from_secs(2);
/// Dials at one time.
const AT_ONCE: usize = 64;
const LARGEST_PACKET: usize = 2_048;
/// Where the connection's id begins in a first packet: after flags and version, with its length before it.
const ID_LENGTH_AT: usize = 5;

/// Ends when so many packets have gone out.
pub(super) async fn run(victim: Multiaddr, count: usize, held: Arc<Held>) {
    let (Some(victim), Ok(sink)) = (socket(&victim), UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await) else { return };
    let Ok(port) = sink.local_addr().map(|address| address.port()) else { return };
    let mut dials = JoinSet::new();
    let mut seen = HashSet::new();
    let mut packet = [0; LARGEST_PACKET];
    while seen.len() < count {
        while dials.len() < AT_ONCE {
            dials.spawn(dial(port));
        }
        tokio::select! {
            Some(_) = dials.join_next() => {}
            Ok((length, _)) = sink.recv_from(&mut packet) => {
                let id = packet.get(ID_LENGTH_AT + 1..).and_then(|rest| rest.get(..packet[ID_LENGTH_AT].into()));
                if id.is_some_and(|id| seen.insert(id.to_vec())) {
                    let _ = sink.send_to(&packet[..length], victim).await;
                    held.initials.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

async fn dial(port: u16) {
    let mut transport = quic::tokio::Transport::new(quic::Config::new(&identity::Keypair::generate_ed25519()));
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let Ok(address) = format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse() else { return };
    if let Ok(dial) = transport.dial(address, options) {
        let _ = timeout(DIAL, dial).await;
    }
}
