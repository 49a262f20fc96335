//! When a node leaves its machine to others, and when it comes back: a state machine without a clock or a system.
//!
//! Reasons come and go. While there is one the node yields; when the last has gone it waits for a while, so that a game
//! that is started again a moment later finds the card still free.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use starling_protocol::message::PauseKind;

use super::options::Level;

/// A pause because of the card lasts so long at the least: our own answers warm it up again, and a busy card that is
/// left alone for a moment is not a free one.
const LEAST_PAUSE: Duration = Duration::from_secs(60);

/// What the node is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Compute.
    Serve,
    /// Leave the machine to others.
    Yield(Yield),
}

/// Why, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Yield {
    /// The first reason that there is, or the last that there was.
    pub(crate) kind: PauseKind,
    /// The memory is to be freed as well.
    pub(crate) free: bool,
    /// When it will be over, where that is known.
    pub(crate) back: Option<Instant>,
}

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Until it is said to be gone; when that will be may be known.
    Lasts(Option<Instant>),
    /// Until then, unless it is said again.
    Expires(Instant),
}

impl Reason {
    fn end(self) -> Option<Instant> {
        match self {
            Self::Lasts(end) => end,
            Self::Expires(end) => Some(end),
        }
    }
}

/// The reasons that there are.
#[derive(Debug)]
pub(crate) struct State {
    level: Level,
    come_back_after: Duration,
    reasons: BTreeMap<PauseKind, Reason>,
    yields: Option<Yielding>,
}

#[derive(Clone, Copy, Debug)]
struct Yielding {
    since: Instant,
    kind: PauseKind,
    free: bool,
    /// Without any reason it lasts until then.
    quiet_until: Instant,
}

impl State {
    pub(crate) fn new(level: Level, come_back_after: Duration) -> Self {
        Self { level, come_back_after, reasons: BTreeMap::new(), yields: None }
    }

    /// A reason is there, or is not any more. A node that is not polite yields to its owner's word only.
    pub(crate) fn see(&mut self, kind: PauseKind, reason: Option<Reason>, now: Instant) {
        match reason {
            Some(_) if self.level == Level::Off && kind != PauseKind::ByHand => {}
            Some(reason) => drop(self.reasons.insert(kind, reason)),
            None => self.gone(kind, now),
        }
    }

