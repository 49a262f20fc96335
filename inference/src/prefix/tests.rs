//! Plans, carried out on caches that are plain lists of tokens, so that every wrong byte shows.

use super::*;
use crate::Sampling;

/// An engine whose caches are lists and whose saved states are copies of them.
struct Naive {
    prefixes: Prefixes<Vec<u32>>,
    caches: Vec<Vec<u32>>,
    /// What a saved token costs.
    token_bytes: u64,
}

impl Naive {
    fn new(slots: usize, budget: u64) -> Self {
        Self { prefixes: Prefixes::new(slots, budget), caches: vec![Vec::new(); slots], token_bytes: 1 }
    }

    /// Admits a sequence as an engine does; gives its slot and how much of it was there.
    fn admit(&mut self, tokens: &[u32], answered: usize, labels: &[u64]) -> (SlotId, usize) {
        let Plan { slot, save, origin, keep } = self.prefixes.plan(tokens).expect("a slot is idle");
        if save {
            let state = self.caches[slot].clone();
            self.prefixes.save(slot, state.clone(), state.len() as u64 * self.token_bytes);
        }
        match origin {
            Origin::Own => {}
            Origin::Slot(other, length) => {
                assert_ne!(other, slot);
                self.caches[slot] = self.caches[other].clone();
                assert_eq!(self.caches[slot].len(), length);
            }
            Origin::Saved(state, length) => {
                self.caches[slot].clone_from(&state);
                assert_eq!(state.len(), length);
            }
        }
        self.caches[slot].truncate(keep);
        assert!(keep < tokens.len(), "nothing is left to compute");
        assert_eq!(self.caches[slot], tokens[..keep], "the slot holds what is not the sequence's");
        let sampling = Sampling::greedy();
        let sequence =
            Sequence { tokens: tokens.to_vec(), answered, sampling, prefixes: labels.to_vec(), matcher: None };
        self.prefixes.begin(slot, &sequence, keep);
        (slot, keep)
    }

    /// Computes up to `most` tokens of a slot.
    fn compute(&mut self, slot: SlotId, most: usize) {
        let (from, count) = (self.prefixes.computed(slot), self.prefixes.unread(slot).min(most));
        self.caches[slot].extend(&self.prefixes.tokens(slot)[from..from + count]);
        self.prefixes.advance(slot, count);
    }

    /// A whole answer: the prompt, then `answer`, of which the last token is chosen and never computed.
    fn answer(&mut self, prompt: &[u32], answer: &[u32], labels: &[u64]) -> usize {
        let (slot, keep) = self.admit(prompt, 0, labels);
        for &token in answer {
            self.compute(slot, usize::MAX);
            self.prefixes.push(slot, token);
        }
        self.prefixes.end(slot);
        keep
    }

    fn labels(&self) -> Vec<u64> {
        let mut told = Vec::new();
        self.prefixes.labels(&mut told);
        told
    }
}

/// `count` tokens that only `of` has.
fn words(of: u32, count: u32) -> Vec<u32> {
    (0..count).map(|number| of * 10_000 + number).collect()
}

fn join(parts: &[&[u32]]) -> Vec<u32> {
    parts.concat()
}

const PLENTY: u64 = 1 << 30;

#[test]
fn the_next_turn_computes_only_what_is_new() {
    let mut naive = Naive::new(2, 0);
    let (first, answer) = (words(1, 50), words(2, 20));
    assert_eq!(naive.answer(&first, &answer, &[]), 0);
    // The last token of an answer was never computed.
    assert_eq!(naive.answer(&join(&[&first, &answer, &words(3, 10)]), &[7], &[]), 69);
}

#[test]
fn a_prompt_once_more_computes_its_last_token() {
    let mut naive = Naive::new(1, PLENTY);
    naive.answer(&words(1, 50), &words(2, 40), &[]);
    assert_eq!(naive.answer(&words(1, 50), &words(2, 40), &[]), 49);
    assert!(naive.prefixes.saved.is_empty(), "an answer given once more was saved");
}

#[test]
fn more_conversations_than_slots_are_saved_and_come_back() {
    let mut naive = Naive::new(1, PLENTY);
    let talks: Vec<Vec<u32>> = (1..=5).map(|of| words(of, 100)).collect();
    for talk in &talks {
        naive.answer(talk, &words(9, 50), &[]);
    }
    for talk in &talks {
        let next = join(&[talk, &words(9, 50), &words(8, 5)]);
        assert_eq!(naive.answer(&next, &[1, 2, 3], &[]), 149);
    }
    assert_eq!(naive.prefixes.saved.len(), 4, "a conversation is saved twice");
}

