//! Keeps running answers in the database while they grow, so that a gateway that dies loses no more than a moment.
//!
//! One task does it for all of them and reads what their tasks show: no token ever waits for the disk. A database
//! that is slow or locked costs only how much of an answer would be found again.

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Turns;
use crate::{id::TurnId, store::progress::Progress};

/// How often it looks at what runs.
const LOOK: Duration = Duration::from_millis(250);
/// What is new is kept after this long,
const KEEP_EVERY: Duration = Duration::from_millis(750);
/// or when it is so many tokens.
const KEEP_TOKENS: usize = 64;
/// In one transaction, in bytes and answers: a question that waits for the one connection that writes is not held up
/// for longer than this takes.
const BATCH_BYTES: usize = 1 << 20;
const BATCH: usize = 128;

/// What was last kept of each running answer. Has no clock.
#[derive(Default)]
struct Kept(HashMap<TurnId, Point>);

/// How far an answer had come, and when.
#[derive(Clone, Copy)]
struct Point {
    tokens: usize,
    attempts: u32,
    at: Instant,
}

impl Turns {
    /// Keeps what runs, until it is told to stop.
    pub async fn keep(self, stop: CancellationToken) {
        let (mut kept, mut works) = (Kept::default(), true);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let running = self.seats.running();
            kept.forget(|turn| running.iter().any(|(runs, _)| runs == turn));
            let now = Instant::now();
            let due: Vec<_> =
                running.into_iter().filter(|(turn, shown)| kept.is_due(*turn, &shown.progress.borrow(), now)).collect();
            let mut due = due.into_iter().map(|(turn, shown)| (turn, shown.progress.borrow().clone()));
            loop {
                let batch = batch(&mut due);
                if batch.is_empty() {
                    break;
                }
                let result = self.store.keep(&batch).await;
                said(&mut works, &result);
                let Ok(not_kept) = result else { break };
                self.leave_what_is_given_elsewhere(&not_kept).await;
                batch.iter().for_each(|(turn, progress)| kept.note(*turn, progress, now));
            }
        }
    }
}

impl Kept {
    fn is_due(&self, turn: TurnId, progress: &Progress, now: Instant) -> bool {
        let Some(last) = self.0.get(&turn) else { return !progress.tokens.is_empty() || progress.attempts > 0 };
        let new = progress.tokens.len() - last.tokens.min(progress.tokens.len());
        let attempted = progress.attempts != last.attempts;
        attempted || new >= KEEP_TOKENS || (new > 0 && now.duration_since(last.at) >= KEEP_EVERY)
    }

    fn note(&mut self, turn: TurnId, progress: &Progress, at: Instant) {
        self.0.insert(turn, Point { tokens: progress.tokens.len(), attempts: progress.attempts, at });
    }

    fn forget(&mut self, runs: impl Fn(&TurnId) -> bool) {
        self.0.retain(|turn, _| runs(turn));
    }
}

/// As many as one transaction takes.
fn batch(due: impl Iterator<Item = (TurnId, Progress)>) -> Vec<(TurnId, Progress)> {
    let (mut batch, mut bytes) = (vec![], 0);
    for next in due {
        bytes += next.1.bytes();
        batch.push(next);
        if bytes >= BATCH_BYTES || batch.len() >= BATCH {
            break;
        }
    }
    batch
}

/// Says once that it fails, and once that it works again.
fn said<T, E: std::fmt::Display>(works: &mut bool, result: &Result<T, E>) {
    match (result, *works) {
        (Err(error), true) => {
            tracing::warn!(%error, "running answers go on, but cannot be kept: a restart now would lose the last of them");
        }
        (Ok(_), false) => tracing::info!("running answers are kept again"),
        _ => {}
    }
    *works = result.is_ok();
}

#[cfg(test)]
mod tests {
    use starling_protocol::{JobId, ModelId};

    use super::*;

    fn progress(tokens: usize, attempts: u32) -> Progress {
        let fresh = Progress::new(JobId::generate(), ModelId::new([0; 32]), String::new(), None);
        Progress { tokens: vec![7; tokens], attempts, ..fresh }
    }

    #[test]
    fn what_is_new_is_kept_soon_and_not_with_every_token() {
        let (mut kept, turn, start) = (Kept::default(), TurnId::generate(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!kept.is_due(turn, &progress(0, 0), start), "the question has made its row");
        assert!(kept.is_due(turn, &progress(0, 1), start), "that a node was asked is worth knowing");
        kept.note(turn, &progress(1, 1), start);
        for (tokens, attempts, ms, due) in [
            (1, 1, 9_000, false),
            (2, 1, 700, false),
            (2, 1, 800, true),
            (64, 1, 1, false),
            (65, 1, 1, true),
            (1, 2, 1, true),
        ] {
            assert_eq!(kept.is_due(turn, &progress(tokens, attempts), at(ms)), due, "{tokens} after {ms} ms");
        }
        kept.forget(|_| false);
        assert!(kept.0.is_empty(), "what has ended is not remembered");
    }

    #[test]
    fn a_transaction_is_bounded() {
        let small = || (TurnId::generate(), progress(1, 1));
        assert_eq!(batch((0..BATCH + 1).map(|_| small())).len(), BATCH);
        let large = || (TurnId::generate(), progress(BATCH_BYTES / 8, 1));
        assert_eq!(batch((0..9).map(|_| large())).len(), 2);
        assert!(batch(std::iter::empty()).is_empty());
    }
}
