//! Measured speeds, smoothed: what an answer got lately, from the moment it ran.

use std::time::{Duration, Instant};

/// Weight of a new measurement. The last ten or so make the figure.
const WEIGHT: f64 = 0.2;

/// Time over which the throughput is taken: many tokens, and soon enough to be current.
const THROUGHPUT_WINDOW: Duration = Duration::from_secs(1);

/// Tokens per second and answer; 0 until measured.
#[derive(Default)]
pub(crate) struct Meter {
    prefill: f64,
    decode: f64,
    throughput: f64,
    /// Where the throughput is measured from, and tokens since.
    window: Option<(Instant, u32)>,
}

impl Meter {
    pub(crate) fn add_prefill(&mut self, tokens: u32, time: Duration) {
        self.prefill = smooth(self.prefill, tokens, time);
    }

    pub(crate) fn add_decode(&mut self, tokens: u32, time: Duration) {
        self.decode = smooth(self.decode, tokens, time);
    }

    /// Counts what a step gave to all answers together.
    pub(crate) fn add_given(&mut self, tokens: usize, now: Instant) {
        let (since, given) = self.window.get_or_insert((now, 0));
        *given = given.saturating_add(u32::try_from(tokens).unwrap_or(u32::MAX));
        let time = now.duration_since(*since);
        if time >= THROUGHPUT_WINDOW {
            self.throughput = f64::from(*given) / time.as_secs_f64();
            self.window = Some((now, 0));
        }
    }

    /// Nothing runs any more.
    pub(crate) fn rest(&mut self) {
        self.throughput = 0.0;
        self.window = None;
    }

    pub(crate) fn throughput(&self) -> f64 {
        self.throughput
    }

    pub(crate) fn prefill(&self) -> f64 {
        self.prefill
    }

    pub(crate) fn decode(&self) -> f64 {
        self.decode
    }
}

fn smooth(before: f64, tokens: u32, time: Duration) -> f64 {
    // A clock that did not move would make the speed infinite.
    let now = f64::from(tokens) / time.as_secs_f64().max(1e-6);
    if before == 0.0 { now } else { before + WEIGHT * (now - before) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_measurement_counts_whole_and_later_ones_smooth() {
        let mut meter = Meter::default();
        meter.add_decode(50, Duration::from_secs(1));
        assert_eq!((meter.prefill(), meter.decode()), (0.0, 50.0));
        meter.add_decode(100, Duration::from_secs(1));
        assert_eq!(meter.decode(), 60.0);
        meter.add_prefill(10, Duration::ZERO);
        assert!(meter.prefill().is_finite());
    }
    #[test]
    fn the_throughput_is_that_of_the_last_second_and_of_nobody_at_rest() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        for step in 0..=20 {
            meter.add_given(4, start + Duration::from_millis(100) * step);
        }
        assert_eq!(meter.throughput(), 40.0);
        meter.rest();
        assert_eq!(meter.throughput(), 0.0);
    }
}
