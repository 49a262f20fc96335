//! How much of the waiting prompts one step reads: as much as fits into the pause that a running answer may make,
//! by what steps cost lately.
//!
//! A model of two numbers, the time of a step without prompts and the time of one prompt token beside it, smoothed
//! over measurements. It has no clock: durations go in, a number of tokens comes out.

use std::time::Duration;

/// Aim for a step beside running answers. They are promised 250 ms; the rest is for what is not foreseen.
const BESIDE_ANSWERS: f64 = 0.2;
/// Aim while only prompts are read: so soon at the latest a cancel is noticed and a newcomer served. Every chunk reads
/// all weights once more: on two cores, a model of 0.6 B and a prompt of 512, chunks of 0.7 s cost 6 % of the speed and
/// those of 2 s 1 %.
const ALONE: f64 = 2.0;
/// Tokens of the first chunk, when nothing is known: an eighth of a second at the slowest speed measured so far.
const FIRST: usize = 16;
/// A prompt goes on even where a step of the answers alone takes too long.
const LEAST: usize = 4;
/// A whole batch of the engine.
const MOST: usize = 512;
/// Above this a chunk is a multiple of it, as matrix kernels like it.
const ROUND: usize = 8;
/// Weight of a step that was quicker than expected, and of one that was slower: pauses are noticed, gains can wait.
const QUICKER: f64 = 0.3;
const SLOWER: f64 = 0.6;

/// What steps cost, in seconds; 0 until measured.
#[derive(Default)]
pub(super) struct Chunk {
    /// A step that reads no prompt.
    step: f64,
    /// Each prompt token more.
    token: f64,
}

/// What one step did.
pub(super) struct Measured {
    /// Most prompt tokens that it might read.
    pub(super) allowed: usize,
    /// Those that it read.
    pub(super) read: usize,
    /// Tokens that it gave.
    pub(super) given: usize,
    /// Its time.
    pub(super) took: Duration,
}

impl Chunk {
    /// Prompt tokens for the next step, `answering` answers running beside.
    pub(super) fn tokens(&self, answering: usize) -> usize {
        if self.token == 0.0 {
            return FIRST;
        }
        let room = if answering == 0 { ALONE } else { BESIDE_ANSWERS - self.step };
        // A float that does not fit becomes the nearest that does.
        let tokens = ((room / self.token) as usize).clamp(LEAST, MOST);
        if tokens > ROUND { tokens - tokens % ROUND } else { tokens }
    }

    /// Learns from a step. The last bit of a prompt says little about the cost of a token.
    pub(super) fn learn(&mut self, step: &Measured) {
        let took = step.took.as_secs_f64();
        if step.read == 0 && step.given > 0 {
            self.step = smooth(self.step, took);
        } else if step.read > 0 && step.read >= step.allowed.div_ceil(2) {
            let beside = if step.given > 0 { self.step.min(took) } else { 0.0 };
            // A clock that did not move must not look like nothing measured.
            self.token = smooth(self.token, ((took - beside) / step.read as f64).max(1e-9));
        }
    }
}

fn smooth(before: f64, now: f64) -> f64 {
    let weight = if now > before { SLOWER } else { QUICKER };
    if before == 0.0 { now } else { before + weight * (now - before) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine: seconds of any step, of each row of an answer, of each prompt token.
    #[derive(Clone, Copy)]
    struct Machine {
        step: f64,
        row: f64,
        token: f64,
    }

    /// A laptop with a small model, a card with a large one, and a model far too large.
    const CPU: Machine = Machine { step: 0.04, row: 0.013, token: 0.0106 };
    const GPU: Machine = Machine { step: 0.008, row: 0.0004, token: 0.0002 };
    const SLOW: Machine = Machine { step: 0.5, row: 0.1, token: 0.3 };

    impl Machine {
        fn step(self, chunk: &mut Chunk, answering: usize, prompt: usize) -> (f64, usize) {
            let allowed = chunk.tokens(answering);
            let read = allowed.min(prompt);
            let took = self.step + self.row * answering as f64 + self.token * read as f64;
            chunk.learn(&Measured { allowed, read, given: answering, took: Duration::from_secs_f64(took) });
            (took, read)
        }

        fn steps(self, count: usize, chunk: &mut Chunk, answering: usize, prompt: usize) {
            for _ in 0..count {
                self.step(chunk, answering, prompt);
            }
        }
    }

    /// Reads a long prompt alone, then one beside answers; no step beside answers may take longer than promised.
    fn check(machine: Machine, answering: usize, least: usize) {
        let mut chunk = Chunk::default();
        machine.steps(20, &mut chunk, 0, usize::MAX);
        let (took, _) = machine.step(&mut chunk, 0, usize::MAX);
        assert!(took < 2.1, "alone {took}");
        machine.steps(3, &mut chunk, answering, 0);
        for _ in 0..50 {
            let (took, read) = machine.step(&mut chunk, answering, usize::MAX);
            assert!(took <= 0.25, "{took} for {read}");
            assert!(read >= least, "{read} in {took}");
        }
    }

    #[test]
    fn a_running_answer_never_pauses_for_longer_than_promised() {
        check(CPU, 1, 8);
        check(CPU, 4, 8);
        check(GPU, 1, 512);
        check(GPU, 8, 512);
    }

    #[test]
    fn the_first_chunk_is_small_and_later_ones_as_large_as_they_may() {
        let mut chunk = Chunk::default();
        assert_eq!((chunk.tokens(0), chunk.tokens(3)), (FIRST, FIRST));
        CPU.steps(20, &mut chunk, 0, usize::MAX);
        assert!((176..=192).contains(&chunk.tokens(0)) && chunk.tokens(2) < 24, "{}", chunk.tokens(0));
        GPU.steps(30, &mut chunk, 0, usize::MAX);
        assert_eq!(chunk.tokens(0), MOST);
    }

    #[test]
    fn a_model_that_is_too_slow_still_goes_on() {
        let mut chunk = Chunk::default();
        SLOW.steps(9, &mut chunk, 0, usize::MAX);
        SLOW.steps(9, &mut chunk, 2, 0);
        assert_eq!(chunk.tokens(2), LEAST);
    }

    #[test]
    fn a_machine_that_slows_down_is_noticed_within_two_steps() {
        let mut chunk = Chunk::default();
        CPU.steps(20, &mut chunk, 1, usize::MAX);
        let busy = Machine { token: CPU.token * 3.0, ..CPU };
        let pauses: Vec<f64> = (0..6).map(|_| busy.step(&mut chunk, 1, usize::MAX).0).collect();
        assert!(pauses[2..].iter().all(|&pause| pause <= 0.25), "{pauses:?}");
    }

    #[test]
    fn the_end_of_a_prompt_and_a_clock_that_stands_mislead_nobody() {
        let mut chunk = Chunk::default();
        CPU.steps(20, &mut chunk, 0, usize::MAX);
        let before = chunk.tokens(0);
        CPU.step(&mut chunk, 0, 1);
        assert_eq!(chunk.tokens(0), before);
        let mut chunk = Chunk::default();
        chunk.learn(&Measured { allowed: 16, read: 16, given: 0, took: Duration::ZERO });
        assert_eq!(chunk.tokens(0), MOST);
    }
}
