//! What has happened, as a picture of the oldest moment and the steps since: the picture at any moment is the first one
//! with the steps up to then applied. A state machine; the clock is an argument.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use starling_protocol::swarm::PeerId;

use super::{
    facts::{Card, Event, Id, Pulse, Role, Seen, Step, Totals, What},
    flow::{self, Fact},
};
use crate::clock::Timestamp;

/// How far back it reaches, in milliseconds.
pub(super) const SPAN_MS: i64 = 600_000;
/// Nodes that are shown at one time; those that came first.
pub(super) const MAX_NODES: usize = 1_000;
/// Gateways and first peers that are shown.
pub(super) const MAX_OTHERS: usize = 64;
/// Events that are kept in all; the oldest fall out, and what they led to stays.
pub(super) const MAX_EVENTS: usize = 4_096;
/// Events of one step.
pub(super) const MAX_STEP_EVENTS: usize = 256;
/// Ids that are remembered, so that a peer which comes again is the same one.
const MAX_IDS: usize = 4_096;
/// Steps that a watcher may be behind before it gets the picture as it is now in place of them.
pub(super) const MAX_LATE: u64 = 20;

/// Everybody at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Picture {
    peers: BTreeMap<Id, (Arc<Card>, Pulse)>,
    totals: Totals,
}

/// A reader's place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    /// Behind the step of this number; `None` before the first picture.
    seq: Option<u64>,
    /// It has had everything once.
    live: bool,
}

/// What a reader gets next.
#[derive(Debug)]
pub(super) enum Next {
    /// All that it had is to be forgotten: this is how it was then.
    Picture {
        now: Timestamp,
        me: Id,
        whole: Step,
    },
    Step(Arc<Step>),
}

/// The last ten minutes.
#[derive(Debug)]
pub(super) struct History {
    me: PeerId,
    ids: HashMap<PeerId, Id>,
    next_id: Id,
    /// How it was before the first step.
    base: Picture,
    base_at: Timestamp,
    /// The number of the last step that has fallen out.
    base_seq: u64,
    steps: VecDeque<Arc<Step>>,
    /// How it is behind the last.
    now: Picture,
    looked: Option<Timestamp>,
    /// In all steps.
    events: usize,
}

impl History {
    /// Of the gateway `me`.
    pub(super) fn new(me: PeerId) -> Self {
        Self {
            me,
            ids: HashMap::from([(me, 0)]),
            next_id: 1,
            base: Picture::default(),
            base_at: Timestamp(0),
            base_seq: 0,
            steps: VecDeque::new(),
            now: Picture::default(),
            looked: None,
            events: 0,
        }
    }

    /// Writes down what has changed since the last look. A clock that was put back stands still.
    pub(super) fn record(&mut self, now: Timestamp, seen: Seen) {
        let at = self.looked.map_or(now, |before| before.max(now));
        let is_first = self.looked.replace(at).is_none();
        let mut step = Step::empty(at, seen.totals);
        self.compare(seen.peers, &mut step);
        if is_first {
            // Who was there before us has not joined now.
            step.events.clear();
            self.base_at = at;
        }
        for news in seen.news {
            let event = self.event(news, at);
            step.events.extend(event);
        }
        step.events.sort_by_key(|event| event.at);
        step.events.truncate(MAX_STEP_EVENTS);
        if !step.is_empty() || step.totals != self.now.totals {
            self.now.apply(&step);
            self.events += step.events.len();
            self.steps.push_back(Arc::new(step));
        }
        self.forget(at);
    }

