//! A straight line through what was measured, newer points counting more: what a job costs to begin with, and what
//! each further token (or each neighbour in the batch) adds.
//!
//! Points come one by one, from jobs as they are, so the spread may be poor: where all points have the same `x`, only
//! the height of the line is known, and the slope is that of the line that was expected. Old points fade, so that a
//! node that was slow once is tried again some day.

use std::time::{Duration, Instant};

/// What is left of a point's weight when the next one comes.
const KEPT: f64 = 0.8;
/// Points lose half of their weight in this time.
const HALF_LIFE: Duration = Duration::from_secs(600);
/// How many points the expected line is worth: one job says more than any claim.
const EXPECTED_WEIGHT: f64 = 0.1;
/// With less weight than this the slope is not measured.
const LEAST_WEIGHT: f64 = 1.5;
/// A point further above the line than this is taken for an accident, unless it comes again.
const LARGEST_JUMP: f64 = 8.0;

/// `at_zero + each * x`, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Straight {
    pub(super) at_zero: f64,
    pub(super) each: f64,
}

impl Straight {
    pub(super) fn at(self, x: f64) -> f64 {
        self.at_zero + self.each * x
    }
}

/// Sums over the points.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    weight: f64,
    x: f64,
    xx: f64,
    y: f64,
    xy: f64,
    last: Option<Instant>,
}

impl Line {
    /// Something of size `x` took `y` seconds, where `expected` was the line before anything was measured.
    pub(super) fn add(&mut self, x: f64, y: f64, expected: Straight, now: Instant) {
        let known = self.faded(now) > LEAST_WEIGHT;
        let y = if known { y.min(LARGEST_JUMP * self.fit(expected, now).at(x)) } else { y };
        let kept = KEPT * self.fading(now);
        for (sum, new) in
            [(&mut self.weight, 1.0), (&mut self.x, x), (&mut self.xx, x * x), (&mut self.y, y), (&mut self.xy, x * y)]
        {
            *sum = *sum * kept + new;
        }
        self.last = Some(now);
    }

    pub(super) fn is_measured(&self) -> bool {
        self.last.is_some()
    }

    /// The line as it is now, where `expected` would be it without any point.
    pub(super) fn fit(&self, expected: Straight, now: Instant) -> Straight {
        let said = self.weight * expected.at_zero + self.x * expected.each;
        if self.weight <= 0.0 || said <= 0.0 || self.y <= 0.0 {
            return expected;
        }
        let faded = self.faded(now);
        // In the geometric mean a claim counts the same whether it is too high or too low.
        let factor = (self.y / said).powf(faded / (faded + EXPECTED_WEIGHT));
        let scaled = Straight { at_zero: expected.at_zero * factor, each: expected.each * factor };
        if faded < LEAST_WEIGHT { scaled } else { self.least_squares(scaled) }
    }

    /// With the slope of `scaled` in place of a part of a point that is as far from the others as zero is.
    fn least_squares(&self, scaled: Straight) -> Straight {
        let mean = self.x / self.weight;
        let spread = (self.xx - self.x * mean).max(0.0);
        let together = self.xy - mean * self.y;
        let pull = EXPECTED_WEIGHT * mean * mean + f64::EPSILON;
        let each = (together + pull * scaled.each) / (spread + pull);
        let at_zero = (self.y - each * self.x) / self.weight;
        if each < 0.0 {
            Straight { at_zero: self.y / self.weight, each: 0.0 }
        } else if at_zero < 0.0 {
            Straight { at_zero: 0.0, each: self.y / self.x }
        } else {
            Straight { at_zero, each }
        }
    }

    fn faded(&self, now: Instant) -> f64 {
        self.weight * self.fading(now)
    }

    fn fading(&self, now: Instant) -> f64 {
        let age = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Straight = Straight { at_zero: 1.0, each: 0.1 };

    /// After these points the line is about this one.
    #[track_caller]
    fn check(points: &[(f64, f64)], expected: (f64, f64)) {
        let (mut line, now) = (Line::default(), Instant::now());
        for (x, y) in points {
            line.add(*x, *y, EXPECTED, now);
        }
        let found = line.fit(EXPECTED, now);
        let near = |a: f64, b: f64| (a - b).abs() < 0.25 * (b + 0.1);
        assert!(near(found.at_zero, expected.0) && near(found.each, expected.1), "{found:?}");
    }

    #[test]
    fn nothing_measured_is_as_expected() {
        check(&[], (1.0, 0.1));
    }

    #[test]
    fn one_point_moves_the_line_and_keeps_its_shape() {
        check(&[(10.0, 20.0)], (9.0, 0.9));
        check(&[(10.0, 0.2)], (0.12, 0.012));
    }

    #[test]
    fn points_apart_say_how_steep_it_is() {
        let points: Vec<_> = (0..20).map(|i| f64::from(i % 5) * 100.0).map(|x| (x, 2.0 + 0.01 * x)).collect();
        check(&points, (2.0, 0.01));
    }

    #[test]
    fn a_line_never_goes_below_nothing() {
        let (mut line, now) = (Line::default(), Instant::now());
        for (x, y) in [(100.0, 1.0), (1.0, 5.0), (90.0, 0.5), (2.0, 9.0), (1000.0, 3000.0), (5.0, 0.1)] {
            line.add(x, y, EXPECTED, now);
            let found = line.fit(EXPECTED, now);
            assert!(found.at_zero >= 0.0 && found.each >= 0.0 && found.at(10.0).is_finite(), "{found:?}");
        }
    }

    #[test]
    fn an_accident_is_not_believed_at_once_and_age_is_forgotten() {
        let (mut line, now) = (Line::default(), Instant::now());
        for _ in 0..10 {
            line.add(10.0, 2.0, EXPECTED, now);
        }
        line.add(10.0, 10_000.0, EXPECTED, now);
        assert!(line.fit(EXPECTED, now).at(10.0) < 10.0);
        let later = line.fit(Straight { at_zero: 0.1, each: 0.0 }, now + 20 * HALF_LIFE);
        assert!(later.at(10.0) < 0.11, "{later:?}");
    }
}
