//! The one task that knows who is a member. It hears what streams report, asks the state what that means,
//! and does it.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::{
    Seen,
    calls::Calls,
    file,
    lines::{Stage, Switchboard},
    shown::Shown,
    state::{Heard, State},
    talk::{self, GOODBYE_TIMEOUT},
};
use crate::{
    limits::MAX_REVOCATIONS_PER_FRAME,
    membership::{Certificate, Clock, Hello, MemberFrame, MemberRole, NotMember, Revocation},
    swarm::{self, InboundStream, Peer},
};

/// How often certificates are looked at, and streams begun that are due.
const TICK: Duration = Duration::from_millis(250);
/// One request for renewal may come to nothing; the next goes to another authority after this long.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// What the actor hears.
#[derive(Debug)]
pub(super) enum Event {
    Frame { peer: PeerId, id: u64, frame: MemberFrame },
    Ended { peer: PeerId, id: u64 },
    Revoke { peer: PeerId, done: oneshot::Sender<bool> },
}

pub(super) struct Files {
    pub(super) revocations: Option<PathBuf>,
    pub(super) membership: Option<PathBuf>,
}

pub(super) struct Network {
    pub(super) swarm: swarm::Handle,
    pub(super) inbound: mpsc::Receiver<InboundStream>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) reports: mpsc::Receiver<Event>,
}

/// The task of membership. [`run`](Actor::run) it once.
pub struct Actor {
    state: State,
    calls: Calls,
    lines: Switchboard,
    /// Members until now, who get a moment to hear that they are out: disconnected at the latest then.
    doomed: HashMap<PeerId, Instant>,
    next_renewal: Instant,
    renewals_asked: usize,
    clock: Clock,
    files: Files,
    swarm: swarm::Handle,
    peers: watch::Receiver<swarm::Peers>,
    inbound: mpsc::Receiver<InboundStream>,
    reports: mpsc::Receiver<Event>,
    shown: Shown,
}

impl Actor {
    pub(super) fn new(state: State, network: Network, files: Files, clock: Clock) -> (Self, Seen) {
        let (shown, seen) = Shown::new(&state, clock.now());
        let actor = Self {
            state,
            calls: Calls::default(),
            lines: Switchboard::new(network.events),
            doomed: HashMap::new(),
            next_renewal: Instant::now(),
            renewals_asked: 0,
            clock,
            files,
            peers: network.swarm.peers(),
            swarm: network.swarm,
            inbound: network.inbound,
            reports: network.reports,
            shown,
        };
        (actor, seen)
    }

