//! Chooses a token from logits, the same way for every engine that has logits.
//!
//! The random number of a position depends on (seed, position) and nothing else, so that another node with the same
//! file goes on with an answer as this one would have. The order of the filters is llama.cpp's.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};

use crate::{Failure, Sampling};

/// How many of the last tokens the repetition penalty looks at, as in llama.cpp.
const REPETITION_WINDOW: usize = 64;

/// Chooses the tokens of one answer. Pure: the same logits, history and position give the same token.
pub struct Sampler {
    sampling: Sampling,
    seed: u64,
    /// Reused from token to token: logit and id.
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy)]
struct Candidate {
    logit: f32,
    token: u32,
}

impl Sampler {
    /// A sampler for one answer. Without a seed in `sampling` it picks one.
    pub fn new(sampling: Sampling) -> Self {
        let seed = sampling.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Self { sampling, seed, candidates: Vec::new() }
    }

    /// The token for `position` of the answer, counted from 0. `logits` has one number for each token of the
    /// vocabulary; `history` are all tokens before, prompt and answer.
    ///
    /// # Errors
    /// [`Failure::Garbage`] when a logit is NaN or +∞, or none is above -∞.
    pub fn choose(&mut self, logits: &[f32], history: &[u32], position: usize) -> Result<u32, Failure> {
        self.fill(logits)?;
        self.penalise(history);
        if self.sampling.temperature == 0.0 {
            return Ok(self.likeliest());
        }
        self.keep_top_k();
        self.keep_top_p();
        self.keep_min_p();
        Ok(self.draw(unit(self.seed, position)))
    }

    fn fill(&mut self, logits: &[f32]) -> Result<(), Failure> {
        if logits.iter().any(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return Err(Failure::Garbage { what: "logits that are not numbers".into() });
        }
        if logits.iter().all(|logit| *logit == f32::NEG_INFINITY) {
            return Err(Failure::Garbage { what: "logits that allow no token".into() });
        }
        self.candidates.clear();
        self.candidates.extend((0..).zip(logits).map(|(token, &logit)| Candidate { logit, token }));
        Ok(())
    }

    fn penalise(&mut self, history: &[u32]) {
        let penalty = self.sampling.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let mut recent = history[history.len().saturating_sub(REPETITION_WINDOW)..].to_vec();
        recent.sort_unstable();
        recent.dedup();
        for token in recent {
            let Some(candidate) = self.candidates.get_mut(token as usize) else { continue };
            let logit = candidate.logit;
            candidate.logit = if logit > 0.0 { logit / penalty } else { logit * penalty };
        }
    }

    fn likeliest(&self) -> u32 {
        let best = self.candidates.iter().min_by(|a, b| order(a, b));
        best.map_or(0, |best| best.token)
    }

    /// Sorts what is kept, likeliest first.
    fn keep_top_k(&mut self) {
        let top_k = self.sampling.top_k as usize;
        if top_k > 0 && top_k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(top_k - 1, order);
            self.candidates.truncate(top_k);
        }
        self.candidates.sort_unstable_by(order);
    }

    fn keep_top_p(&mut self) {
        if self.sampling.top_p >= 1.0 {
            return;
        }
        let total: f64 = self.weights(1.0).sum();
        let mut sum = 0.0;
        let enough = self.weights(1.0).position(|weight| {
            sum += weight;
            sum >= f64::from(self.sampling.top_p) * total
        });
        self.candidates.truncate(enough.map_or(usize::MAX, |last| last + 1));
    }

    fn keep_min_p(&mut self) {
        let least = f64::from(self.sampling.min_p);
        let kept = self.weights(1.0).take_while(|&weight| weight >= least).count();
        self.candidates.truncate(kept.max(1));
    }

    /// The token at `unit`, from 0 to 1, of the cumulated probabilities at the request's temperature.
    fn draw(&self, unit: f64) -> u32 {
        let temperature = f64::from(self.sampling.temperature);
        let mut left = unit * self.weights(temperature).sum::<f64>();
        for (candidate, weight) in self.candidates.iter().zip(self.weights(temperature)) {
            left -= weight;
            if left < 0.0 {
                return candidate.token;
            }
        }
        self.candidates[0].token
    }

    /// Probabilities relative to the likeliest, which is first.
    fn weights(&self, temperature: f64) -> impl Iterator<Item = f64> {
        let best = f64::from(self.candidates[0].logit);
        self.candidates.iter().map(move |candidate| ((f64::from(candidate.logit) - best) / temperature).exp())
    }
}

/// Likeliest first; equal ones by id, so that the order never depends on the sort.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

