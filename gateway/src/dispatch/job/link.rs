//! The way to one attempt on its node, whatever becomes of the streams under it.
//!
//! A [`Line`] is one stream. When it breaks, or is silent for long, or is relayed while there is a direct connection,
//! the attempt is resumed on a new one, and the old one is read on until that works. Events are counted, so that the
//! reader gets each of them once.

mod line;

use std::{future::Future, pin::Pin, time::Duration};

use futures::future::OptionFuture;
use starling_protocol::{
    frame,
    message::{JobEvent, JobOpening, JobRequest, Refusal, Resume},
    swarm::{Handle, OpenError, Path, Peer, PeerId, Peers},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use self::line::Line;
use super::{DispatchError, Lease, Trouble};
use crate::dispatch::Standing;
use crate::metrics::Jobs;

/// How long an answer may be without a stream before its node counts as lost: long enough for a node to dial again
/// and show its certificate, and less than what the node waits.
const RESUME_PATIENCE: Duration = Duration::from_secs(6);
/// The same before the first token, where another node can begin anew and nobody sees it.
const EARLY_PATIENCE: Duration = Duration::from_secs(3);
/// A try to resume: a stream, a frame, and the first one back.
const RESUME_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two tries.
const RESUME_PAUSE: Duration = Duration::from_millis(200);
/// Between two tries to leave a relay: the old path still works.
const MOVE_PAUSE: Duration = Duration::from_secs(2);
/// A silence this long may be a path that is lost without a word; then a new stream is tried. Each further try in the
/// same silence waits twice as long: a long prompt is silent for minutes.
const SILENCE: Duration = Duration::from_secs(5);
/// A node may say nothing of itself for as long while it comes back.
const GONE_PATIENCE: Duration = Duration::from_millis(500);
/// Longer than anything is waited for.
const NEVER: Duration = Duration::from_secs(86_400);
/// What saying that an answer is over may take.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// What comes from the node.
pub(super) enum Heard {
    Event(JobEvent),
    /// The attempt goes on over this kind of path.
    Moved(Path),
    /// The stream broke. What comes next comes on another.
    Cut,
}

type Coming = Pin<Box<dyn Future<Output = Result<Line, Unresumed>> + Send>>;

/// Why there is no new stream.
enum Unresumed {
    /// The node does not have the attempt: it never will.
    NotHere,
    Failed(String),
}

/// One attempt, as the gateway holds it.
pub(super) struct Link {
    swarm: Handle,
    peers: watch::Receiver<Peers>,
    peer: PeerId,
    /// The attempt, and how many of its events have come.
    at: Resume,
    line: Option<Line>,
    /// A new line on its way.
    coming: Option<Coming>,
    /// When the next try may begin.
    retry_at: Instant,
    /// Without a line: when the node counts as lost.
    lost_at: Option<Instant>,
    /// Since when the reader waits for an event.
    silent_since: Option<Instant>,
    /// Tries that this silence has seen.
    probes: u32,
    path: Path,
    standing: watch::Receiver<Standing>,
    /// Since when the node has said nothing of itself.
    gone_since: Option<Instant>,
    /// How long it may be without a line before its first token.
    early_patience: Duration,
    jobs: Jobs,
}

impl Link {
    /// Begins the attempt.
    pub(super) async fn begin(swarm: Handle, jobs: Jobs, lease: &Lease, request: &JobRequest) -> Result<Self, Trouble> {
        let peer = lease.placement.peer;
        let lost = || Trouble::Node(DispatchError::NodeLost);
        let mut opened = swarm.open_job(peer).await;
        if opened.as_ref().is_err_and(|error| *error == OpenError::Lost) {
            // Of several connections one has closed, with all that was being opened on it.
            opened = swarm.open_job(peer).await;
        }
        let mut stream = opened.map_err(|error| {
            debug!(%error, "no stream");
            lost()
        })?;
        // A refusal may be there before the request is out; so a failed write is left to the read.
        match frame::write(&mut stream, &JobOpening::Begin(request.clone())).await {
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return Err(lost()),
            Err(error) => debug!(%error, "the request was not taken"),
            Ok(()) => {}
        }
        let at = Resume { job: request.job, attempt: request.attempt, received: 0 };
        let line = Line::new(stream, 0);
        Ok(Self {
            peers: swarm.peers(),
            swarm,
            peer,
            at,
            path: line.path(),
            line: Some(line),
            coming: None,
            retry_at: Instant::now(),
            lost_at: None,
            silent_since: None,
            probes: 0,
            standing: lease.standing.clone(),
            gone_since: None,
            early_patience: if lease.others { EARLY_PATIENCE } else { RESUME_PATIENCE },
            jobs,
        })
    }

    /// The path it takes, or took last.
    pub(super) fn path(&self) -> Path {
        self.path
    }

    /// Whether there is no stream.
    pub(super) fn is_cut(&self) -> bool {
        self.line.is_none()
    }

    /// What the node says next. Cancel safe.
    ///
    /// # Errors
    /// The node is lost: silent for longer than `patience`, or not reached again in time.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<Heard, Trouble> {
        let silent_since = *self.silent_since.get_or_insert_with(Instant::now);
        loop {
            let end = self.lost_at.unwrap_or_else(|| self.hangs_at(silent_since).min(silent_since + patience));
            let (wish, may_try, with_receipts) = (self.wish(), self.may_try(), self.coming.is_none());
            tokio::select! {
                // What is there is read before anybody gives up.
                biased;
                Some(event) = OptionFuture::from(self.line.as_mut().map(|line| line.next(with_receipts))) => {
                    match event {
                        Ok(event) => return Ok(Heard::Event(self.count(event))),
                        Err(why) => {
                            self.broke(&why)?;
                            // The node ends the old stream when the new one on its way has come.
                            if self.coming.is_none() {
                                return Ok(Heard::Cut);
                            }
                        }
                    }
                }
                Some(line) = OptionFuture::from(self.coming.as_mut()) => {
                    self.coming = None;
                    if let Some(path) = self.came(line)? {
                        return Ok(Heard::Moved(path));
                    }
                }
                () = reason(&mut self.peers, self.peer, wish, silent_since), if may_try => self.resume(),
                Ok(()) = self.standing.changed() => {}
                () = sleep_until(end) => return Err(self.lose("too_late", "silent, or gone for too long")),
            }
        }
    }

    /// When a node that says nothing, neither here nor of itself, counts as one that hangs. A reconnecting one is gone
    /// for a moment, too; and one that reads a long prompt is silent here.
    fn hangs_at(&mut self, silent_since: Instant) -> Instant {
        let now = Instant::now();
        if *self.standing.borrow_and_update() != Standing::Gone {
            self.gone_since = None;
            return silent_since + NEVER;
        }
        let gone_since = *self.gone_since.get_or_insert(now);
        (silent_since + SILENCE).max(gone_since + GONE_PATIENCE)
    }

    /// Tells the node that we are there, and reads nothing. Never ends.
    pub(super) async fn keep_up(&mut self) {
        match &mut self.line {
            Some(line) => line.keep_up().await,
            None => std::future::pending().await,
        }
    }

    /// The answer is whole, or not wanted any more: the node forgets it.
    pub(super) async fn end(mut self) {
        if self.line.is_none() && self.coming.is_none() && self.peers.borrow().get(&self.peer).is_some() {
            self.resume();
        }
        // A stream on its way may be the one that the node listens to.
        if let Some(coming) = self.coming.take()
            && let Ok(Ok(line)) = timeout(END_TIMEOUT, coming).await
        {
            self.line = Some(line);
        }
        let Some(mut line) = self.line else { return };
        if timeout(END_TIMEOUT, line.end()).await.is_err() {
            debug!("the node could not be told of the end");
        }
    }

    fn count(&mut self, event: JobEvent) -> JobEvent {
        // How far a load has come is no event of the attempt.
        self.at.received += u64::from(!matches!(event, JobEvent::Loading(_)));
        (self.silent_since, self.probes) = (None, 0);
        event
    }

    fn broke(&mut self, why: &str) -> Result<(), Trouble> {
        debug!(why, received = self.at.received, "the stream broke");
        // Nothing has come yet: another node is asked sooner than this one is reached again.
        if self.at.received == 0 {
            return Err(Trouble::Node(DispatchError::NodeLost));
        }
        let patience = if self.at.received == 1 { self.early_patience } else { RESUME_PATIENCE };
        let now = Instant::now();
        (self.line, self.lost_at, self.retry_at) = (None, Some(now + patience), now);
        Ok(())
    }

    fn came(&mut self, line: Result<Line, Unresumed>) -> Result<Option<Path>, Trouble> {
        match line {
            Ok(mut line) => {
                line.skip_to(self.at.received);
                let path = line.path();
                debug!(?path, received = self.at.received, "goes on");
                if self.lost_at.take().is_some() {
                    self.jobs.resumed("resumed");
                }
                (self.line, self.retry_at) = (Some(line), Instant::now() + MOVE_PAUSE);
                if std::mem::replace(&mut self.path, path) == path {
                    return Ok(None);
                }
                self.jobs.moved(path);
                Ok(Some(path))
            }
            Err(Unresumed::NotHere) if self.line.is_none() || self.is_silent() => {
                Err(self.lose("not_here", "the node has forgotten it"))
            }
            Err(why) => {
                if let Unresumed::Failed(why) = why {
                    debug!(why, "not resumed");
                }
                self.retry_at = Instant::now() + if self.line.is_none() { RESUME_PAUSE } else { MOVE_PAUSE };
                Ok(None)
            }
        }
    }

    fn lose(&self, outcome: &'static str, why: &str) -> Trouble {
        if self.lost_at.is_some() {
            self.jobs.resumed(outcome);
        }
        debug!(why, received = self.at.received, "the node was lost");
        Trouble::Node(DispatchError::NodeLost)
    }

    fn is_silent(&self) -> bool {
        self.silent_since.is_some_and(|since| since.elapsed() >= SILENCE)
    }

    /// Before the first event there is nothing to resume.
    fn may_try(&self) -> bool {
        self.coming.is_none() && self.at.received > 0
    }

    fn wish(&self) -> Wish {
        let path = self.line.as_ref().map(Line::path);
        Wish { path, not_before: self.retry_at, silence: SILENCE.saturating_mul(2_u32.saturating_pow(self.probes)) }
    }

    fn resume(&mut self) {
        self.probes += u32::from(self.line.is_some());
        let (swarm, peer, at) = (self.swarm.clone(), self.peer, self.at);
        self.coming = Some(Box::pin(async move {
            let late = |_| Err(Unresumed::Failed("no answer in time".to_owned()));
            timeout(RESUME_TIMEOUT, resumed(swarm, peer, at)).await.unwrap_or_else(late)
        }));
    }
}

