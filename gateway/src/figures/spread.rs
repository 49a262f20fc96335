//! How long something took, as counts in classes: enough for a median and a 95th percentile of any span of time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Classes. The first ends at a millisecond, each other one a fifth later than the one before it, and the last one
/// never: half an hour is in the last but one.
const CLASSES: usize = 80;
const GROWTH: f64 = 1.2;

/// Counts by class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread([u64; CLASSES]);

/// The same while it is counted. Never goes back.
#[derive(Debug)]
pub(crate) struct Counted([AtomicU64; CLASSES]);

impl Default for Spread {
    fn default() -> Self {
        Self([0; CLASSES])
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; CLASSES])
    }
}

impl Counted {
    pub(crate) fn add(&self, took: Duration) {
        self.0[class(took)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Spread {
        Spread(std::array::from_fn(|class| self.0[class].load(Ordering::Relaxed)))
    }
}

impl Spread {
    /// What has come since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|class| self.0[class].saturating_sub(before.0[class])))
    }

    /// What so many of a hundred were not above, within a tenth of it; none where nothing was counted.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let total: u64 = self.0.iter().sum();
        // The first one at which that part is reached; at least one.
        let rank = (total * percent).div_ceil(100).max(1);
        let mut below = 0;
        let class = self.0.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        // The middle of the class, as factors go.
        let ms = GROWTH.powf(class as f64 - 0.5);
        Some(Duration::from_secs_f64(ms / 1000.0))
    }
}

fn class(took: Duration) -> usize {
    let ms = took.as_secs_f64() * 1000.0;
    let class = if ms <= 1.0 { 0.0 } else { (ms.ln() / GROWTH.ln()).ceil() };
    // A float beyond the range becomes its end.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded in the next call")]
    let class = class as usize;
    class.min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(milliseconds: impl IntoIterator<Item = u64>) -> Spread {
        let counted = Counted::default();
        milliseconds.into_iter().for_each(|ms| counted.add(Duration::from_millis(ms)));
        counted.now()
    }

    #[track_caller]
    fn is_about(found: Option<Duration>, ms: f64) {
        let found = found.unwrap().as_secs_f64() * 1000.0;
        assert!((found / ms - 1.0).abs() < 0.1, "{found} ms in place of {ms}");
    }

    #[test]
    fn percentiles_are_right_within_a_tenth() {
        let hundred = spread(1..=100);
        is_about(hundred.percentile(50), 50.0);
        is_about(hundred.percentile(95), 95.0);
        for one in [3, 40, 777, 60_000, 1_500_000] {
            is_about(spread([one]).percentile(50), one as f64);
            is_about(spread([one]).percentile(95), one as f64);
        }
    }

    #[test]
    fn nothing_has_no_percentile_and_the_ends_are_open() {
        assert_eq!(spread([]).percentile(50), None);
        assert!(spread([0]).percentile(50).unwrap() <= Duration::from_millis(1));
        let ever = Counted::default();
        ever.add(Duration::MAX);
        assert!(ever.now().percentile(95).unwrap() > Duration::from_secs(1_500));
    }

    #[test]
    fn what_was_before_does_not_count() {
        let counted = Counted::default();
        (0..100).for_each(|_| counted.add(Duration::from_millis(1_000)));
        let before = counted.now();
        counted.add(Duration::from_millis(10));
        is_about(counted.now().since(&before).percentile(95), 10.0);
        assert_eq!(before.since(&before).percentile(50), None);
    }
}