/// A number from 0 up to 1, excluded, for (seed, position): two rounds of the finaliser of splitmix64.
fn unit(seed: u64, position: usize) -> f64 {
    let bits = mix(seed ^ mix(position as u64));
    // The upper 53 bits are what an f64 holds exactly.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 6] = [0.5, 3.0, 1.0, 2.0, -1.0, f32::NEG_INFINITY];

    fn all() -> Sampling {
        Sampling { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, seed: Some(7), ..Sampling::default() }
    }

    /// How often each token comes in ten thousand positions.
    fn counts(sampling: Sampling, history: &[u32]) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        let mut counts = vec![0; LOGITS.len()];
        for position in 0..10_000 {
            counts[sampler.choose(&LOGITS, history, position).unwrap() as usize] += 1;
        }
        counts
    }

    fn check_kept(sampling: Sampling, expected: &[u32]) {
        let counts = counts(sampling.clone(), &[]);
        let kept: Vec<u32> = (0..).zip(&counts).filter(|(_, count)| **count > 0).map(|(token, _)| token).collect();
        assert_eq!(kept, expected, "{sampling:?} {counts:?}");
    }

    #[test]
    fn filters_keep_what_they_should() {
        // Probabilities: 0.59, 0.22, 0.08, 0.05, 0.01 for tokens 1, 3, 2, 0, 4.
        check_kept(all(), &[0, 1, 2, 3, 4]);
        check_kept(Sampling { top_k: 2, ..all() }, &[1, 3]);
        check_kept(Sampling { top_k: 100, ..all() }, &[0, 1, 2, 3, 4]);
        check_kept(Sampling { top_p: 0.7, ..all() }, &[1, 3]);
        check_kept(Sampling { top_p: 0.0, ..all() }, &[1]);
        check_kept(Sampling { min_p: 0.13, ..all() }, &[1, 2, 3]);
        check_kept(Sampling { min_p: 1.0, ..all() }, &[1]);
        check_kept(Sampling { temperature: 0.0, ..all() }, &[1]);
        check_kept(Sampling { temperature: 0.01, ..all() }, &[1]);
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let total: f64 = LOGITS.iter().map(|&logit| f64::from(logit).exp()).sum();
        for (count, logit) in counts(all(), &[]).into_iter().zip(LOGITS) {
            let expected = f64::from(logit).exp() / total * 10_000.0;
            assert!((f64::from(count) - expected).abs() < 4.0 * expected.sqrt() + 1.0, "{count} {expected}");
        }
    }

    #[test]
    fn a_repeated_token_is_less_likely() {
        let penalty = Sampling { repetition_penalty: 2.0, ..all() };
        let (free, penalised) = (counts(all(), &[]), counts(penalty.clone(), &[1, 1, 4]));
        assert!(penalised[1] < free[1] / 2 && penalised[4] < free[4] + 30, "{free:?} {penalised:?}");
        let mut greedy = Sampler::new(Sampling { temperature: 0.0, ..penalty });
        assert_eq!(greedy.choose(&LOGITS, &[1], 0), Ok(3));
        let long_ago = [&[1][..], &[0; REPETITION_WINDOW]].concat();
        assert_eq!(greedy.choose(&LOGITS, &long_ago, 0), Ok(1));
    }

    #[test]
    fn a_position_always_gets_the_same_number() {
        let tokens = |seed: u64, from: usize| -> Vec<u32> {
            let mut sampler = Sampler::new(Sampling { seed: Some(seed), ..all() });
            (from..200).map(|position| sampler.choose(&LOGITS, &[], position).unwrap()).collect()
        };
        assert_eq!(tokens(1, 0)[50..], tokens(1, 50));
        assert_ne!(tokens(1, 0), tokens(2, 0));
        assert!((0..10_000).map(|position| unit(3, position)).all(|unit| (0.0..1.0).contains(&unit)));
    }

    #[test]
    fn equal_logits_are_decided_by_id() {
        let mut sampler = Sampler::new(Sampling { temperature: 0.0, ..all() });
        assert_eq!(sampler.choose(&[1.0; 9], &[], 0), Ok(0));
    }

    #[test]
    fn garbage_is_a_failure_and_never_a_token() {
        for bad in [f32::NAN, f32::INFINITY] {
            for sampling in [all(), Sampling::greedy()] {
                let result = Sampler::new(sampling.clone()).choose(&[0.0, bad, 1.0], &[], 0);
                assert!(matches!(result, Err(Failure::Garbage { .. })), "{result:?}");
            }
        }
        for sampling in [all(), Sampling::greedy()] {
            let none = Sampler::new(sampling.clone()).choose(&[f32::NEG_INFINITY; 3], &[], 0);
            assert!(matches!(none, Err(Failure::Garbage { .. })), "{none:?}");
            assert!(Sampler::new(sampling).choose(&[], &[], 0).is_err());
        }
    }
}