/// What makes a new stream worth a try.
struct Wish {
    /// The path now; none when there is none.
    path: Option<Path>,
    not_before: Instant,
    silence: Duration,
}

/// Waits for it.
async fn reason(peers: &mut watch::Receiver<Peers>, peer: PeerId, wish: Wish, silent_since: Instant) {
    let better = |seen: &Peer| match wish.path {
        None => true,
        Some(Path::Relayed) => !seen.is_relayed(),
        Some(Path::Direct) => false,
    };
    let reached = async {
        sleep_until(wish.not_before).await;
        if peers.wait_for(|peers| peers.get(&peer).is_some_and(better)).await.is_err() {
            // The swarm has ended, and soon we shall.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = reached, if wish.path != Some(Path::Direct) => {}
        () = sleep_until(silent_since + wish.silence), if wish.path.is_some() => {}
    }
}

async fn resumed(swarm: Handle, peer: PeerId, at: Resume) -> Result<Line, Unresumed> {
    let failed = |why: &dyn std::fmt::Display| Unresumed::Failed(why.to_string());
    let mut stream = swarm.open_job(peer).await.map_err(|error| failed(&error))?;
    let written = frame::write(&mut stream, &JobOpening::Resume(at)).await;
    let mut line = Line::new(stream, at.received);
    match line.next(false).await {
        Ok(JobEvent::Resumed) => {}
        Ok(JobEvent::Refused(Refusal::NotHere)) => return Err(Unresumed::NotHere),
        Ok(JobEvent::Refused(refusal)) => return Err(failed(&refusal)),
        Ok(_) => return Err(failed(&"the node broke the protocol")),
        Err(why) => return Err(failed(&written.err().map_or(why, |error| error.to_string()))),
    }
    line.goes_on_from(at.received);
    Ok(line)
}
