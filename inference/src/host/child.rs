//! The process of an engine, from inside: orders come on stdin, reports go out on stdout, until stdin ends.
//!
//! This is a program's whole life, so it has the threads of one: the engine's with its ordinary runner, one that reads
//! stdin, and the main one between them. The last two never wait for the engine, so the process can tell that it
//! lives, and end with its parent, while a step hangs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::frame::{LoadShown, Order, Outbox, Report};
use crate::handle::Work;
use crate::{Handle, Load, OpenError, Progress, Reason, Source};

mod surroundings;

/// How often it says that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// Orders and outputs that may wait; a bound, not a size: what comes further waits where it is.
const QUEUE: usize = 256;
/// For what a dead engine still has to say.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves as the process of one engine until its parent is gone. Nothing else may have touched stdin and stdout.
pub fn serve() -> ExitCode {
    surroundings::quiet_panics();
    surroundings::crash_at_once();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Ok(out), Ok(runtime)) = (surroundings::take_stdout(), runtime) else { return ExitCode::FAILURE };
    let (orders_in, orders) = mpsc::channel(QUEUE);
    let reader = std::thread::Builder::new().name("orders".into());
    if reader.spawn(move || surroundings::read_orders(&orders_in)).is_err() {
        return ExitCode::FAILURE;
    }
    // An error means that nobody reads any more.
    match runtime.block_on(live(orders, out)) {
        Ok(code) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn live(mut orders: mpsc::Receiver<Order>, out: File) -> io::Result<ExitCode> {
    let _deaf = surroundings::ignore_signals();
    let Some(Order::Open { source, log }) = orders.recv().await else { return Ok(ExitCode::FAILURE) };
    surroundings::log_to_stderr(&log);
    let mut wire = Wire { out, outbox: Outbox::default(), beats: interval(BEAT) };
    wire.beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let progress = Progress::new();
    let (opened, ended) = start(source, progress.clone())?;
    let handle = match wire.wait_for(opened, progress.seen()).await? {
        Some(Ok(handle)) => handle,
        Some(Err(error)) => {
            let (what, hint) = (error.to_string(), error.hint().to_owned());
            let memory = matches!(error, OpenError::Engine { .. } | OpenError::Memory { .. });
            let reason = if memory { Reason::Memory } else { error.reason() };
            wire.send(&Report::NotOpened { what, hint, memory, reason })?;
            return Ok(ExitCode::SUCCESS);
        }
        None => {
            let what = "the engine cannot start: it panicked".to_owned();
            let (hint, reason) = (String::new(), Reason::Other);
            wire.send(&Report::NotOpened { what, hint, memory: false, reason })?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    wire.send(&Report::Opened(handle.info().clone()))?;
    Bridge::new(handle, wire).run(orders, ended).await?;
    Ok(ExitCode::FAILURE)
}

type Opened = oneshot::Receiver<Result<Handle, OpenError>>;

/// Opens the engine on its thread; the second one hears of the thread's end.
fn start(source: Source, progress: Progress) -> io::Result<(Opened, oneshot::Receiver<()>)> {
    let (reply, opened) = oneshot::channel();
    let (alive, ended) = oneshot::channel::<()>();
    let run = move || {
        let _alive = alive;
        match crate::open_with(&source, &progress) {
            Ok((handle, runner)) => {
                if reply.send(Ok(handle)).is_ok() {
                    runner.run();
                }
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    };
    std::thread::Builder::new().name("engine".into()).spawn(run)?;
    Ok((opened, ended))
}

/// The way out.
struct Wire {
    out: File,
    outbox: Outbox,
    beats: Interval,
}

impl Wire {
    fn put(&mut self, report: &Report) -> io::Result<()> {
        self.outbox.put(report).map_err(io::Error::other)
    }

    /// Writes everything, in one go. Blocks, but not for long: the other side always reads.
    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(self.outbox.rest())?;
        self.outbox.wrote(self.outbox.rest().len());
        Ok(())
    }

    fn send(&mut self, report: &Report) -> io::Result<()> {
        self.put(report)?;
        self.flush()
    }

    /// Waits, and says meanwhile that it lives.
    async fn wait_for<T>(
        &mut self,
        mut what: oneshot::Receiver<T>,
        mut progress: watch::Receiver<u32>,
    ) -> io::Result<Option<T>> {
        loop {
            tokio::select! {
                got = &mut what => return Ok(got.ok()),
                _ = self.beats.tick() => self.send(&Report::Beat { pulse: 0 })?,
                Ok(()) = progress.changed() => {
                    let permille = *progress.borrow_and_update();
                    self.send(&Report::Opening(permille))?;
                }
            }
        }
    }
}

/// Between the pipe and the engine's handle. Each job is a task on this thread, which waits for credit, while nobody
/// else does.
struct Bridge {
    handle: Handle,
    load: watch::Receiver<Load>,
    /// As it was told.
    told: Load,
    wire: Wire,
    jobs: HashMap<u64, Tended>,
    outputs: mpsc::Sender<Report>,
    ready: mpsc::Receiver<Report>,
}

/// A job that is tended.
struct Tended {
    credit: Arc<Semaphore>,
    task: AbortHandle,
}

impl Bridge {
    fn new(handle: Handle, wire: Wire) -> Self {
        let (outputs, ready) = mpsc::channel(QUEUE);
        let (load, told, jobs) = (handle.load(), Load::default(), HashMap::new());
        Self { handle, load, told, wire, jobs, outputs, ready }
    }

    /// Until the engine ends or nobody reads.
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, mut ended: oneshot::Receiver<()>) -> io::Result<()> {
        let mut reports = Vec::with_capacity(QUEUE);
        loop {
            tokio::select! {
                Some(order) = orders.recv() => self.obey(order),
                _ = self.ready.recv_many(&mut reports, QUEUE) => self.report(&mut reports)?,
                Ok(()) = self.load.changed() => self.report(&mut reports)?,
                _ = self.wire.beats.tick() => self.beat()?,
                _ = &mut ended => break,
            }
        }
        // Each answer has its end now, if its reader keeps up.
        let rest = async {
            while !self.jobs.is_empty() {
                self.ready.recv_many(&mut reports, QUEUE).await;
                self.report(&mut reports)?;
            }
            self.report(&mut reports)
        };
        timeout(LAST_WORDS, rest).await.unwrap_or(Ok(()))
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Job { id, outputs, work } => {
                let credit = Arc::new(Semaphore::new(outputs as usize));
                let tend = tend(self.handle.clone(), id, work, Arc::clone(&credit), self.outputs.clone());
                let task = tokio::spawn(tend).abort_handle();
                self.jobs.insert(id, Tended { credit, task });
            }
            Order::Credit { id, outputs } => {
                if let Some(job) = self.jobs.get(&id) {
                    job.credit.add_permits(outputs as usize);
                }
            }
            Order::Cancel { id } => {
                if let Some(job) = self.jobs.remove(&id) {
                    job.task.abort();
                }
            }
            // Once only; a second one is not worth an end.
            Order::Open { .. } => {}
        }
    }

    /// Tells what happened, the load before all: whoever hears of an answer finds it counted.
    fn report(&mut self, reports: &mut Vec<Report>) -> io::Result<()> {
        let load = self.load.borrow_and_update().clone();
        let counts = |load: &Load| (load.running, load.slots_free, load.alive);
        if counts(&load) != counts(&self.told) || load.prefixes != self.told.prefixes {
            self.tell(load)?;
        }
        for report in reports.drain(..) {
            match &report {
                Report::Output { id, output } if output.is_end() => drop(self.jobs.remove(id)),
                Report::Refused { id, .. } => drop(self.jobs.remove(id)),
                _ => {}
            }
            self.wire.put(&report)?;
        }
        self.wire.flush()
    }

    /// Speeds change with each step and are told with each beat only.
    fn beat(&mut self) -> io::Result<()> {
        let load = self.load.borrow_and_update().clone();
        if load != self.told {
            self.tell(load)?;
        }
        self.wire.send(&Report::Beat { pulse: self.handle.pulse() })
    }

    fn tell(&mut self, load: Load) -> io::Result<()> {
        self.wire.put(&Report::Load(LoadShown::new(&load, &self.told)))?;
        self.told = load;
        Ok(())
    }
}

/// One job, from its admission to its end. Aborted when nobody waits for it any more, which frees its slot.
async fn tend(handle: Handle, id: u64, work: Work, credit: Arc<Semaphore>, reports: mpsc::Sender<Report>) {
    let admitted = handle.ask_patiently(work).await;
    // Or this task would keep an engine that everybody else has left.
    drop(handle);
    let mut generation = match admitted {
        Ok(generation) => generation,
        Err(refused) => return drop(reports.send(Report::Refused { id, refused }).await),
    };
    let mut report = Report::Accepted { id };
    while reports.send(report).await.is_ok() {
        let Some(output) = generation.next().await else { return };
        if !output.is_end() {
            let Ok(one) = credit.acquire().await else { return };
            one.forget();
        }
        report = Report::Output { id, output };
    }
}
