//! What is known of the swarm at a moment, and what changes from one to the next: plain data.

use std::sync::Arc;

use starling_protocol::{
    message::{Nat, PauseKind},
    swarm::PeerId,
};

use super::flow;
use crate::clock::Timestamp;

/// A peer's number in the history.
pub type Id = u32;

/// What a peer is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It computes.
    Node,
    /// It serves people.
    Gateway,
    /// A first address for the others.
    Bootstrap,
}

/// How we are connected to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Not at all.
    #[default]
    None,
    /// By a connection of our own.
    Direct,
    /// Through another peer.
    Relayed,
}

/// What seldom changes of a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// What it is there for.
    pub role: Role,
    /// Its key.
    pub peer: PeerId,
    /// What its owner calls it.
    pub name: String,
    /// What stands between it and the others.
    pub nat: Nat,
    /// What computes there: its first GPU, else its device.
    pub gpu: String,
    /// What it serves.
    pub models: Vec<String>,
    /// Its slots, over all models.
    pub slots: u32,
    /// Its program's version.
    pub version: String,
    /// It is given no more.
    pub drained: bool,
    /// It computes nothing for a while, and why.
    pub paused: Option<PauseKind>,
    /// Its owner should know something.
    pub warned: bool,
}

/// What changes all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pulse {
    /// How it is connected.
    pub link: Link,
    /// The last ping's round trip, in tenths of a millisecond.
    pub rtt_tenths: Option<u32>,
    /// Slots that are taken.
    pub used: u32,
    /// Tokens that came from it since the last look.
    pub tokens: u32,
}

/// The swarm in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All nodes, also those that are not shown.
    pub nodes: u32,
    /// Answers that this gateway has in progress.
    pub running: u32,
    /// Of these, answers that wait for a slot.
    pub waiting: u32,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A peer is there.
    Joined(Id),
    /// It is gone.
    Left(Id),
    /// It is connected in another way.
    Linked(Id, Link),
    /// It is given no more (or something again).
    Drained(Id, bool),
    /// It computes nothing for a while.
    Paused(Id, PauseKind),
    /// It computes again.
    Back(Id),
    /// It serves other models.
    Models(Id),
    /// An answer waits for a slot.
    Waits(u32),
    /// A node loads the model for an answer.
    Loads(u32, Id),
    /// A node begins with an answer.
    Began(u32, Id),
    /// Another node goes on with it; the first one where it is known.
    Moved(u32, Option<Id>, Id),
    /// It is over, on that node, after so many tokens.
    Ended(u32, Option<Id>, u32),
    /// It broke off.
    Failed(u32, Option<Id>, u32),
}

/// What has changed from one look to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// Peers that are new or have changed.
    pub cards: Vec<(Id, Arc<Card>)>,
    /// Peers that are gone.
    pub gone: Vec<Id>,
    /// How peers do that do otherwise than before.
    pub pulses: Vec<(Id, Pulse)>,
    /// What happened meanwhile.
    pub events: Vec<Event>,
    /// The swarm in numbers.
    pub totals: Totals,
}

/// What one look finds.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Everybody who is there.
    pub peers: Vec<(Card, Pulse)>,
    /// What has become of answers since the last look.
    pub news: Vec<flow::News>,
    /// The swarm in numbers.
    pub totals: Totals,
}

impl Step {
    /// Nothing yet.
    pub(super) fn empty(at: Timestamp, totals: Totals) -> Self {
        Self { at, cards: vec![], gone: vec![], pulses: vec![], events: vec![], totals }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cards.is_empty() && self.gone.is_empty() && self.pulses.is_empty() && self.events.is_empty()
    }

    pub(super) fn tell(&mut self, what: What) {
        self.events.push(Event { at: self.at, what });
    }
}
