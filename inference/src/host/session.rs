//! The life of one process of an engine: jobs go in, outputs come out, until it ends or nobody wants it any more.

use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::blame::{Blame, Mark};
use super::frame::{Inbox, Outbox, Report};
use super::jobs::{Jobs, Nonsense, Open};
use super::process::{self, Ears, Process};
use super::shown::Shown;
use super::watch::{Came, Health, Patience, Watchdog};
use crate::handle::Job;
use crate::{Failure, Output, Refused};

/// How often a process is looked after.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes that may wait to be written before no more jobs are taken.
const MAX_WAITING: usize = 8 << 20;
/// For what a process wrote before it closed its ear.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Why a session is over.
#[derive(Debug)]
pub(super) enum Over {
    /// Every handle was dropped and no answer runs.
    Abandoned,
    /// The process ended, or closed its pipes.
    Ended,
    /// It has to be ended: it hangs.
    Hung,
    /// It has to be ended: it sent what makes no sense.
    Nonsense(String),
}

/// What a session works with besides its process.
pub(super) struct Desk<'a> {
    pub(super) incoming: &'a mut mpsc::Receiver<Job>,
    pub(super) bell: &'a Notify,
    pub(super) shown: &'a mut Shown,
    pub(super) blame: &'a mut Blame,
}

/// What a session leaves.
pub(super) struct Rest {
    /// What still ran.
    pub(super) jobs: Jobs,
    /// How far the engine came.
    pub(super) came: Came,
    /// Why it ended, where it could say.
    pub(super) last_words: Option<String>,
    /// The request that is to blame, where there was only one.
    pub(super) suspect: Option<Mark>,
}

/// State of one process.
pub(super) struct Session<'a> {
    desk: Desk<'a>,
    jobs: Jobs,
    outbox: Outbox,
    dog: Watchdog,
    came: Came,
    last_words: Option<String>,
    /// The only request that ran when the engine ended, if that was so; known once an answer failed for it.
    suspect: Option<Option<Mark>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(desk: Desk<'a>, patience: Patience) -> Self {
        let (jobs, outbox, dog) = (Jobs::default(), Outbox::default(), Watchdog::new(patience, Instant::now()));
        Self { desk, jobs, outbox, dog, came: Came::Open, last_words: None, suspect: None }
    }

    pub(super) async fn run(&mut self, process: &mut Process) -> Over {
        let Process { mouth, ears, .. } = process;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut abandoned = false;
        while !(abandoned && self.jobs.len() == 0) {
            let room = !abandoned && self.outbox.rest().len() < MAX_WAITING;
            let done = tokio::select! {
                read = ears.read() => self.hear(read.unwrap_or(0), &mut ears.inbox),
                wrote = process::write(mouth, &mut self.outbox), if !self.outbox.rest().is_empty() => match wrote {
                    Ok(()) => Ok(()),
                    Err(_) => Err(self.last_words(ears).await),
                },
                job = self.desk.incoming.recv(), if room => {
                    match job {
                        Some(job) => self.take(job),
                        None => abandoned = true,
                    }
                    Ok(())
                }
                () = self.desk.bell.notified() => self.jobs.look(&mut self.outbox).map_err(nonsense),
                _ = looks.tick() => self.look(),
            };
            if let Err(over) = done {
                return over;
            }
        }
        Over::Abandoned
    }

    /// What is left of it.
    pub(super) fn finish(self) -> Rest {
        let suspect = self.suspect.unwrap_or_else(|| self.jobs.alone());
        Rest { jobs: self.jobs, came: self.came, last_words: self.last_words, suspect }
    }

    fn take(&mut self, job: Job) {
        if job.reader.is_gone() {
            return;
        }
        if self.last_words.is_some() {
            return job.refuse(Refused::Restarting);
        }
        let mark = self.desk.blame.mark(&job.work);
        if let Err(refused) = self.desk.blame.check(&job.work, mark) {
            return job.refuse(refused);
        }
        // Some seats may not have been taken away yet.
        if self.jobs.len() >= self.desk.shown.slots() as usize {
            return job.refuse(Refused::Busy);
        }
        self.jobs.start(job, mark, &mut self.outbox);
    }

    fn hear(&mut self, count: usize, inbox: &mut Inbox) -> Result<(), Over> {
        if count == 0 {
            return Err(Over::Ended);
        }
        self.dog.heard(Instant::now());
        while let Some(report) = inbox.next().map_err(|error| Over::Nonsense(format!("it sent {error}")))? {
            self.report(report)?;
        }
        Ok(())
    }

    fn report(&mut self, report: Report) -> Result<(), Over> {
        match report {
            Report::Accepted { id } => self.jobs.accepted(id),
            Report::Refused { id, refused: Refused::Stopped } => self.end(id, Output::Failed(self.died())),
            Report::Refused { id, refused } => {
                let Some(open) = self.close(id) else { return Ok(()) };
                open.refuse(refused);
            }
            Report::Output { id, output } if output.is_end() => self.end(id, output),
            Report::Output { id, output } => {
                if !matches!(output, Output::Started { .. }) {
                    self.came = Came::Serving;
                }
                self.jobs.output(id, output, &mut self.outbox).map_err(nonsense)?;
            }
            Report::Load(load) => {
                if load.alive {
                    self.desk.shown.said(load, self.jobs.len());
                } else {
                    // Its process ends in a moment; whoever hears of it and asks again must not be sent there.
                    self.desk.shown.down(load.trouble.clone());
                    self.last_words = Some(load.trouble);
                }
            }
            Report::Beat { pulse } => self.dog.beat(pulse, Instant::now()),
            Report::Opened(_) | Report::NotOpened { .. } | Report::Opening(_) => return Err(nonsense(Nonsense)),
        }
        Ok(())
    }

    /// An answer is over.
    fn end(&mut self, id: u64, output: Output) {
        match &output {
            Output::Failed(Failure::OutOfMemory) => self.out_of_memory(),
            Output::Failed(Failure::EngineDied { .. }) => {
                self.suspect.get_or_insert(self.jobs.alone());
            }
            _ => self.came = Came::Serving,
        }
        if let Some(open) = self.close(id) {
            open.end(output);
        }
    }

    /// Takes a job out and shows that it is gone.
    fn close(&mut self, id: u64) -> Option<Open> {
        let open = self.jobs.close(id)?;
        self.desk.shown.show(self.jobs.len());
        Some(open)
    }

    fn out_of_memory(&mut self) {
        if self.desk.shown.out_of_memory(Instant::now(), self.jobs.len()) {
            tracing::warn!(slots = self.desk.shown.slots(), "the engine ran out of memory: it gets fewer slots");
        }
    }

    fn look(&mut self) -> Result<(), Over> {
        let health = self.dog.look(Instant::now());
        self.desk.shown.doubt(health == Health::Doubtful, self.jobs.len());
        if health == Health::Hung { Err(Over::Hung) } else { Ok(()) }
    }

    /// It does not listen any more; perhaps it said why.
    async fn last_words(&mut self, ears: &mut Ears) -> Over {
        while let Ok(Ok(count)) = timeout(LAST_WORDS, ears.read()).await {
            if let Err(over) = self.hear(count, &mut ears.inbox) {
                return over;
            }
        }
        Over::Ended
    }

    fn died(&self) -> Failure {
        Failure::EngineDied { reason: self.last_words.clone().unwrap_or_else(|| "it stopped".to_owned()) }
    }
}

fn nonsense(_: Nonsense) -> Over {
    Over::Nonsense("it broke the rules of its pipe".to_owned())
}
