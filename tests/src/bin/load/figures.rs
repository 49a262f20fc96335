//! What is made of the arrival times.

use std::time::Duration;

use serde_json::{Value, json};
use starling_tests::figures::percentile;

use crate::Answer;

/// A stream is starved when a token lets it wait longer than this, or …
const STARVED: Duration = Duration::from_secs(1);
/// … longer than this many times the usual gap.
const STARVED_GAPS: u32 = 10;

/// All figures of a run, in milliseconds.
pub(crate) fn times(answers: &[Answer], wall: Duration) -> Value {
    let first = answers.iter().filter_map(|answer| Some(*answer.arrivals.first()? - answer.started));
    let gaps = sorted(answers.iter().flat_map(Answer::gaps));
    let limit = STARVED.min(percentile(&gaps, 50) * STARVED_GAPS);
    let starved = answers.iter().filter(|answer| answer.gaps().any(|gap| gap > limit)).count();
    let tokens: usize = answers.iter().map(|answer| answer.arrivals.len()).sum();
    json!({
        "answers": answers.len(),
        "first_token_ms": spread(&sorted(first)),
        "gap_ms": spread(&gaps),
        "starved": starved,
        "tokens": tokens,
        "tokens_per_second": tokens as f64 / wall.as_secs_f64(),
        "wall_seconds": wall.as_secs_f64(),
    })
}

pub(crate) fn sorted(durations: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut sorted: Vec<Duration> = durations.collect();
    sorted.sort_unstable();
    sorted
}

/// In milliseconds.
pub(crate) fn spread(sorted: &[Duration]) -> Value {
    let ms = |percent| percentile(sorted, percent).as_secs_f64() * 1e3;
    json!({"p50": ms(50), "p99": ms(99), "max": ms(100)})
}