    /// What a reader at this place gets, which then is a place further. `None`: there is no more yet.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<Next> {
        let last = self.base_seq + self.steps.len() as u64;
        let Some(seq) = cursor.seq else {
            let now = self.looked?;
            cursor.seq = Some(self.base_seq);
            return Some(Next::Picture { now, me: self.id_of_me(), whole: self.base.whole(self.base_at) });
        };
        if seq < self.base_seq || (cursor.live && last - seq > MAX_LATE) {
            let now = self.looked?;
            *cursor = Cursor { seq: Some(last), live: true };
            return Some(Next::Picture { now, me: self.id_of_me(), whole: self.now.whole(now) });
        }
        let Some(step) = usize::try_from(seq - self.base_seq).ok().and_then(|at| self.steps.get(at)) else {
            cursor.live = true;
            return None;
        };
        cursor.seq = Some(seq + 1);
        Some(Next::Step(Arc::clone(step)))
    }

    /// Everybody as it was at that moment, as far back as is known.
    #[cfg(test)]
    pub(super) fn at(&self, moment: Timestamp) -> Picture {
        let mut picture = self.base.clone();
        self.steps.iter().take_while(|step| step.at <= moment).for_each(|step| picture.apply(step));
        picture
    }

    fn compare(&mut self, peers: Vec<(Card, Pulse)>, step: &mut Step) {
        let mut here = BTreeSet::new();
        for (card, pulse) in peers {
            let Some(id) = self.id_for(&card, step) else { continue };
            // Of two roles of one peer the first counts.
            if here.insert(id) {
                self.compare_one(id, card, pulse, step);
            }
        }
        for id in self.now.peers.keys().filter(|id| !here.contains(id)) {
            step.gone.push(*id);
            step.tell(What::Left(*id));
        }
    }

    fn compare_one(&self, id: Id, card: Card, pulse: Pulse, step: &mut Step) {
        let Some((known, before)) = self.now.peers.get(&id) else {
            step.cards.push((id, Arc::new(card)));
            step.pulses.push((id, pulse));
            step.tell(What::Joined(id));
            return;
        };
        if before.link != pulse.link {
            step.tell(What::Linked(id, pulse.link));
        }
        if *before != pulse {
            step.pulses.push((id, pulse));
        }
        if **known != card {
            if known.drained != card.drained {
                step.tell(What::Drained(id, card.drained));
            }
            if known.paused != card.paused {
                step.tell(card.paused.map_or(What::Back(id), |kind| What::Paused(id, kind)));
            }
            if known.models != card.models {
                step.tell(What::Models(id));
            }
            step.cards.push((id, Arc::new(card)));
        }
    }

    /// The peer's number, if there is room for it.
    fn id_for(&mut self, card: &Card, step: &Step) -> Option<Id> {
        let known = self.ids.get(&card.peer).copied();
        if let Some(id) = known.filter(|id| self.now.peers.contains_key(id)) {
            return Some(id);
        }
        let new = step.cards.iter().filter(|(id, _)| !self.now.peers.contains_key(id)).map(|(_, card)| card.role);
        let shown = self.now.peers.values().map(|(card, _)| card.role).chain(new);
        let is_node = card.role == Role::Node;
        let most = if is_node { MAX_NODES } else { MAX_OTHERS };
        if shown.filter(|role| (*role == Role::Node) == is_node).count() >= most {
            return None;
        }
        Some(known.unwrap_or_else(|| self.number(card.peer)))
    }

    fn number(&mut self, peer: PeerId) -> Id {
        if self.ids.len() >= MAX_IDS {
            let (me, shown) = (self.me, &self.now.peers);
            self.ids.retain(|peer, id| *peer == me || shown.contains_key(id));
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.ids.insert(peer, id);
        id
    }

    fn id_of_me(&self) -> Id {
        self.ids.get(&self.me).copied().unwrap_or_default()
    }

    /// What became of an answer, with numbers in place of peers. One on a peer that is not shown is not told of.
    fn event(&self, news: flow::News, now: Timestamp) -> Option<Event> {
        let id = |peer: PeerId| self.ids.get(&peer).copied();
        let answer = news.answer;
        let what = match news.fact {
            Fact::Waits => What::Waits(answer),
            Fact::Loads(on) => What::Loads(answer, id(on)?),
            Fact::Began(on) => What::Began(answer, id(on)?),
            Fact::Moved { from, to } => What::Moved(answer, id(from), id(to)?),
            Fact::Ended { on, tokens } => What::Ended(answer, on.and_then(id), tokens),
            Fact::Failed { on, tokens } => What::Failed(answer, on.and_then(id), tokens),
        };
        Some(Event { at: news.at.min(now), what })
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(step) = self.steps.front().filter(|step| now.0 - step.at.0 > SPAN_MS) {
            self.base.apply(step);
            (self.base_at, self.base_seq) = (step.at, self.base_seq + 1);
            self.events -= step.events.len();
            self.steps.pop_front();
        }
        let with_events = self.steps.iter_mut().filter(|step| !step.events.is_empty());
        for step in with_events {
            if self.events <= MAX_EVENTS {
                break;
            }
            self.events -= step.events.len();
            Arc::make_mut(step).events = vec![];
        }
    }
}

impl Picture {
    fn apply(&mut self, step: &Step) {
        for id in &step.gone {
            self.peers.remove(id);
        }
        for (id, card) in &step.cards {
            let pulse = self.peers.get(id).map(|(_, pulse)| *pulse).unwrap_or_default();
            self.peers.insert(*id, (Arc::clone(card), pulse));
        }
        for (id, pulse) in &step.pulses {
            if let Some((_, known)) = self.peers.get_mut(id) {
                *known = *pulse;
            }
        }
        self.totals = step.totals;
    }

    /// What leads from nothing to here.
    fn whole(&self, at: Timestamp) -> Step {
        let cards = self.peers.iter().map(|(id, (card, _))| (*id, Arc::clone(card))).collect();
        let pulses = self.peers.iter().map(|(id, (_, pulse))| (*id, *pulse)).collect();
        Step { cards, pulses, ..Step::empty(at, self.totals) }
    }
}

#[cfg(test)]
impl History {
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.steps.len(), self.events, self.ids.len())
    }
}

#[cfg(test)]
impl Picture {
    pub(super) fn pulse(&self, id: Id) -> Option<Pulse> {
        self.peers.get(&id).map(|(_, pulse)| *pulse)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}
