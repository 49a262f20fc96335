//! Jobs as their readers see them: how many run and wait, how they end, how long the first token takes.

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::{Duration, Instant},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use starling_protocol::{message::Usage, swarm::Path};

use super::{
    genai::{self, GenAi},
    totals::Totals,
};
use crate::{
    dispatch::{AnswerEvent, DispatchError},
    figures::Reading,
    turn,
};

/// Seconds to the first token: from a small model that is near to a long prompt on a slow CPU.
const FIRST_TOKEN_SECONDS: [f64; 12] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// How an answer ended: a fixed set of words, so that no series is made of what a stranger says.
type Outcome = [(&'static str, &'static str); 1];

/// The path that an answer goes over to.
type Target = [(&'static str, &'static str); 1];

/// Why an answer left its node.
type Reason = [(&'static str, &'static str); 1];

/// The counts of all jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs {
    running: Gauge<i64, AtomicI64>,
    waiting: Gauge<i64, AtomicI64>,
    answers: Family<Outcome, Counter>,
    tokens: Counter,
    first_token: Histogram,
    moves: Family<Target, Counter>,
    resumes: Family<Outcome, Counter>,
    continued: Family<Reason, Counter>,
    hedges: Family<Outcome, Counter>,
    warmed: Family<Outcome, Counter>,
    gen_ai: GenAi,
    totals: Arc<Totals>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            running: Gauge::default(),
            waiting: Gauge::default(),
            answers: Family::default(),
            tokens: Counter::default(),
            first_token: Histogram::new(FIRST_TOKEN_SECONDS),
            moves: Family::default(),
            resumes: Family::default(),
            continued: Family::default(),
            hedges: Family::default(),
            warmed: Family::default(),
            gen_ai: GenAi::default(),
            totals: Arc::default(),
        }
    }
}

impl Jobs {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("jobs_running", "Jobs that were begun and have not ended", self.running.clone());
        registry.register("jobs_waiting", "Of these, jobs that wait for a free slot", self.waiting.clone());
        registry.register("answers", "Answers by how they ended", self.answers.clone());
        registry.register("answer_tokens", "Tokens that came back from nodes", self.tokens.clone());
        let help = "From the question to the first token, in seconds";
        registry.register("first_token_seconds", help, self.first_token.clone());
        let help = "Answers that went over to another kind of path in their midst";
        registry.register("job_moves", help, self.moves.clone());
        let help = "Answers whose stream broke, by what became of them";
        registry.register("job_resumes", help, self.resumes.clone());
        let help = "Answers that left their node in their midst, by why";
        registry.register("answers_continued", help, self.continued.clone());
        let help = "Second attempts beside one that had gone silent: begun, and of these, won";
        registry.register("hedges", help, self.hedges.clone());
        let help = "Idle nodes that have computed an answer in case it has to go on there, and of these, used";
        registry.register("warmings", help, self.warmed.clone());
    }

    pub(super) fn register_gen_ai(&self, registry: &mut Registry) {
        self.gen_ai.register(registry);
    }

    /// An answer goes on over this path.
    pub(crate) fn moved(&self, to: Path) {
        let to = match to {
            Path::Direct => "direct",
            Path::Relayed => "relayed",
        };
        self.moves.get_or_create(&[("to", to)]).inc();
    }

    /// An answer's stream broke, and this came of it.
    pub(crate) fn resumed(&self, outcome: &'static str) {
        self.resumes.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// An answer that has begun leaves its node, for this reason.
    pub(crate) fn continued(&self, reason: &'static str) {
        self.continued.get_or_create(&[("reason", reason)]).inc();
    }

    /// A second attempt is `begun` beside one that is silent, or has `won`.
    pub(crate) fn hedged(&self, outcome: &'static str) {
        self.hedges.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A node was warmed for an answer (`done`), or the answer went on there (`used`).
    pub(crate) fn warmed(&self, outcome: &'static str) {
        self.warmed.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// All of it as plain numbers.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let now = |gauge: &Gauge<i64, AtomicI64>| u32::try_from(gauge.get()).unwrap_or(0);
        Reading {
            running: now(&self.running),
            waiting: now(&self.waiting),
            tokens: self.tokens.get(),
            ..self.totals.reading()
        }
    }

    /// A job begins: what it is for, in OpenTelemetry's words, and what its model is called, if anybody serves it.
    #[must_use]
    pub fn begin(&self, operation: &'static str, model: Option<String>) -> Meter {
        self.running.inc();
        Meter {
            jobs: self.clone(),
            began: Instant::now(),
            waits: false,
            operation,
            model,
            begun: false,
            first: None,
            usage: None,
            outcome: None,
            broken: false,
        }
    }
}

/// Watches one job go by; when it is dropped the job is over.
#[derive(Debug)]
pub struct Meter {
    jobs: Jobs,
    began: Instant,
    waits: bool,
    operation: &'static str,
    model: Option<String>,
    /// A node has begun it.
    begun: bool,
    first: Option<Duration>,
    usage: Option<Usage>,
    outcome: Option<&'static str>,
    /// By no fault of who asked.
    broken: bool,
}

impl Meter {
    /// What the job's reader gets next.
    pub fn see(&mut self, event: &Result<AnswerEvent, DispatchError>) {
        self.wait(matches!(event, Ok(AnswerEvent::Waiting(_))));
        match event {
            // Another attempt at it is the same answer.
            Ok(AnswerEvent::Started { placement, .. }) if !std::mem::replace(&mut self.begun, true) => {
                self.jobs.totals.begun(placement.relayed);
            }
            Ok(AnswerEvent::Piece { tokens, .. }) => {
                if self.first.is_none() {
                    self.jobs.totals.first_token(self.began.elapsed());
                }
                self.first();
                self.jobs.tokens.inc_by(tokens.len() as u64);
            }
            Ok(AnswerEvent::Vectors(_)) => self.first(),
            Ok(AnswerEvent::Done(done)) => {
                self.outcome = Some("done");
                self.usage = Some(done.usage);
            }
            Ok(_) => {}
            Err(error) => {
                self.outcome = Some(turn::code(error));
                self.broken = !matches!(error, DispatchError::Invalid { .. } | DispatchError::PromptTooLong { .. });
            }
        }
    }

    fn first(&mut self) {
        if self.first.is_none() {
            let after = *self.first.insert(self.began.elapsed());
            self.jobs.first_token.observe(after.as_secs_f64());
        }
    }

    fn wait(&mut self, waits: bool) {
        match (std::mem::replace(&mut self.waits, waits), waits) {
            (false, true) => drop(self.jobs.waiting.inc()),
            (true, false) => drop(self.jobs.waiting.dec()),
            _ => {}
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.wait(false);
        self.jobs.running.dec();
        // Without an end its reader has left, or stopped it.
        let outcome = [("outcome", self.outcome.unwrap_or("left"))];
        self.jobs.answers.get_or_create(&outcome).inc();
        self.jobs.totals.ended(self.broken);
        self.jobs.gen_ai.observe(&genai::Job {
            operation: self.operation,
            model: self.model.as_deref(),
            took: self.began.elapsed(),
            first_token: self.first,
            usage: self.usage,
            error: (self.outcome != Some("done")).then(|| self.outcome.unwrap_or("left")),
        });
    }
}
