//! A small steady load: each asker asks again as soon as it has its answer.

use std::time::Duration;

use serde_json::{Value, json};
use starling_tests::figures::percentile;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;

/// Tries at one question, as a careful client would make.
const TRIES: usize = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// Failures told in words.
const TOLD: usize = 5;

/// What became of the questions.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answered in full at the first try.
    pub(crate) whole: usize,
    /// Answered in full after an error that said so.
    pub(crate) retried: usize,
    /// Not answered at any try.
    pub(crate) failed: usize,
    /// Answered, and not with what the model says: the one thing that must never happen.
    pub(crate) wrong: usize,
    /// How long the first token of each whole answer took.
    first_tokens: Vec<Duration>,
    /// The first errors.
    errors: Vec<String>,
}

/// Askers at work.
pub(crate) struct Load {
    askers: JoinSet<Tally>,
    stop: CancellationToken,
}

impl Load {
    pub(crate) fn start(askers: usize, gateway: &Gateway, expected: &str) -> Self {
        let (mut all, stop) = (JoinSet::new(), CancellationToken::new());
        for _ in 0..askers {
            all.spawn(ask(gateway.clone(), expected.to_owned(), stop.clone()));
        }
        Self { askers: all, stop }
    }

    /// Lets the last answers end and says what became of all.
    pub(crate) async fn end(self) -> Tally {
        self.stop.cancel();
        self.askers.join_all().await.into_iter().fold(Tally::default(), Tally::and)
    }
}

async fn ask(gateway: Gateway, expected: String, stop: CancellationToken) -> Tally {
    let mut tally = Tally::default();
    while !stop.is_cancelled() {
        for attempt in 1..=TRIES {
            match gateway.ask().await {
                Ok(answer) if answer.text != expected => tally.wrong += 1,
                Ok(answer) if attempt == 1 => {
                    tally.whole += 1;
                    tally.first_tokens.extend(answer.first_token);
                }
                Ok(_) => tally.retried += 1,
                Err(error) => {
                    tally.errors.push(format!("{error:#}"));
                    tally.errors.truncate(TOLD);
                    tally.failed += usize::from(attempt == TRIES);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            break;
        }
    }
    tally
}

impl Tally {
    fn and(mut self, other: Self) -> Self {
        self.whole += other.whole;
        self.retried += other.retried;
        self.failed += other.failed;
        self.wrong += other.wrong;
        self.first_tokens.extend(other.first_tokens);
        self.errors.extend(other.errors);
        self.errors.truncate(TOLD);
        self
    }

    pub(crate) fn json(&self) -> Value {
        let Self { whole, retried, failed, wrong, errors, first_tokens } = self;
        let mut times = first_tokens.clone();
        times.sort_unstable();
        let ms = |percent| percentile(&times, percent).as_secs_f64() * 1e3;
        json!({
            "whole": whole, "retried": retried, "failed": failed, "wrong": wrong, "errors": errors,
            "first_token_ms": {"p50": ms(50), "p95": ms(95), "max": ms(100)},
        })
    }
}
