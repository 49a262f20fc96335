//! How often an answer's pieces come, and when their absence is worth a second node: a state machine without a clock.
//!
//! A path that is cut and a machine that stands still say nothing, and so does one that is slow. Only the usual time
//! between two pieces tells them apart; where that is not known nobody is suspected.

use std::time::Duration;

use tokio::time::Instant;

/// Nothing is suspected before this.
const LEAST: Duration = Duration::from_secs(1);
/// So many times the usual time between two pieces are no accident.
const TIMES: u32 = 4;
/// What is left of a long time between two pieces when the next ones come sooner.
const KEPT: f64 = 0.9;
/// Whoever is told of a time so much later has stood still itself, and what came meanwhile is still to be read.
const AWAY: Duration = Duration::from_millis(300);
/// Fewer tell no pace: the second may seem to come at once only because the first was read late.
const PACE_KNOWN: u32 = 3;
/// Between two questions for a second node.
const AGAIN: Duration = Duration::from_secs(1);

/// Of one attempt.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    usual: Option<Duration>,
    pieces: u32,
    waits_since: Option<Instant>,
    not_before: Option<Instant>,
    /// Since when nothing can come.
    cut_at: Option<Instant>,
}

impl Rhythm {
    /// The reader has all there is, and waits.
    pub(super) fn waits(&mut self, now: Instant) {
        self.waits_since.get_or_insert(now);
    }

    /// A piece came.
    pub(super) fn came(&mut self, now: Instant) {
        let since = self.waits_since.take();
        self.pieces = self.pieces.saturating_add(1);
        (self.not_before, self.cut_at) = (None, None);
        // The wait for the first piece is the prompt's.
        let Some(waited) = since.filter(|_| self.pieces > 1).map(|since| now.saturating_duration_since(since)) else {
            return;
        };
        let faded = self.usual.map_or(waited, |usual| usual.mul_f64(KEPT) + waited.mul_f64(1.0 - KEPT));
        self.usual = Some(faded.max(waited));
    }

    /// Its way is cut: nobody has to wait to know that nothing comes.
    pub(super) fn cut(&mut self, now: Instant) {
        self.cut_at.get_or_insert(now);
    }

    /// When a second node is to be asked, if nothing comes until then.
    pub(super) fn due(&self) -> Option<Instant> {
        let usual = self.usual.filter(|_| self.pieces >= PACE_KNOWN);
        let silent = || Some(self.waits_since? + LEAST.max(usual? * TIMES));
        let doubtful = self.cut_at.or_else(silent)?;
        Some(self.not_before.map_or(doubtful, |not_before| doubtful.max(not_before)))
    }

    /// Whether it is time; somebody who is told too late has no right to suspect anybody.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let Some(due) = self.due().filter(|due| *due <= now) else { return false };
        let late = now - due;
        if late > AWAY && self.cut_at.is_none() {
            self.waits_since = self.waits_since.map(|since| since + late);
            self.not_before = Some(now + LEAST);
            return false;
        }
        true
    }

    /// A second node was asked for in vain, or is of no use.
    pub(super) fn asked(&mut self, now: Instant) {
        self.not_before = Some(now + AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// After pieces that come so many milliseconds apart.
    fn after(gaps: &[u64]) -> (Rhythm, Instant) {
        let (mut rhythm, mut now) = (Rhythm::default(), Instant::now());
        for gap in gaps {
            rhythm.waits(now);
            now += ms(*gap);
            rhythm.came(now);
        }
        rhythm.waits(now);
        (rhythm, now)
    }

    #[track_caller]
    fn check(gaps: &[u64], due: Option<u64>) {
        let (rhythm, now) = after(gaps);
        assert_eq!(rhythm.due().map(|due| due - now), due.map(ms), "after {gaps:?}");
    }

    #[test]
    fn nobody_is_suspected_before_its_pace_is_known() {
        check(&[], None);
        check(&[20_000], None);
        check(&[20_000, 30], None);
    }

    #[test]
    fn a_fast_one_is_suspected_after_a_second_and_a_slow_one_later() {
        check(&[20_000, 30, 30], Some(1_000));
        check(&[100, 240, 240], Some(1_000));
        check(&[100, 500, 500], Some(2_000));
        check(&[100, 5_000, 5_000], Some(20_000));
    }

    #[test]
    fn a_pause_that_was_seen_once_is_expected_for_a_while() {
        check(&[100, 30, 2_000, 30], Some(7_212));
        let (rhythm, now) = after(&[&[100, 30, 2_000][..], &[30; 60]].concat());
        assert!(rhythm.due().unwrap() - now < ms(1_200));
    }

    #[test]
    fn a_reader_who_takes_nothing_is_no_silence() {
        let (mut rhythm, now) = after(&[100, 30, 30]);
        rhythm.came(now + ms(30));
        assert_eq!(rhythm.due(), None, "it is not waited for");
        rhythm.waits(now + ms(60_000));
        rhythm.came(now + ms(60_030));
        rhythm.waits(now + ms(60_030));
        assert_eq!(rhythm.due(), Some(now + ms(61_030)));
    }

    #[test]
    fn who_stood_still_itself_waits_once_more() {
        let (mut rhythm, now) = after(&[100, 30, 30]);
        assert!(!rhythm.is_due(now + ms(999)));
        assert!(rhythm.is_due(now + ms(1_000)) && rhythm.is_due(now + ms(1_300)));
        let (mut rhythm, now) = after(&[100, 30, 30]);
        assert!(!rhythm.is_due(now + ms(9_000)));
        assert_eq!(rhythm.due(), Some(now + ms(10_000)));
        assert!(rhythm.is_due(now + ms(10_000)));
    }

    #[test]
    fn whose_way_is_cut_is_not_waited_for() {
        let (mut rhythm, now) = after(&[]);
        rhythm.cut(now + ms(10));
        assert!(!rhythm.is_due(now + ms(9)) && rhythm.is_due(now + ms(10)) && rhythm.is_due(now + ms(900)));
        rhythm.asked(now + ms(900));
        assert_eq!(rhythm.due(), Some(now + ms(1_900)));
        rhythm.came(now + ms(1_000));
        rhythm.waits(now + ms(1_000));
        assert_eq!(rhythm.due(), None, "it was the first piece");
    }

    #[test]
    fn a_question_in_vain_is_asked_again_a_second_later_and_a_piece_ends_all_doubt() {
        let (mut rhythm, now) = after(&[100, 30, 30]);
        rhythm.asked(now + ms(1_000));
        assert_eq!(rhythm.due(), Some(now + ms(2_000)));
        rhythm.came(now + ms(2_500));
        rhythm.waits(now + ms(2_500));
        assert_eq!(rhythm.due(), Some(now + ms(12_500)), "it pauses now and then");
    }
}
