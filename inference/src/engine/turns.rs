//! Whose prompt is read in a step: one after the other, so that each piece is long and its weights are fetched once.
//!
//! Turns alternate between the prompt that came first and the one that is nearest to its end. So a short question is
//! not behind a long document, and the document goes on at half the speed at the least.

use crate::engine::SlotId;

/// A prompt that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) slot: SlotId,
    /// Tokens of it that are still to be read; at least one.
    pub(super) unread: usize,
    /// Its number among all that ever came.
    pub(super) number: u64,
}

/// Which one comes first in every second step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Turn {
    #[default]
    Shortest,
    Oldest,
}

impl Turn {
    /// Shares `room` tokens of a step among prompts; appends slots and their tokens.
    pub(super) fn share(&mut self, reading: &mut [Reading], mut room: usize, shares: &mut Vec<(SlotId, usize)>) {
        match *self {
            Self::Shortest => reading.sort_unstable_by_key(|prompt| (prompt.unread, prompt.number)),
            Self::Oldest => reading.sort_unstable_by_key(|prompt| prompt.number),
        }
        *self = if matches!(self, Self::Shortest) { Self::Oldest } else { Self::Shortest };
        for prompt in reading.iter() {
            let tokens = prompt.unread.min(room);
            if tokens > 0 {
                shares.push((prompt.slot, tokens));
            }
            room -= tokens;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads prompts of these lengths in steps of `room`; gives the step in which each was through.
    fn check(lengths: &[usize], room: usize, expected: &[usize]) {
        let (mut left, mut through) = (lengths.to_vec(), vec![0; lengths.len()]);
        let mut turn = Turn::default();
        for step in 1..1000 {
            let reading = |slot: usize| Reading { slot, unread: left[slot], number: slot as u64 };
            let mut reading: Vec<Reading> = (0..left.len()).filter(|&slot| left[slot] > 0).map(reading).collect();
            let mut shares = Vec::new();
            turn.share(&mut reading, room, &mut shares);
            assert!(shares.iter().map(|share| share.1).sum::<usize>() <= room);
            for (slot, tokens) in shares {
                left[slot] -= tokens;
                through[slot] = if left[slot] == 0 { step } else { 0 };
            }
        }
        assert_eq!(through, expected);
    }

    #[test]
    fn a_short_prompt_is_not_behind_a_long_one_which_goes_on_too() {
        check(&[1000], 10, &[100]);
        check(&[1000, 20], 10, &[102, 3]);
        // Many short ones that keep coming take half of the steps at the most.
        check(&[100, 40, 40, 40, 40, 40], 10, &[18, 7, 15, 22, 26, 30]);
        check(&[3, 3, 3], 10, &[1, 1, 1]);
    }
}
