//! What one look at the swarm finds: the scheduler's view, the connections, and the answers that went by.

use std::{collections::HashMap, sync::Arc, time::Duration};

use starling_protocol::{
    membership::MemberRole,
    message::Nat,
    swarm::{Peer, PeerId, Peers},
};
use tokio::sync::watch;

use super::{
    facts::{Card, Link, Pulse, Role, Seen, Totals},
    flow::Flow,
};
use crate::{
    dispatch::{Dispatch, NodeView, View},
    membership::Network,
};

/// Models that are named of one node.
const MAX_MODELS: usize = 8;

/// Where it looks.
#[derive(Debug)]
pub(super) struct Sight {
    me: PeerId,
    bootstrap: Vec<PeerId>,
    view: watch::Receiver<Arc<View>>,
    peers: watch::Receiver<Peers>,
    flow: Flow,
}

impl Sight {
    pub(super) fn new(dispatch: &Dispatch, network: &Network) -> Self {
        let (view, peers, flow) = (dispatch.view(), network.swarm.peers(), dispatch.flow().clone());
        Self { me: network.swarm.local_peer(), bootstrap: network.places.bootstrap_peers(), view, peers, flow }
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Everybody who is there now. We ourselves come first.
    pub(super) fn look(&self) -> Seen {
        let (view, passed) = (self.view(), self.flow.take());
        let totals = Totals { nodes: count(view.nodes.len()), running: passed.running, waiting: passed.waiting };
        let mut peers = vec![(us(self.me), Pulse { link: Link::Direct, ..Pulse::default() })];
        peers.extend(self.others());
        peers.extend(view.nodes.iter().map(|node| (card(node), pulse(node, &passed.tokens))));
        Seen { peers, news: passed.news, totals }
    }

    /// Other gateways, and those that we begin with.
    fn others(&self) -> Vec<(Card, Pulse)> {
        let peers = self.peers.borrow();
        let gateways = peers.iter().filter(|(_, peer)| peer.member == Some(MemberRole::Gateway));
        let gateways = gateways.map(|(id, peer)| (other(Role::Gateway, *id), connection(Some(peer))));
        let first = self.bootstrap.iter().map(|id| (other(Role::Bootstrap, *id), connection(peers.get(id))));
        gateways.chain(first).collect()
    }
}

fn us(me: PeerId) -> Card {
    Card { version: env!("CARGO_PKG_VERSION").to_owned(), ..other(Role::Gateway, me) }
}

fn other(role: Role, peer: PeerId) -> Card {
    Card {
        role,
        peer,
        name: String::new(),
        nat: Nat::Unknown,
        gpu: String::new(),
        models: vec![],
        slots: 0,
        version: String::new(),
        drained: false,
        paused: None,
        warned: false,
    }
}

fn card(node: &NodeView) -> Card {
    Card {
        role: Role::Node,
        peer: node.peer,
        name: node.name.clone(),
        nat: node.network.nat,
        gpu: node.gpus.first().map_or(&node.device, |gpu| &gpu.name).clone(),
        models: node.models.iter().take(MAX_MODELS).cloned().collect(),
        slots: node.slots,
        version: node.version.clone(),
        drained: node.drained,
        paused: node.paused.map(|paused| paused.kind),
        warned: !node.warning.is_empty(),
    }
}

fn pulse(node: &NodeView, tokens: &HashMap<PeerId, u32>) -> Pulse {
    Pulse {
        link: if node.relayed { Link::Relayed } else { Link::Direct },
        rtt_tenths: node.rtt.map(tenths),
        used: node.slots.saturating_sub(node.slots_free),
        tokens: tokens.get(&node.peer).copied().unwrap_or_default(),
    }
}

fn connection(peer: Option<&Peer>) -> Pulse {
    let link = match peer {
        None => Link::None,
        Some(peer) if peer.is_relayed() => Link::Relayed,
        Some(_) => Link::Direct,
    };
    Pulse { link, rtt_tenths: peer.and_then(|peer| peer.rtt).map(tenths), ..Pulse::default() }
}

/// Tenths of a millisecond while they say something, whole ones beyond 10 ms.
fn tenths(span: Duration) -> u32 {
    let tenths = u32::try_from(span.as_micros() / 100).unwrap_or(u32::MAX);
    if tenths < 100 { tenths } else { tenths / 10 * 10 }
}

fn count(all: usize) -> u32 {
    u32::try_from(all).unwrap_or(u32::MAX)
}