    /// Runs until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        let span = info_span!("members", swarm = ?self.state.swarm());
        async move { self.turn(cancel).await }.instrument(span).await;
    }

    async fn turn(&mut self, cancel: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                Some(inbound) = self.inbound.recv() => self.on_inbound(inbound),
                Some(event) = self.reports.recv() => self.on_event(event).await,
                Ok(()) = self.peers.changed() => self.on_peers(),
                _ = ticks.tick() => self.on_tick().await,
            }
            self.show();
        }
    }

    /// The peer is nobody yet, but its connection has proven its id, and there is one greeting for each.
    fn on_inbound(&mut self, inbound: InboundStream) {
        self.lines.begin(inbound.peer, false, |line| talk::answer(inbound.stream, line));
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Frame { peer, id, frame } => self.on_frame(peer, id, frame).await,
            Event::Ended { peer, id } => {
                if self.lines.ended(&peer, id) {
                    self.calls.broke(&peer, Instant::now());
                } else if self.doomed.remove(&peer).is_some() {
                    self.swarm.expel(peer).await;
                }
            }
            Event::Revoke { peer, done } => {
                let heard = self.state.revoke(peer, self.clock.now());
                let revoked = heard.is_some();
                self.on_heard(heard.unwrap_or_default(), None).await;
                // Whoever asked may be gone.
                let _ = done.send(revoked);
            }
        }
    }

    fn on_peers(&mut self) {
        let peers = self.peers.borrow_and_update().clone();
        // An admission ends with the last connection, also when the peer is back before we have looked.
        self.state.keep_connected(|peer| peers.get(peer).is_some_and(|peer| peer.member.is_some()));
        let now = Instant::now();
        for (peer, seen) in peers.iter() {
            if self.calls_first(peer, seen) && self.calls.is_due(*peer, now) {
                let hello = self.state.hello(self.clock.now());
                let swarm = self.swarm.clone();
                self.lines.begin(*peer, true, |line| talk::call(swarm, hello, line));
            }
        }
    }

    /// A node calls every gateway; of two gateways the one with the smaller id calls.
    fn calls_first(&self, peer: &PeerId, seen: &Peer) -> bool {
        seen.takes_status && (self.state.role() == MemberRole::Node || self.swarm.local_peer() < *peer)
    }

    async fn on_tick(&mut self) {
        let now = Instant::now();
        for (peer, why) in self.state.expire(self.clock.now()) {
            self.turn_out(peer, why);
        }
        let late: Vec<_> = self.doomed.iter().filter(|(_, at)| **at <= now).map(|(peer, _)| *peer).collect();
        for peer in late {
            self.doomed.remove(&peer);
            self.swarm.expel(peer).await;
        }
        self.renew(now).await;
        self.on_peers();
        let peers = self.peers.borrow();
        self.calls.keep_connected(|peer| peers.get(peer).is_some(), now);
    }

    async fn on_frame(&mut self, peer: PeerId, id: u64, frame: MemberFrame) {
        let Some(stage) = self.lines.stage(&peer, id) else { return };
        match frame {
            MemberFrame::Hello(hello) => self.on_hello(peer, stage, &hello).await,
            MemberFrame::Refused(why) => {
                info!(%peer, %why, "the peer does not take us for a member");
                self.state.refused_by(&peer, why);
                self.calls.refused(&peer, Instant::now());
                self.lines.hang_up(&peer, stage);
            }
            _ if stage != Stage::Met => {
                let why = self.state.no_hello();
                self.refuse(peer, stage, why);
            }
            MemberFrame::Revocations(revocations) => self.on_revocations(peer, revocations).await,
            MemberFrame::Renew => {
                let renewed = self.state.renew(&peer, self.clock.now());
                self.lines.say(&peer, renewed.into_iter().map(MemberFrame::Renewed).collect());
            }
            MemberFrame::Renewed(certificate) => self.on_renewed(certificate).await,
        }
    }

    async fn on_hello(&mut self, peer: PeerId, stage: Stage, hello: &Hello) {
        let now = self.clock.now();
        let role = match self.state.judge(peer, hello, now) {
            Ok(role) => role,
            Err(why) if stage == Stage::Met => return self.turn_out(peer, why),
            Err(why) => return self.refuse(peer, stage, why),
        };
        if stage == Stage::Met {
            return;
        }
        self.calls.met(&peer);
        self.lines.met(&peer);
        self.doomed.remove(&peer);
        // Before it hears from us: it may open its first stream at once.
        self.swarm.admit(peer, role).await;
        let mut frames = frames(self.state.revocations().iter());
        if stage == Stage::Answered {
            frames.insert(0, MemberFrame::Hello(self.state.hello(now)));
        }
        self.lines.say(&peer, frames);
        debug!(%peer, ?role, "a member");
    }

    /// Somebody whom we have not admitted: its connection may serve the address book, and stays.
    fn refuse(&mut self, peer: PeerId, stage: Stage, why: NotMember) {
        info!(%peer, %why, "not taken for a member");
        self.calls.refused(&peer, Instant::now());
        // It is seen here before it is heard there.
        self.show();
        self.lines.refuse(&peer, stage, why);
    }

    /// A member until now: whatever runs with it ends.
    fn turn_out(&mut self, peer: PeerId, why: NotMember) {
        warn!(%peer, %why, "not a member any more");
        let now = Instant::now();
        self.calls.refused(&peer, now);
        self.show();
        self.lines.refuse(&peer, Stage::Met, why);
        self.doomed.insert(peer, now + GOODBYE_TIMEOUT);
    }

    async fn on_revocations(&mut self, peer: PeerId, revocations: Vec<Revocation>) {
        let too_many = revocations.len() > MAX_REVOCATIONS_PER_FRAME;
        let heard = if too_many { Heard::default() } else { self.state.heard(revocations, self.clock.now()) };
        if too_many || heard.forged {
            warn!(%peer, "a member passes on what the swarm has not said");
            self.lines.hang_up(&peer, Stage::Met);
            self.calls.broke(&peer, Instant::now());
        }
        self.on_heard(heard, Some(peer)).await;
    }

    /// Turns out whom it concerns, passes it on to everybody else, and writes it down.
    async fn on_heard(&mut self, heard: Heard, from: Option<PeerId>) {
        if heard.fresh.is_empty() {
            return;
        }
        for peer in heard.out {
            self.turn_out(peer, NotMember::Revoked);
        }
        self.lines.say_to_all(&frames(heard.fresh.iter()), from);
        let known = self.shown.revocations(&self.state);
        let (path, swarm) = (self.files.revocations.clone(), self.state.swarm());
        let save = spawn_blocking(move || path.map_or(Ok(()), |path| file::save(&path, swarm, &known)));
        if let Ok(Err(error)) = save.await {
            error!(%error, "a revocation could not be written down, and will be forgotten at the end");
        }
    }

    async fn renew(&mut self, now: Instant) {
        if now < self.next_renewal || !self.state.wants_renewal(self.clock.now()) {
            return;
        }
        self.next_renewal = now + RENEWAL_PAUSE;
        if self.state.renew_own(self.clock.now()) {
            return self.on_renewal().await;
        }
        let authorities = self.state.authorities();
        if let Some(peer) = authorities.get(self.renewals_asked % authorities.len().max(1)) {
            self.renewals_asked += 1;
            self.lines.say(peer, vec![MemberFrame::Renew]);
        }
    }

    async fn on_renewed(&mut self, certificate: Certificate) {
        if self.state.renewed(certificate, self.clock.now()) {
            self.on_renewal().await;
        }
    }

    /// Everybody is told, or they would turn us out when the old certificate is over.
    async fn on_renewal(&mut self) {
        info!("our certificate was renewed");
        let hello = self.state.hello(self.clock.now());
        self.lines.say_to_all(&[MemberFrame::Hello(hello)], None);
        let (path, membership) = (self.files.membership.clone(), self.state.membership().clone());
        let save = spawn_blocking(move || path.map_or(Ok(()), |path| membership.save(&path)));
        if let Ok(Err(error)) = save.await {
            error!(%error, "the renewed certificate could not be written down");
        }
    }

    fn show(&mut self) {
        self.shown.update(&mut self.state, self.clock.now());
    }
}

fn frames<'a>(revocations: impl Iterator<Item = &'a Revocation>) -> Vec<MemberFrame> {
    let all: Vec<_> = revocations.cloned().collect();
    all.chunks(MAX_REVOCATIONS_PER_FRAME).map(|chunk| MemberFrame::Revocations(chunk.to_vec())).collect()
}