    /// The owner wants it back at once: their own pause ends, and no while is waited for.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.reasons.remove(&PauseKind::ByHand);
        if let Some(yields) = &mut self.yields {
            yields.quiet_until = now;
        }
    }

    /// What to do now.
    pub(crate) fn decide(&mut self, now: Instant) -> Decision {
        self.expire(now);
        let Some(kind) = self.reasons.keys().next().copied() else {
            return match self.yields {
                Some(Yielding { kind, free, quiet_until, .. }) if now < quiet_until => {
                    Decision::Yield(Yield { kind, free, back: Some(quiet_until) })
                }
                _ => {
                    self.yields = None;
                    Decision::Serve
                }
            };
        };
        let free = self.level == Level::Full || self.reasons.contains_key(&PauseKind::ByHand);
        let yields = self.yields.get_or_insert(Yielding { since: now, kind, free, quiet_until: now });
        (yields.kind, yields.free) = (kind, yields.free || free);
        let free = yields.free;
        Decision::Yield(Yield { kind, free, back: self.back() })
    }

    /// When to decide again, if nothing is seen until then.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        let expires = self.reasons.values().filter_map(|reason| match reason {
            Reason::Expires(at) => Some(*at),
            Reason::Lasts(_) => None,
        });
        let quiet = self.yields.filter(|_| self.reasons.is_empty()).map(|yields| yields.quiet_until);
        expires.chain(quiet).min()
    }

    /// When the last reason will have gone, and the while after it.
    fn back(&self) -> Option<Instant> {
        let ends = self.reasons.iter().map(|(kind, reason)| Some(reason.end()? + self.rest(*kind)));
        // What somebody said of their screen is said again.
        let known = !self.reasons.contains_key(&PauseKind::FullScreen);
        ends.collect::<Option<Vec<_>>>().filter(|_| known)?.into_iter().max()
    }

    fn expire(&mut self, now: Instant) {
        let over = |reason: &Reason| matches!(reason, Reason::Expires(at) if *at <= now);
        let over: Vec<_> = self.reasons.iter().filter(|(_, reason)| over(reason)).map(|(kind, _)| *kind).collect();
        for kind in over {
            self.gone(kind, now);
        }
    }

    fn gone(&mut self, kind: PauseKind, now: Instant) {
        if self.reasons.remove(&kind).is_none() {
            return;
        }
        let rest = self.rest(kind);
        if let Some(yields) = &mut self.yields {
            let least = match kind {
                PauseKind::Temperature | PauseKind::Gpu => yields.since + LEAST_PAUSE,
                _ => now,
            };
            yields.quiet_until = yields.quiet_until.max(now + rest).max(least);
        }
    }

    /// How long it waits when that has gone: not for what ends by the clock.
    fn rest(&self, kind: PauseKind) -> Duration {
        match kind {
            PauseKind::ByHand | PauseKind::Schedule => Duration::ZERO,
            _ => self.come_back_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);
    const LASTS: Option<Reason> = Some(Reason::Lasts(None));

    fn state(level: Level) -> (State, Instant) {
        (State::new(level, AFTER), Instant::now())
    }

    fn yields(kind: PauseKind, free: bool, back: Option<Instant>) -> Decision {
        Decision::Yield(Yield { kind, free, back })
    }

    #[test]
    fn it_yields_at_once_and_comes_back_after_a_while() {
        let (mut state, start) = state(Level::Full);
        assert_eq!((state.decide(start), state.wakes_at()), (Decision::Serve, None));
        state.see(PauseKind::Process, LASTS, start);
        assert_eq!(state.decide(start), yields(PauseKind::Process, true, None));
        let end = start + 100 * SECOND;
        state.see(PauseKind::Process, None, end);
        assert_eq!(state.decide(end), yields(PauseKind::Process, true, Some(end + AFTER)));
        assert_eq!(state.wakes_at(), Some(end + AFTER));
        // It begins again within that while, and so from the beginning.
        state.see(PauseKind::Process, LASTS, end + 29 * SECOND);
        state.see(PauseKind::Process, None, end + 29 * SECOND);
        assert_ne!(state.decide(end + 58 * SECOND), Decision::Serve);
        assert_eq!(state.decide(end + 59 * SECOND), Decision::Serve);
        assert_eq!(state.wakes_at(), None);
    }

    #[test]
    fn the_owners_word_counts_always_ends_when_it_was_said_and_frees_the_memory() {
        for level in [Level::Off, Level::Light, Level::Full] {
            let (mut state, start) = state(level);
            let until = start + 10 * SECOND;
            state.see(PauseKind::ByHand, Some(Reason::Expires(until)), start);
            assert_eq!(state.decide(start), yields(PauseKind::ByHand, true, Some(until)));
            assert_eq!(state.wakes_at(), Some(until));
            assert_eq!(state.decide(until), Decision::Serve, "{level:?}");
            state.see(PauseKind::ByHand, LASTS, until);
            assert_eq!(state.decide(until + 1_000 * SECOND), yields(PauseKind::ByHand, true, None));
            state.resume(until + 1_000 * SECOND);
            assert_eq!(state.decide(until + 1_000 * SECOND), Decision::Serve);
        }
    }

    #[test]
    fn who_is_not_polite_yields_to_nothing_else_and_who_is_a_little_keeps_the_memory() {
        let (mut off, start) = state(Level::Off);
        off.see(PauseKind::FullScreen, LASTS, start);
        assert_eq!(off.decide(start), Decision::Serve);
        let (mut light, _) = state(Level::Light);
        light.see(PauseKind::Battery, LASTS, start);
        assert_eq!(light.decide(start), yields(PauseKind::Battery, false, None));
        light.see(PauseKind::ByHand, LASTS, start);
        assert_eq!(light.decide(start), yields(PauseKind::ByHand, true, None));
        light.resume(start);
        assert_eq!(
            light.decide(start),
            yields(PauseKind::Battery, true, None),
            "what is freed stays so for this pause"
        );
    }

    #[test]
    fn what_was_said_of_a_screen_expires_and_is_no_time_to_be_back() {
        let (mut state, start) = state(Level::Full);
        for second in 0..10 {
            let now = start + second * SECOND;
            state.see(PauseKind::FullScreen, Some(Reason::Expires(now + 5 * SECOND)), now);
            assert_eq!(state.decide(now), yields(PauseKind::FullScreen, true, None));
        }
        let silent = start + 14 * SECOND;
        assert_eq!(state.decide(silent), yields(PauseKind::FullScreen, true, Some(silent + AFTER)));
        assert_eq!(state.decide(silent + AFTER), Decision::Serve);
    }

    #[test]
    fn resuming_does_not_wait_and_does_not_overrule_what_is_still_there() {
        let (mut state, start) = state(Level::Full);
        state.see(PauseKind::Gpu, LASTS, start);
        state.decide(start);
        state.resume(start + SECOND);
        assert_eq!(state.decide(start + SECOND), yields(PauseKind::Gpu, true, None));
        state.see(PauseKind::Gpu, None, start + 2 * SECOND);
        assert_eq!(state.decide(start + 2 * SECOND), yields(PauseKind::Gpu, true, Some(start + LEAST_PAUSE)));
        state.resume(start + 3 * SECOND);
        assert_eq!(state.decide(start + 3 * SECOND), Decision::Serve);
    }

    #[test]
    fn the_end_is_known_where_each_reasons_end_is() {
        let (mut state, start) = state(Level::Full);
        let (opens, hand) = (start + 50 * SECOND, start + 60 * SECOND);
        state.see(PauseKind::Schedule, Some(Reason::Lasts(Some(opens))), start);
        assert_eq!(state.decide(start), yields(PauseKind::Schedule, true, Some(opens)));
        state.see(PauseKind::ByHand, Some(Reason::Expires(hand)), start);
        assert_eq!(state.decide(start), yields(PauseKind::ByHand, true, Some(hand)));
        state.see(PauseKind::Battery, LASTS, start);
        assert_eq!(state.decide(start), yields(PauseKind::ByHand, true, None));
    }

    /// Whatever comes and goes: while there is a reason it yields, it serves when there was none for long enough, and it
    /// always says when it wants to be asked again.
    #[test]
    fn whatever_comes_and_goes() {
        let kinds =
            [PauseKind::Process, PauseKind::FullScreen, PauseKind::Battery, PauseKind::Gpu, PauseKind::Schedule];
        for seed in 1..200_u64 {
            let (mut state, start) = state(if seed % 2 == 0 { Level::Full } else { Level::Light });
            let (mut there, mut random) = (BTreeMap::<PauseKind, bool>::new(), seed);
            let (mut last_reason, mut turns, mut served) = (None::<Instant>, 0, true);
            for second in 0..2_000 {
                let now = start + second * SECOND;
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let kind = kinds[(random >> 33) as usize % kinds.len()];
                // Something comes every few minutes, and goes within one.
                let is = there.entry(kind).or_default();
                if (random >> 40).is_multiple_of(if *is { 5 } else { 200 }) {
                    *is = !*is;
                    state.see(kind, is.then_some(Reason::Lasts(None)), now);
                }
                let any = there.values().any(|is| *is);
                last_reason = if any { Some(now) } else { last_reason };
                let decision = state.decide(now);
                match decision {
                    Decision::Serve => assert!(!any, "seed {seed}, second {second}"),
                    Decision::Yield(_) if !any => {
                        assert!(state.wakes_at().is_some_and(|at| at > now), "seed {seed}, second {second}");
                        let since = last_reason.unwrap();
                        assert!(
                            now < since + LEAST_PAUSE + SECOND,
                            "seed {seed}, second {second}: it never comes back"
                        );
                    }
                    Decision::Yield(_) => {}
                }
                turns += u32::from(served != (decision == Decision::Serve));
                served = decision == Decision::Serve;
            }
            assert!(turns > 2, "seed {seed}: nothing happened");
        }
    }
}
