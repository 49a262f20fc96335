//! An engine in a process of its own, so that native code that aborts on an assertion, a broken file or a driver's
//! fault ends some answers and never the node.
//!
//! [`open`] starts this program again and gives the same [`Handle`] as an engine in this process has, and a [`Host`]
//! that keeps the process: it passes jobs and outputs over its pipes, sees when it dies or hangs, fails what ran, and
//! starts it again. [`serve`] is the other side. The process ends with the one that started it, however that ends.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::handle::{Ends, Job, pair_with};
use crate::stream::Bell;
use crate::{Failure, Handle, ModelInfo, OpenError, Progress, Refused, Source};

use blame::Blame;
use frame::{Order, Outbox, Report};
use process::{End, Process};
use session::{Desk, Over, Session};
use shown::Shown;
use watch::{Came, Restarts};

pub use child::serve;
pub use process::Launch;
pub use watch::Patience;

mod blame;
mod child;
mod complaint;
mod frame;
mod jobs;
mod memory;
mod process;
mod session;
mod shown;
mod watch;

/// Keeps the process of one engine.
pub struct Host {
    source: Source,
    launch: Launch,
    patience: Patience,
    info: ModelInfo,
    /// The running one, until [`Host::run`] has it.
    first: Option<Process>,
    incoming: mpsc::Receiver<Job>,
    bell: Arc<Notify>,
    shown: Shown,
    blame: Blame,
    restarts: Restarts,
    /// Processes that this machine has ended for lack of memory, when this one was started.
    kills: Option<u64>,
    /// How often it was killed with no reason to be seen.
    killed: u32,
}

/// Why there is no engine.
struct Unopened {
    error: OpenError,
    out_of_memory: bool,
}

/// Starts a process and opens an engine in it.
///
/// # Errors
/// As [`crate::open`], and when the process cannot be started or dies.
pub async fn open(source: Source, launch: Launch, patience: Patience) -> Result<(Handle, Host), OpenError> {
    open_with(source, launch, patience, &Progress::new()).await
}

/// As [`open`], and shows how far it has come. Dropping the future ends the process.
///
/// # Errors
/// As [`open`].
pub async fn open_with(
    source: Source,
    launch: Launch,
    patience: Patience,
    progress: &Progress,
) -> Result<(Handle, Host), OpenError> {
    let kills = memory::kills();
    let (process, info) = start(&source, &launch, patience, progress).await.map_err(|unopened| unopened.error)?;
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    let (handle, ends) = pair_with(info.clone(), Bell::new(move || ring.notify_one()), bell);
    let Ends { jobs: incoming, bell, load, seats, .. } = ends;
    let shown = Shown::new(load, seats, info.slots);
    let (blame, restarts, killed) = (Blame::default(), Restarts::default(), 0);
    let first = Some(process);
    let host = Host { source, launch, patience, info, first, incoming, bell, shown, blame, restarts, kills, killed };
    Ok((handle, host))
}

impl Host {
    /// Keeps the process until every [`Handle`] is dropped and no answer runs; then it ends the process. Spawns
    /// nothing. Dropping the future ends the process at once.
    pub async fn run(mut self) {
        let mut process = self.first.take();
        while let Some(running) = process {
            let Some(came) = self.keep(running).await else { return };
            process = self.revive(came).await;
        }
    }

    /// Serves with one process until it is gone, and says how far it came; none when nobody wants it any more.
    async fn keep(&mut self, mut process: Process) -> Option<Came> {
        let (incoming, bell) = (&mut self.incoming, &*self.bell);
        let desk = Desk { incoming, bell, shown: &mut self.shown, blame: &mut self.blame };
        let mut session = Session::new(desk, self.patience);
        let over = session.run(&mut process).await;
        let why = match &over {
            Over::Abandoned => return None,
            Over::Ended => None,
            Over::Hung => Some("it hung".to_owned()),
            Over::Nonsense(what) => Some(what.clone()),
        };
        let rest = session.finish();
        let mut end = process.end(why).await;
        end.reason = rest.last_words.filter(|words| !words.is_empty()).unwrap_or(end.reason);
        let short = self.short_of_memory(&end);
        if short {
            end.reason.push_str(", for lack of memory");
        }
        warn!(model = self.info.name, reason = end.reason, answers = rest.jobs.len(), "the engine died");
        self.shown.down(end.reason.clone());
        if short {
            self.shown.out_of_memory(Instant::now(), 0);
        }
        if let Some(mark) = rest.suspect
            && !end.killed
            && !short
        {
            self.blame.died(mark);
        }
        rest.jobs.fail(&match over {
            Over::Hung => Failure::Hung,
            _ => Failure::EngineDied { reason: end.reason },
        });
        Some(rest.came)
    }