#[test]
fn without_a_budget_nothing_is_saved() {
    let mut naive = Naive::new(1, 0);
    naive.answer(&words(1, 100), &[1], &[]);
    naive.answer(&words(2, 100), &[1], &[]);
    assert_eq!(naive.answer(&words(1, 100), &[1], &[]), 0);
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let mut naive = Naive::new(1, 250);
    for of in 1..=4 {
        naive.answer(&words(of, 100), &[1], &[u64::from(of)]);
    }
    // Two of a hundred fit, beside the one in the slot.
    assert_eq!(naive.labels(), [4, 3, 2]);
    assert_eq!(naive.answer(&join(&[&words(2, 100), &[5]]), &[1], &[20]), 100);
    assert_eq!(naive.labels(), [20, 4, 3]);
    assert_eq!(naive.answer(&join(&[&words(1, 100), &[5]]), &[1], &[10]), 0);
    // What is larger than the whole budget throws nobody else out.
    naive.answer(&words(6, 400), &[1], &[6]);
    naive.answer(&words(7, 100), &[1], &[7]);
    assert_eq!(naive.labels(), [7, 10, 20]);
}

#[test]
fn the_oldest_idle_slot_is_overwritten_and_an_empty_one_before_it() {
    let mut naive = Naive::new(3, 0);
    naive.answer(&words(1, 40), &[1], &[1]);
    naive.answer(&words(2, 40), &[1], &[2]);
    naive.answer(&words(3, 40), &[1], &[3]);
    naive.answer(&join(&[&words(1, 40), &[5]]), &[1], &[4]);
    naive.answer(&words(5, 40), &[1], &[5]);
    assert_eq!(naive.labels(), [5, 4, 3]);
}

#[test]
fn a_system_prompt_is_taken_from_a_slot_that_runs() {
    let mut naive = Naive::new(2, 0);
    let system = words(1, 90);
    let (first, _) = naive.admit(&join(&[&system, &words(2, 30)]), 0, &[]);
    naive.compute(first, 40);
    // Only what is computed can be copied.
    let (second, keep) = naive.admit(&join(&[&system, &words(3, 30)]), 0, &[]);
    assert_eq!((second != first, keep), (true, 40));
    naive.prefixes.end(second);
    naive.compute(first, usize::MAX);
    let (_, keep) = naive.admit(&join(&[&system, &words(4, 30)]), 0, &[]);
    assert_eq!(keep, 90);
}

#[test]
fn little_is_not_copied_and_much_not_for_little() {
    let mut naive = Naive::new(2, 0);
    naive.admit(&words(1, 100), 0, &[]);
    naive.compute(0, usize::MAX);
    let begin = |count: usize| join(&[&words(1, 100)[..count], &words(2, 50)]);
    assert_eq!(naive.admit(&begin(31), 0, &[]).1, 0);
    naive.prefixes.end(1);
    assert_eq!(naive.admit(&begin(32), 0, &[]).1, 32);
    let mut naive = Naive::new(2, 0);
    naive.admit(&words(1, 9000), 0, &[]);
    naive.compute(0, usize::MAX);
    assert_eq!(naive.admit(&join(&[&words(1, 1000), &words(2, 50)]), 0, &[]).1, 0);
}

#[test]
fn another_conversation_with_the_same_system_prompt_loses_nothing() {
    let mut naive = Naive::new(1, PLENTY);
    let system = words(1, 100);
    let talk = |of| join(&[&system, &words(of, 80)]);
    assert_eq!(naive.answer(&talk(2), &words(20, 50), &[]), 0);
    assert_eq!(naive.answer(&talk(3), &words(30, 50), &[]), 100);
    assert_eq!(naive.answer(&join(&[&talk(2), &words(20, 50), &[5]]), &[1], &[]), 229);
    assert_eq!(naive.answer(&join(&[&talk(3), &words(30, 50), &[5]]), &[1], &[]), 229);
}

#[test]
fn a_sequence_that_cannot_be_cut_is_only_gone_on_with() {
    let mut naive = Naive::new(1, PLENTY);
    naive.prefixes.never_cut();
    naive.answer(&words(1, 50), &words(2, 3), &[]);
    assert_eq!(naive.answer(&join(&[&words(1, 50), &words(3, 50)]), &[1], &[]), 0);
    assert_eq!(naive.answer(&join(&[&words(1, 50), &words(3, 50), &[1]]), &[1], &[]), 100);
    assert_eq!(naive.answer(&join(&[&words(1, 50), &words(3, 50), &[1]]), &[1], &[]), 0);
}

