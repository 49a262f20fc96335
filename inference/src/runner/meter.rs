//! Measured speeds, smoothed: what an answer got lately, from the moment it ran.

use std::time::Duration;

/// Weight of a new measurement. The last ten or so make the figure.
const WEIGHT: f64 = 0.2;

/// Tokens per second and answer; 0 until measured.
#[derive(Default)]
pub(super) struct Meter {
    prefill: f64,
    decode: f64,
}

impl Meter {
    pub(super) fn add_prefill(&mut self, tokens: u32, time: Duration) {
        self.prefill = smooth(self.prefill, tokens, time);
    }

    pub(super) fn add_decode(&mut self, tokens: u32, time: Duration) {
        self.decode = smooth(self.decode, tokens, time);
    }

    pub(super) fn prefill(&self) -> f64 {
        self.prefill
    }

    pub(super) fn decode(&self) -> f64 {
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
}
