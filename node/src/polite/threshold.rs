//! Whether a figure is over its limit, for long enough and with a gap between on and off: a state machine that is told
//! the time.

use std::time::{Duration, Instant};

/// A limit.
#[derive(Debug)]
pub(crate) struct Threshold {
    /// At or over this for `hold`, it is over.
    on: u32,
    /// Under this for `hold`, it is not any more.
    off: u32,
    hold: Duration,
    is_over: bool,
    /// Since when it says the opposite.
    other_since: Option<Instant>,
}

impl Threshold {
    pub(crate) fn new(on: u32, gap: u32, hold: Duration) -> Self {
        Self { on, off: on.saturating_sub(gap), hold, is_over: false, other_since: None }
    }

    /// Another value; what is not known is not over.
    pub(crate) fn see(&mut self, value: Option<u32>, now: Instant) -> bool {
        let value = value.unwrap_or(0);
        let says_other = if self.is_over { value < self.off } else { value >= self.on };
        if !says_other {
            self.other_since = None;
        } else if now.saturating_duration_since(*self.other_since.get_or_insert(now)) >= self.hold {
            (self.is_over, self.other_since) = (!self.is_over, None);
        }
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[(u64, u32, bool)]) {
        let (mut threshold, start) = (Threshold::new(80, 10, Duration::from_secs(4)), Instant::now());
        for (second, value, expected) in values {
            let found = threshold.see(Some(*value), start + Duration::from_secs(*second));
            assert_eq!(found, *expected, "second {second}");
        }
    }

    #[test]
    fn a_peak_is_nothing_and_what_lasts_is() {
        check(&[(0, 99, false), (2, 99, false), (3, 79, false), (4, 99, false), (6, 80, false), (8, 81, true)]);
    }

    #[test]
    fn a_dip_is_nothing_and_between_the_limits_all_stays_as_it_is() {
        check(&[(0, 80, false), (4, 80, true), (6, 70, true), (99, 70, true), (100, 69, true), (102, 70, true)]);
        check(&[(0, 80, false), (4, 80, true), (6, 69, true), (10, 0, false), (12, 79, false), (99, 79, false)]);
    }

    #[test]
    fn what_is_not_known_is_not_over() {
        let (mut threshold, start) = (Threshold::new(80, 10, Duration::ZERO), Instant::now());
        assert!(!threshold.see(None, start));
        assert!(threshold.see(Some(80), start));
        assert!(!threshold.see(None, start));
    }
}
