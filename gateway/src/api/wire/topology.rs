//! The swarm as it lives, for those who watch it. A peer is a number once it was shown; an answer is one from the beginning.

use serde::Serialize;
use ts_rs::TS;

use super::{Nat, PauseReason};
use crate::topology::{Card, Event, Id, Link, News, Pulse, Role, Totals, What};

/// What a peer is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum PeerRole {
    Node,
    Gateway,
    Bootstrap,
}

/// How the gateway is connected to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum PeerLink {
    None,
    Direct,
    Relayed,
}

/// What seldom changes of a peer. Of one that is no node only role, key and version say something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct TopologyPeer {
    pub id: Id,
    pub role: PeerRole,
    pub peer: String,
    pub name: String,
    pub nat: Nat,
    /// What computes there: its first GPU, else its device.
    pub gpu: String,
    /// Eight at most.
    pub models: Vec<String>,
    pub slots: u32,
    pub version: String,
    pub drained: bool,
    /// It computes nothing for a while, and why; null when it does.
    pub paused: Option<PauseReason>,
    /// Its owner should know something.
    pub warned: bool,
}

/// How a peer does: its number, the way to it, the last ping's milliseconds, slots taken, and tokens that came from it
/// within the last second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, TS)]
pub struct TopologyPulse(pub Id, pub PeerLink, pub Option<f32>, pub u32, pub u32);

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum TopologyWhat {
    Joined,
    Left,
    /// It is connected directly from now on; `relayed`, `lost` likewise.
    Direct,
    Relayed,
    Lost,
    Drained,
    Undrained,
    /// It leaves its machine to others for a while, because of `reason`.
    Paused,
    /// It computes again.
    Back,
    /// It serves other models.
    Models,
    /// An answer waits for a slot.
    Waits,
    /// The peer loads the model for an answer.
    Loads,
    Began,
    /// The answer goes on at `peer`; before that it was `from`'s.
    Moved,
    Ended,
    Failed,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
pub struct TopologyEvent {
    pub at_ms: i64,
    pub what: TopologyWhat,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub peer: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub from: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub answer: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<PauseReason>,
}

/// The swarm in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
pub struct TopologyTotals {
    /// All nodes, also those that are not shown.
    pub nodes: u32,
    /// Answers that this gateway has in progress.
    pub running: u32,
    /// Of these, answers that wait for a slot.
    pub waiting: u32,
}

impl From<&(Id, std::sync::Arc<Card>)> for TopologyPeer {
    fn from((id, card): &(Id, std::sync::Arc<Card>)) -> Self {
        let role = match card.role {
            Role::Node => PeerRole::Node,
            Role::Gateway => PeerRole::Gateway,
            Role::Bootstrap => PeerRole::Bootstrap,
        };
        Self {
            id: *id,
            role,
            peer: card.peer.to_string(),
            name: card.name.clone(),
            nat: card.nat.into(),
            gpu: card.gpu.clone(),
            models: card.models.clone(),
            slots: card.slots,
            version: card.version.clone(),
            drained: card.drained,
            paused: card.paused.map(Into::into),
            warned: card.warned,
        }
    }
}

impl From<&(Id, Pulse)> for TopologyPulse {
    fn from((id, pulse): &(Id, Pulse)) -> Self {
        let link = match pulse.link {
            Link::None => PeerLink::None,
            Link::Direct => PeerLink::Direct,
            Link::Relayed => PeerLink::Relayed,
        };
        let rtt = pulse.rtt_tenths.map(|tenths| tenths as f32 / 10.0);
        Self(*id, link, rtt, pulse.used, pulse.tokens)
    }
}

impl From<&Event> for TopologyEvent {
    fn from(event: &Event) -> Self {
        let told =
            |what| Self { at_ms: event.at.0, what, peer: None, from: None, answer: None, tokens: None, reason: None };
        let of = |what, peer| Self { peer: Some(peer), ..told(what) };
        let end = |what, answer, peer, tokens| Self { answer: Some(answer), peer, tokens: Some(tokens), ..told(what) };
        match event.what {
            What::Joined(peer) => of(TopologyWhat::Joined, peer),
            What::Left(peer) => of(TopologyWhat::Left, peer),
            What::Linked(peer, Link::Direct) => of(TopologyWhat::Direct, peer),
            What::Linked(peer, Link::Relayed) => of(TopologyWhat::Relayed, peer),
            What::Linked(peer, Link::None) => of(TopologyWhat::Lost, peer),
            What::Drained(peer, true) => of(TopologyWhat::Drained, peer),
            What::Drained(peer, false) => of(TopologyWhat::Undrained, peer),
            What::Paused(peer, kind) => Self { reason: Some(kind.into()), ..of(TopologyWhat::Paused, peer) },
            What::Back(peer) => of(TopologyWhat::Back, peer),
            What::Models(peer) => of(TopologyWhat::Models, peer),
            What::Waits(answer) => Self { answer: Some(answer), ..told(TopologyWhat::Waits) },
            What::Loads(answer, peer) => Self { answer: Some(answer), ..of(TopologyWhat::Loads, peer) },
            What::Began(answer, peer) => Self { answer: Some(answer), ..of(TopologyWhat::Began, peer) },
            What::Moved(answer, from, to) => Self { answer: Some(answer), from, ..of(TopologyWhat::Moved, to) },
            What::Ended(answer, on, tokens) => end(TopologyWhat::Ended, answer, on, tokens),
            What::Failed(answer, on, tokens) => end(TopologyWhat::Failed, answer, on, tokens),
        }
    }
}

impl From<Totals> for TopologyTotals {
    fn from(Totals { nodes, running, waiting }: Totals) -> Self {
        Self { nodes, running, waiting }
    }
}

/// What one who watches is told.
#[must_use]
pub fn frame(news: News) -> super::frames::ServerFrame {
    use super::frames::ServerFrame;
    match news {
        News::Picture { at, now, me } => ServerFrame::Picture { at_ms: at.0, now_ms: now.0, me },
        News::Step(step) => ServerFrame::Changes {
            at_ms: step.at.0,
            peers: step.cards.iter().map(Into::into).collect(),
            gone: step.gone.clone(),
            pulses: step.pulses.iter().map(Into::into).collect(),
            events: step.events.iter().map(Into::into).collect(),
            totals: step.totals.into(),
        },
        News::Node(peer, node) => {
            let node = node.map(|node| Box::new((&*node).into()));
            ServerFrame::Node { peer: peer.to_string(), node }
        }
    }
}
