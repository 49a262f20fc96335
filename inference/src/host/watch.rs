//! When an engine's process counts as hung, and how soon a dead one is started again. No clock and no process in here.

use std::time::{Duration, Instant};

/// How long to wait for an engine that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For its process to say that it lives; it does so twice a second.
    pub silence: Duration,
    /// For one step. A good one takes a quarter of a second.
    pub step: Duration,
    /// For one of the first steps, in which a GPU's kernels may have to be compiled.
    pub first_step: Duration,
    /// For the model to load, besides a second for each 8 MB of its file: so slow is a bad disk, if the file is hashed first.
    pub load: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let first_step = Duration::from_secs(120);
        Self { silence: Duration::from_secs(5), step: Duration::from_secs(30), first_step, load: first_step }
    }
}

/// Calls into the engine after which it is warm.
const WARM: u64 = 16;

/// How an engine looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    /// It has been still for half of the time it has; it should get no more work.
    Doubtful,
    /// Its process should be ended.
    Hung,
}

/// Watches one process.
pub(super) struct Watchdog {
    patience: Patience,
    /// When it was last heard.
    heard: Instant,
    /// When it was last looked after; a gap means that it was this process that stood still.
    looked: Instant,
    pulse: u64,
    /// Since when the pulse is that.
    since: Instant,
}

impl Watchdog {
    pub(super) fn new(patience: Patience, now: Instant) -> Self {
        Self { patience, heard: now, looked: now, pulse: 0, since: now }
    }

    /// Something came from it.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Its pulse came.
    pub(super) fn beat(&mut self, pulse: u64, now: Instant) {
        if self.pulse != pulse {
            (self.pulse, self.since) = (pulse, now);
        }
    }

    /// To be asked about twice a second.
    pub(super) fn look(&mut self, now: Instant) -> Health {
        let gap = now.saturating_duration_since(self.looked);
        self.looked = now;
        if gap > self.patience.silence / 4 {
            // We slept, not the engine: what it said meanwhile is still to be read.
            (self.heard, self.since) = (now, now);
        }
        let still = |since: Instant, limit: Duration| match now.saturating_duration_since(since) {
            time if time > limit => Health::Hung,
            time if time > limit / 2 => Health::Doubtful,
            _ => Health::Well,
        };
        let limit = if self.pulse < WARM { self.patience.first_step } else { self.patience.step };
        let stepping = self.pulse % 2 == 1;
        let step = if stepping { still(self.since, limit) } else { Health::Well };
        match (still(self.heard, self.patience.silence), step) {
            (Health::Hung, _) | (_, Health::Hung) => Health::Hung,
            (Health::Well, Health::Well) => Health::Well,
            _ => Health::Doubtful,
        }
    }
}

/// How far an engine came before it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It never opened.
    Nowhere,
    /// It opened, and gave no answer.
    Open,
    /// It was of use.
    Serving,
}

/// Before the first new start: the old process's memory comes free.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest before an engine that did open: whoever asks again should not wait long.
const OPEN_PAUSE: Duration = Duration::from_secs(2);
/// Deaths while opening in a row after which the pauses become long.
const SHORT_PAUSES: u32 = 3;
/// The first long pause.
const LONG_PAUSE: Duration = Duration::from_secs(4);
/// The longest. It is tried for ever: the memory or the file that is missing may come back.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How soon to start again.
#[derive(Default)]
pub(super) struct Restarts {
    in_vain: u32,
}

impl Restarts {
    /// It died; the pause before the next start.
    pub(super) fn died(&mut self, came: Came) -> Duration {
        if came == Came::Serving {
            self.in_vain = 0;
        }
        let doubled = |first: Duration, times: u32| first.saturating_mul(1 << times.min(16));
        let pause = match came {
            Came::Serving => FIRST_PAUSE,
            Came::Open => doubled(FIRST_PAUSE, self.in_vain).min(OPEN_PAUSE),
            Came::Nowhere if self.in_vain < SHORT_PAUSES => doubled(FIRST_PAUSE, self.in_vain),
            Came::Nowhere => doubled(LONG_PAUSE, self.in_vain - SHORT_PAUSES).min(LONGEST_PAUSE),
        };
        self.in_vain = self.in_vain.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(500);

    /// Looks twice a second for `seconds`; at each look, what `life` does, and then the health.
    fn check(
        dog: &mut Watchdog,
        now: &mut Instant,
        seconds: u64,
        mut life: impl FnMut(&mut Watchdog, Instant),
    ) -> Health {
        let mut health = Health::Well;
        for _ in 0..seconds * 2 {
            *now += BEAT;
            life(dog, *now);
            health = dog.look(*now);
        }
        health
    }

    fn beating(pulse: u64) -> impl FnMut(&mut Watchdog, Instant) {
        move |dog, now| {
            dog.heard(now);
            dog.beat(pulse, now);
        }
    }

    #[test]
    fn silence_is_doubtful_and_then_hung() {
        let mut now = Instant::now();
        let mut dog = Watchdog::new(Patience::default(), now);
        assert_eq!(check(&mut dog, &mut now, 60, beating(100)), Health::Well, "between two steps for ever");
        assert_eq!(check(&mut dog, &mut now, 2, |_, _| {}), Health::Well);
        assert_eq!(check(&mut dog, &mut now, 2, |_, _| {}), Health::Doubtful);
        assert_eq!(check(&mut dog, &mut now, 2, |_, _| {}), Health::Hung);
    }

    #[test]
    fn a_step_without_end_is_hung_though_the_process_lives() {
        let mut now = Instant::now();
        let mut dog = Watchdog::new(Patience::default(), now);
        assert_eq!(check(&mut dog, &mut now, 55, beating(3)), Health::Well, "a first step");
        assert_eq!(check(&mut dog, &mut now, 10, beating(3)), Health::Doubtful);
        assert_eq!(check(&mut dog, &mut now, 60, beating(3)), Health::Hung);
        assert_eq!(check(&mut dog, &mut now, 1, beating(101)), Health::Well);
        assert_eq!(check(&mut dog, &mut now, 20, beating(101)), Health::Doubtful);
        assert_eq!(check(&mut dog, &mut now, 20, beating(101)), Health::Hung);
        assert_eq!(check(&mut dog, &mut now, 20, beating(102)), Health::Well);
    }

    #[test]
    fn time_in_which_the_watchdog_slept_does_not_count() {
        let mut now = Instant::now();
        let mut dog = Watchdog::new(Patience::default(), now);
        assert_eq!(check(&mut dog, &mut now, 5, beating(101)), Health::Well);
        now += Duration::from_secs(3600);
        assert_eq!(dog.look(now), Health::Well);
        assert_eq!(check(&mut dog, &mut now, 5, beating(101)), Health::Well);
    }

    #[test]
    fn an_engine_that_serves_comes_back_soon_and_one_that_cannot_open_is_tried_for_ever() {
        let mut restarts = Restarts::default();
        for _ in 0..100 {
            assert!(restarts.died(Came::Serving) <= Duration::from_millis(100));
        }
        let mut open = Restarts::default();
        assert!((0..100).all(|_| open.died(Came::Open) <= OPEN_PAUSE));
        let pauses: Vec<_> = (0..40).map(|_| restarts.died(Came::Nowhere)).collect();
        assert!(pauses[..2].iter().sum::<Duration>() < Duration::from_secs(2), "{pauses:?}");
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert!(pauses[3] >= Duration::from_secs(4), "{pauses:?}");
        assert_eq!(pauses[39], LONGEST_PAUSE);
        assert_eq!(restarts.died(Came::Serving), FIRST_PAUSE);
    }
}
