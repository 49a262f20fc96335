//! Whether a graphics card is too warm, or others use it: figures in, two answers out, no clock of its own.

use std::time::{Duration, Instant};

use starling_protocol::message::Memory;

use super::super::{options::Options, threshold::Threshold};
use crate::hardware::Hardware;

/// From here on a card is too warm, where nobody says otherwise.
const TEMPERATURE: u32 = 83;
/// Below what the card slows down at.
const BEFORE_SLOWDOWN: u32 = 5;
/// Degrees, and hundredths, that lie between too much and little enough.
const COOLER: u32 = 8;
const LESS: u32 = 10;
/// How long it has to be so: the fan, a window that opens and a film that begins are over sooner.
const WARM_FOR: Duration = Duration::from_secs(4);
const USED_FOR: Duration = Duration::from_secs(6);
/// Hundredths that are never reached.
const NEVER: u32 = 101;

/// The limits of a machine's cards.
pub(crate) struct Cards {
    /// As the owner says it.
    chosen: Option<u32>,
    temperature: Option<Threshold>,
    used: Threshold,
    memory: Threshold,
}

/// What is so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) warm: bool,
    pub(crate) others: bool,
}

impl Cards {
    pub(crate) fn new(options: &Options) -> Self {
        let limit = |percent| if percent == 100 { NEVER } else { percent };
        Self {
            chosen: options.gpu_temperature,
            temperature: None,
            used: Threshold::new(limit(options.gpu_others), LESS, USED_FOR),
            memory: Threshold::new(limit(options.gpu_memory_others), LESS, USED_FOR),
        }
    }

    /// New figures; of its memory `ours` bytes are the engines', as they say themselves.
    pub(crate) fn see(&mut self, hardware: &Hardware, ours: u64, now: Instant) -> Trouble {
        let warmest = hardware.gpus.iter().filter_map(|gpu| gpu.temperature_celsius).max();
        let Some(warmest) = warmest else { return self.of_others(hardware, ours, now, false) };
        let slows_down = hardware.cards.iter().filter_map(|card| card.slows_down_at).min();
        let limit = self.chosen.unwrap_or_else(|| {
            slows_down.map_or(TEMPERATURE, |at| TEMPERATURE.min(at.saturating_sub(BEFORE_SLOWDOWN)))
        });
        let threshold = self.temperature.get_or_insert_with(|| Threshold::new(limit, COOLER, WARM_FOR));
        let warm = threshold.see(Some(warmest), now);
        self.of_others(hardware, ours, now, warm)
    }

    fn of_others(&mut self, hardware: &Hardware, ours: u64, now: Instant, warm: bool) -> Trouble {
        let used = hardware.cards.iter().filter_map(|card| card.used_by_others).max();
        let memory = hardware.cards.iter().filter_map(|card| {
            let others = card.memory_of_others.unwrap_or(card.memory.used.saturating_sub(ours));
            percent(others, card.memory)
        });
        let memory = memory.max();
        let (used, memory) = (self.used.see(used, now), self.memory.see(memory, now));
        Trouble { warm, others: used || memory }
    }
}

fn percent(part: u64, memory: Memory) -> Option<u32> {
    let share = part.saturating_mul(100).checked_div(memory.total)?;
    u32::try_from(share.min(100)).ok()
}

#[cfg(test)]
mod tests {
    use starling_protocol::message::Gpu;

    use super::*;
    use crate::hardware::Card;

    const GIB: u64 = 1 << 30;

    /// A card of 12 GiB with 10 taken.
    fn card(used_by_others: Option<u32>, memory_of_others: Option<u64>) -> Card {
        let memory = Memory { total: 12 * GIB, used: 10 * GIB };
        Card { memory, slows_down_at: Some(86), used_by_others, memory_of_others }
    }

    /// So for ten seconds.
    fn last(cards: &mut Cards, temperature: Option<u32>, card: Card, ours: u64) -> Trouble {
        let gpus = vec![Gpu { temperature_celsius: temperature, ..Gpu::default() }];
        let hardware = Hardware { gpus, cards: vec![card], ..Hardware::default() };
        let now = Instant::now();
        (0..=5).map(|look| cards.see(&hardware, ours, now + Duration::from_secs(2 * look))).last().unwrap()
    }

    #[track_caller]
    fn check(options: &Options, temperature: Option<u32>, card: Card, ours: u64, expected: (bool, bool)) {
        let found = last(&mut Cards::new(options), temperature, card, ours);
        assert_eq!((found.warm, found.others), expected);
    }

    #[test]
    fn a_card_is_too_warm_below_where_it_slows_down() {
        let options = Options::default();
        check(&options, Some(80), card(None, Some(0)), 0, (false, false));
        check(&options, Some(81), card(None, Some(0)), 0, (true, false));
        check(&options, None, card(None, Some(0)), 0, (false, false));
        check(&options, Some(82), Card { slows_down_at: None, ..card(None, Some(0)) }, 0, (false, false));
        check(&options, Some(83), Card { slows_down_at: Some(105), ..card(None, Some(0)) }, 0, (true, false));
        let cool = Options { gpu_temperature: Some(60), ..options };
        check(&cool, Some(60), card(None, Some(0)), 0, (true, false));
    }

    #[test]
    fn what_others_use_counts_and_what_we_use_does_not() {
        let options = Options::default();
        check(&options, None, card(Some(39), Some(GIB)), 0, (false, false));
        check(&options, None, card(Some(40), Some(GIB)), 0, (false, true));
        check(&options, None, card(Some(0), Some(6 * GIB)), 0, (false, true));
        // Windows does not say whose the memory is: then it is what is taken, less what our engines say they have.
        check(&options, None, card(None, None), 8 * GIB, (false, false));
        check(&options, None, card(None, None), 3 * GIB, (false, true));
        let never = Options { gpu_others: 100, gpu_memory_others: 100, ..options };
        check(&never, None, card(Some(100), Some(12 * GIB)), 0, (false, false));
    }
}