    /// Starts the engine again, however often that takes; none when nobody wants it any more.
    async fn revive(&mut self, mut came: Came) -> Option<Process> {
        loop {
            let pause = self.restarts.died(came);
            let source = self.source.with_slots(self.shown.slots(), self.info.slots);
            self.kills = memory::kills();
            let again = async {
                sleep(pause).await;
                start(&source, &self.launch, self.patience, &Progress::new()).await
            };
            let started = tokio::select! {
                started = again => started,
                () = refuse(&mut self.incoming) => return None,
            };
            let problem = match started {
                Ok((process, info)) if info.id == self.info.id => {
                    self.shown.up(info.slots);
                    info!(model = self.info.name, slots = self.shown.slots(), "the engine was started again");
                    return Some(process);
                }
                Ok(_) => "the model file is another one now".to_owned(),
                Err(unopened) => {
                    if unopened.out_of_memory && came == Came::Nowhere {
                        self.shown.out_of_memory(Instant::now(), 0);
                    }
                    unopened.error.to_string()
                }
            };
            warn!(model = self.info.name, problem, "the engine cannot be started again; it is tried on");
            self.shown.down(problem);
            came = Came::Nowhere;
        }
    }

    /// Whether the process seems to have ended for lack of memory. One that was killed says nothing of it; the
    /// machine may, and where it does not, the second time is taken for it.
    fn short_of_memory(&mut self, end: &End) -> bool {
        if !end.killed {
            return end.out_of_memory;
        }
        self.killed = self.killed.saturating_add(1);
        match (self.kills, memory::kills()) {
            (Some(before), Some(now)) => now > before,
            _ => self.killed > 1,
        }
    }
}

/// Sends everybody away who comes while there is no engine; returns when nobody can come any more.
async fn refuse(incoming: &mut mpsc::Receiver<Job>) {
    while let Some(job) = incoming.recv().await {
        job.refuse(Refused::Restarting);
    }
}

/// Starts a process and opens the engine in it.
async fn start(
    source: &Source,
    launch: &Launch,
    patience: Patience,
    progress: &Progress,
) -> Result<(Process, ModelInfo), Unopened> {
    let engine = |reason: String, out_of_memory| Unopened { error: OpenError::Engine { reason }, out_of_memory };
    let mut process = Process::start(launch)
        .map_err(|error| engine(format!("{} cannot be started: {error}", launch.program.display()), false))?;
    let limit = patience.load + source.reading_time();
    let why = match timeout(limit, opened(&mut process, source, progress)).await {
        Ok(Some(Report::Opened(info))) => return Ok((process, info)),
        Ok(Some(Report::NotOpened { what, hint, memory, reason })) => {
            return Err(Unopened { error: OpenError::Elsewhere { what, hint, reason }, out_of_memory: memory });
        }
        Ok(Some(_)) => Some("it broke the rules of its pipe".to_owned()),
        Ok(None) => None,
        Err(_) => Some(format!("it did not load the model within {} s", limit.as_secs())),
    };
    let End { reason, out_of_memory, .. } = process.end(why).await;
    Err(engine(reason, out_of_memory))
}

/// What became of opening; none when the process ended.
async fn opened(process: &mut Process, source: &Source, progress: &Progress) -> Option<Report> {
    let mut outbox = Outbox::default();
    let log = tracing::level_filters::LevelFilter::current().to_string();
    outbox.put(&Order::Open { source: source.clone(), log }).ok()?;
    while !outbox.rest().is_empty() {
        process::write(&mut process.mouth, &mut outbox).await.ok()?;
    }
    loop {
        match process.ears.inbox.next() {
            Ok(Some(Report::Beat { .. })) => {}
            Ok(Some(Report::Opening(permille))) => progress.reach(permille),
            Ok(Some(report)) => return Some(report),
            // Whatever it is that comes, it is not the answer.
            Err(_) => return Some(Report::Beat { pulse: 0 }),
            Ok(None) => {
                let count = process.ears.read().await.ok()?;
                if count == 0 {
                    return None;
                }
            }
        }
    }
}