#[test]
fn labels_come_with_a_whole_prompt_and_go_with_it() {
    let mut naive = Naive::new(1, 0);
    let (slot, _) = naive.admit(&words(1, 50), 0, &[1, 2, 3]);
    naive.compute(slot, 49);
    assert!(naive.labels().is_empty());
    naive.compute(slot, 1);
    assert_eq!(naive.labels(), [3, 2, 1]);
    naive.prefixes.forget(slot);
    naive.prefixes.end(slot);
    assert!(naive.labels().is_empty());
    // A prompt that was given up half read is still worth something.
    let (slot, _) = naive.admit(&words(1, 50), 0, &[4]);
    naive.compute(slot, 20);
    naive.prefixes.end(slot);
    assert!(naive.labels().is_empty());
    assert_eq!(naive.answer(&words(1, 50), &[1], &[5]), 20);
    // A continuation has its prompt's labels, however much of its answer was given.
    let (slot, _) = naive.admit(&words(2, 50), 10, &[6]);
    naive.compute(slot, 40);
    assert_eq!(naive.labels(), [6]);
}

#[test]
fn labels_are_bounded() {
    let mut naive = Naive::new(40, 0);
    for of in 0..40 {
        let labels: Vec<u64> = (0..200).map(|label| of * 1000 + label).collect();
        naive.answer(&words(u32::try_from(of).unwrap(), 5), &[1], &labels);
    }
    let told = naive.labels();
    assert_eq!((told.len(), told[0], told[63], told[64]), (LABELS_TOLD, 39_199, 39_136, 38_199));
}

/// A number below `below`, another one each time.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

#[test]
fn whatever_happens_a_slot_holds_the_beginning_of_its_sequence() {
    for seed in 0..60 {
        let mut at = seed;
        let (slots, budget) = (1 + random(&mut at, 4), [0, 500, 3000, PLENTY][random(&mut at, 4) as usize]);
        let mut naive = Naive::new(slots as usize, budget);
        if random(&mut at, 4) == 0 {
            naive.prefixes.never_cut();
        }
        let mut running: Vec<SlotId> = Vec::new();
        for _ in 0..400 {
            match random(&mut at, 6) {
                0 | 1 if running.len() < slots as usize => {
                    // A path in a small tree of long words, so that most sequences share something.
                    let path = (0..1 + random(&mut at, 4)).map(|_| words(random(&mut at, 3) as u32, 45));
                    let tokens: Vec<u32> = path.flatten().collect();
                    let answered = random(&mut at, tokens.len() as u64) as usize;
                    let labels = [random(&mut at, 50)];
                    running.push(naive.admit(&tokens, answered, &labels).0);
                }
                2 | 3 if !running.is_empty() => {
                    let slot = running[random(&mut at, running.len() as u64) as usize];
                    naive.compute(slot, random(&mut at, 60) as usize);
                    if naive.prefixes.unread(slot) == 0 {
                        naive.prefixes.push(slot, random(&mut at, 3) as u32);
                    }
                }
                4 if !running.is_empty() => {
                    let slot = running.swap_remove(random(&mut at, running.len() as u64) as usize);
                    if random(&mut at, 8) == 0 {
                        naive.prefixes.forget(slot);
                        naive.caches[slot].clear();
                    }
                    naive.prefixes.end(slot);
                }
                _ => {}
            }
            assert!(naive.prefixes.saved_bytes() <= budget);
            assert_eq!(naive.prefixes.is_busy(), !running.is_empty());
            for slot in 0..slots as usize {
                assert_eq!(naive.caches[slot].len(), naive.prefixes.computed(slot), "seed {seed}");
            }
        }
    }
}

#[test]
fn answers_that_run_together_lie_side_by_side() {
    let mut naive = Naive::new(8, 1_000_000);
    // All slots were used, in an order that would scatter what comes.
    for (number, slot) in [3, 7, 1, 5, 0, 6, 2, 4].into_iter().enumerate() {
        naive.prefixes.places[slot].held = Held { used: number as u64 + 1, ..Held::default() };
        naive.prefixes.places[slot].held.tokens = vec![900 + slot as u32; 50];
        naive.prefixes.places[slot].held.computed = 50;
        naive.caches[slot] = vec![900 + slot as u32; 50];
    }
    let mut slots: Vec<SlotId> = (1..=4).map(|first| naive.admit(&[first; 60], 0, &[]).0).collect();
    slots.sort_unstable();
    assert_eq!(slots[3] - slots[0], 3, "{slots:?}");
}
