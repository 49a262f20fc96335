//! The member streams there are: at most one on which a peer and we have believed each other, and one on
//! which we have not yet. A newer stream takes the place of an older one.

use std::collections::HashMap;

use libp2p::PeerId;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    actor::Event,
    talk::{Line, ORDER_QUEUE, Order},
};
use crate::membership::{MemberFrame, NotMember};

/// One stream. Dropping it ends it.
#[derive(Debug)]
struct Talk {
    id: u64,
    /// We have opened it, and so have introduced ourselves.
    called: bool,
    orders: mpsc::Sender<Order>,
    task: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Lines {
    greeting: Option<Talk>,
    met: Option<Talk>,
}

/// Where a frame has come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A stream that we have opened, and no introduction from the peer yet.
    Called,
    /// A stream that the peer has opened, and no introduction yet.
    Answered,
    /// Both have introduced themselves.
    Met,
}

/// All streams.
#[derive(Debug)]
pub(super) struct Switchboard {
    lines: HashMap<PeerId, Lines>,
    next_id: u64,
    events: mpsc::Sender<Event>,
}

impl Switchboard {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { lines: HashMap::new(), next_id: 0, events }
    }

    /// Begins a stream's task. A greeting with the same peer that has not come to its end does so now.
    pub(super) fn begin<F>(&mut self, peer: PeerId, called: bool, talk: impl FnOnce(Line) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.next_id += 1;
        let (sender, orders) = mpsc::channel(ORDER_QUEUE);
        let line = Line { peer, id: self.next_id, events: self.events.clone(), orders };
        let task = AbortOnDropHandle::new(tokio::spawn(talk(line)));
        let talk = Talk { id: self.next_id, called, orders: sender, task };
        self.lines.entry(peer).or_default().greeting = Some(talk);
    }

    /// What is known of the stream; `None` when it is not wanted any more.
    pub(super) fn stage(&self, peer: &PeerId, id: u64) -> Option<Stage> {
        let lines = self.lines.get(peer)?;
        match (&lines.greeting, &lines.met) {
            (Some(talk), _) if talk.id == id && talk.called => Some(Stage::Called),
            (Some(talk), _) if talk.id == id => Some(Stage::Answered),
            (_, Some(talk)) if talk.id == id => Some(Stage::Met),
            _ => None,
        }
    }

    /// The peer has introduced itself on its newest stream, which takes the place of an older one.
    pub(super) fn met(&mut self, peer: &PeerId) {
        if let Some(lines) = self.lines.get_mut(peer)
            && let Some(talk) = lines.greeting.take()
        {
            lines.met = Some(talk);
        }
    }

    /// Says the last word on the stream of this stage, or nothing where there is none.
    pub(super) fn refuse(&mut self, peer: &PeerId, stage: Stage, why: NotMember) {
        if let Some(talk) = self.take(peer, stage)
            && talk.orders.try_send(Order::Refuse(why)).is_ok()
        {
            // It ends by itself, soon.
            drop(talk.task.detach());
        }
    }

    /// Ends the stream of this stage.
    pub(super) fn hang_up(&mut self, peer: &PeerId, stage: Stage) {
        self.take(peer, stage);
    }

    fn take(&mut self, peer: &PeerId, stage: Stage) -> Option<Talk> {
        let lines = self.lines.get_mut(peer)?;
        let talk = if stage == Stage::Met { lines.met.take() } else { lines.greeting.take() };
        if lines.greeting.is_none() && lines.met.is_none() {
            self.lines.remove(peer);
        }
        talk
    }

    /// A stream has ended. True when it was one that was wanted.
    pub(super) fn ended(&mut self, peer: &PeerId, id: u64) -> bool {
        let stage = self.stage(peer, id);
        stage.is_some_and(|stage| self.take(peer, stage).is_some())
    }

    /// Says something to a member. One that takes nothing for so long loses its stream.
    pub(super) fn say(&mut self, peer: &PeerId, frames: Vec<MemberFrame>) {
        let Some(talk) = self.lines.get(peer).and_then(|lines| lines.met.as_ref()) else { return };
        if !frames.is_empty() && talk.orders.try_send(Order::Say(frames)).is_err() {
            self.hang_up(peer, Stage::Met);
        }
    }

    /// Says something to all members but one.
    pub(super) fn say_to_all(&mut self, frames: &[MemberFrame], except: Option<PeerId>) {
        let met = self.lines.iter().filter(|(peer, lines)| lines.met.is_some() && Some(**peer) != except);
        for peer in met.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.say(&peer, frames.to_vec());
        }
    }
}
