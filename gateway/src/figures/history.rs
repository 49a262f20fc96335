//! The rings of samples: what counts become as time passes. The time is handed in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::Reading;
use crate::clock::Timestamp;

/// How far back one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Span {
    /// The time that one sample stands for.
    #[must_use]
    pub fn step(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(10),
            Self::Day => Duration::from_secs(300),
        }
    }

    /// Samples that are kept.
    #[must_use]
    pub fn kept(self) -> usize {
        match self {
            Self::Hour => 360,
            Self::Day => 288,
        }
    }
}

/// What happened within one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it ended.
    pub at: Timestamp,
    /// All answers together.
    pub tokens_per_second: f64,
    /// The most at one time.
    pub running: u32,
    /// The most at one time.
    pub waiting: u32,
    /// Answers that ended.
    pub ended: u64,
    /// Of these, those that broke.
    pub errors: u64,
    /// Answers that a node began.
    pub begun: u64,
    /// Of these, those that came through a relay.
    pub relayed: u64,
    /// The median of what was begun; none where nothing was.
    pub first_token_p50: Option<Duration>,
    /// What 95 of 100 were not above.
    pub first_token_p95: Option<Duration>,
}

/// The last hour and the last day.
#[derive(Debug)]
pub struct History {
    hour: Ring,
    day: Ring,
}

impl Default for History {
    fn default() -> Self {
        Self { hour: Ring::new(Span::Hour), day: Ring::new(Span::Day) }
    }
}

impl History {
    /// The counts are these now, and the clock on the wall says `at`.
    pub fn see(&mut self, reading: &Reading, now: Instant, at: Timestamp) {
        self.hour.see(reading, now, at);
        self.day.see(reading, now, at);
    }

    /// Oldest first; at most as many as are kept.
    #[must_use]
    pub fn samples(&self, span: Span) -> Vec<Sample> {
        let ring = match span {
            Span::Hour => &self.hour,
            Span::Day => &self.day,
        };
        ring.samples.iter().copied().collect()
    }
}

#[derive(Debug)]
struct Ring {
    span: Span,
    samples: VecDeque<Sample>,
    open: Option<Step>,
}

/// The step that has not ended yet.
#[derive(Debug)]
struct Step {
    began: Instant,
    /// Steps end at even distances, however late each of them is looked at.
    ends: Instant,
    before: Reading,
    running: u32,
    waiting: u32,
}

impl Ring {
    fn new(span: Span) -> Self {
        Self { span, samples: VecDeque::with_capacity(span.kept()), open: None }
    }

    fn see(&mut self, reading: &Reading, now: Instant, at: Timestamp) {
        let length = self.span.step();
        let step = self.open.get_or_insert_with(|| Step::new(reading, now, now + length));
        step.running = step.running.max(reading.running);
        step.waiting = step.waiting.max(reading.waiting);
        if now < step.ends {
            return;
        }
        // After a sleep of the whole machine there is one long step, and then even ones again.
        let next = step.ends + length;
        let next = if next > now { next } else { now + length };
        let sample = step.sample(reading, now, at);
        self.open = Some(Step::new(reading, now, next));
        if self.samples.len() == self.span.kept() {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

impl Step {
    fn new(reading: &Reading, now: Instant, ends: Instant) -> Self {
        Self { began: now, ends, before: reading.clone(), running: reading.running, waiting: reading.waiting }
    }

    fn sample(&self, after: &Reading, now: Instant, at: Timestamp) -> Sample {
        let before = &self.before;
        let seconds = (now - self.began).as_secs_f64();
        let tokens = after.tokens.saturating_sub(before.tokens);
        let first_token = after.first_token.since(&before.first_token);
        Sample {
            at,
            tokens_per_second: if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 },
            running: self.running,
            waiting: self.waiting,
            ended: after.ended.saturating_sub(before.ended),
            errors: after.errors.saturating_sub(before.errors),
            begun: after.begun.saturating_sub(before.begun),
            relayed: after.relayed.saturating_sub(before.relayed),
            first_token_p50: first_token.percentile(50),
            first_token_p95: first_token.percentile(95),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::spread::Counted, *};

    /// A made-up clock beside the history.
    struct World {
        history: History,
        began: Instant,
        reading: Reading,
    }

    impl World {
        fn new() -> Self {
            Self { history: History::default(), began: Instant::now(), reading: Reading::default() }
        }

        fn at(&mut self, seconds: f64) {
            let at = Timestamp(1_000_000).after(Duration::from_secs_f64(seconds));
            self.history.see(&self.reading, self.began + Duration::from_secs_f64(seconds), at);
        }

        fn hour(&self) -> Vec<Sample> {
            self.history.samples(Span::Hour)
        }
    }

    #[test]
    fn a_step_says_what_came_within_it() {
        let mut world = World::new();
        world.at(0.0);
        world.reading = Reading { tokens: 500, ended: 7, errors: 2, begun: 8, relayed: 4, ..Reading::default() };
        (world.reading.running, world.reading.waiting) = (5, 3);
        world.at(4.0);
        (world.reading.running, world.reading.waiting) = (1, 0);
        let counted = Counted::default();
        (0..20).for_each(|_| counted.add(Duration::from_millis(100)));
        world.reading.first_token = counted.now();
        world.at(9.0);
        assert!(world.hour().is_empty(), "it has not ended");
        world.at(10.0);
        world.at(20.0);
        let [first, second] = world.hour()[..] else { panic!("two steps") };
        assert!((first.tokens_per_second - 50.0).abs() < 1e-9);
        assert_eq!((first.running, first.waiting), (5, 3), "the most, and not the last");
        assert_eq!((first.ended, first.errors, first.begun, first.relayed), (7, 2, 8, 4));
        assert!(first.first_token_p50.is_some_and(|p50| p50.as_millis().abs_diff(100) < 10));
        assert_eq!(first.at, Timestamp(1_010_000));
        assert_eq!((second.tokens_per_second, second.ended, second.first_token_p95), (0.0, 0, None));
        assert_eq!((second.running, second.waiting), (1, 0));
    }

    #[test]
    fn looks_that_come_late_do_not_shift_the_steps() {
        let mut world = World::new();
        for second in 0..=100 {
            world.at(f64::from(second) + f64::from(second % 3) * 0.01);
        }
        assert_eq!(world.hour().len(), 10);
    }

    #[test]
    fn both_rings_are_bounded() {
        let mut world = World::new();
        for step in 0..=20_000 {
            world.reading.tokens += 20;
            world.at(f64::from(step) * 10.0);
        }
        let (hour, day) = (world.hour(), world.history.samples(Span::Day));
        assert_eq!((hour.len(), day.len()), (360, 288));
        assert!(hour.iter().chain(&day).all(|sample| (sample.tokens_per_second - 2.0).abs() < 1e-9));
        assert_eq!(
            hour.last().map(|sample| sample.at),
            day.last().map(|sample| sample.at.after(Duration::from_secs(200)))
        );
    }

    #[test]
    fn a_machine_that_slept_has_one_long_step() {
        let mut world = World::new();
        world.at(0.0);
        world.reading.tokens = 3_600;
        world.at(3_600.0);
        world.at(3_609.0);
        assert_eq!(world.hour().len(), 1);
        assert!((world.hour()[0].tokens_per_second - 1.0).abs() < 1e-9);
        world.at(3_610.0);
        assert_eq!(world.hour().len(), 2);
    }
}
