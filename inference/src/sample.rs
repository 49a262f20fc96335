//! Chooses a token from logits, the same way for every engine that has logits.
//!
//! The random number of a position depends on (seed, position) and nothing else, so that another node with the same
//! file goes on with an answer as this one would have. The order of the steps is llama.cpp's: biases, penalties, the
//! form that the answer must have, `top_k`, `top_p`, `min_p`, temperature.
//!
//! Vocabularies have 150 thousand tokens and many sequences are in one step, so there are few passes over all logits,
//! each of a form that compilers turn into vector instructions, and nothing sorts more than it keeps.

use std::hash::{BuildHasher, RandomState};

use crate::constrain::Matcher;
use crate::{Failure, Likely, Sampling, TokenLogprob};

use adjust::Adjuster;
use filter::{Candidate, kept};

mod adjust;
mod filter;
mod numeric;

/// Chooses the tokens of one answer. Pure: the same logits, history and position give the same token. Where the answer
/// has a form, every token of it has to be chosen here, in order.
pub struct Sampler {
    sampling: Sampling,
    seed: u64,
    adjuster: Adjuster,
    matcher: Option<Matcher>,
    /// Reused from token to token.
    adjusted: Vec<f32>,
    candidates: Vec<Candidate>,
    logprob: Option<TokenLogprob>,
}

impl Sampler {
    /// A sampler for one answer, of the form of `matcher` where there is one. Without a seed in `sampling` it picks one.
    pub fn new(sampling: Sampling, matcher: Option<Matcher>) -> Self {
        let seed = sampling.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let (adjusted, candidates) = (Vec::new(), Vec::new());
        Self { sampling, seed, adjuster: Adjuster::default(), matcher, adjusted, candidates, logprob: None }
    }

    /// The token for `position` of the answer, counted from 0. `logits` has one number for each token of the
    /// vocabulary; `history` are all tokens before: the prompt's, then the `position` tokens of the answer.
    ///
    /// # Errors
    /// [`Failure::Garbage`] when a logit is NaN or +∞, none is above -∞, or the form cannot be followed any more.
    pub fn choose(&mut self, logits: &[f32], history: &[u32], position: usize) -> Result<u32, Failure> {
        let best = numeric::max(logits)?;
        let token = if self.adjust(logits, history, position)? {
            let best = numeric::max(&self.adjusted)?;
            choose(&self.sampling, self.seed, &self.adjusted, best, position, &mut self.candidates)
        } else {
            choose(&self.sampling, self.seed, logits, best, position, &mut self.candidates)
        };
        if let Some(matcher) = &mut self.matcher {
            matcher.take(token)?;
        }
        self.logprob = self.sampling.top_logprobs.map(|count| logprob(logits, best, token, count as usize));
        Ok(token)
    }

    /// Leaves changed logits in `adjusted`; false when there is nothing to change.
    fn adjust(&mut self, logits: &[f32], history: &[u32], position: usize) -> Result<bool, Failure> {
        if self.matcher.is_none() && !adjust::is_needed(&self.sampling) {
            return Ok(false);
        }
        self.adjusted.clear();
        self.adjusted.extend_from_slice(logits);
        self.adjuster.adjust(&self.sampling, history, position, &mut self.adjusted);
        if let Some(matcher) = &mut self.matcher {
            matcher.restrict(&mut self.adjusted)?;
        }
        Ok(true)
    }

    /// How likely the last token was by the model alone, where that was asked for. The bytes are left empty.
    pub fn take_logprob(&mut self) -> Option<TokenLogprob> {
        self.logprob.take()
    }
}

/// The token at `position` by logits of which `best` is the highest.
fn choose(
    sampling: &Sampling,
    seed: u64,
    logits: &[f32],
    best: f32,
    position: usize,
    candidates: &mut Vec<Candidate>,
) -> u32 {
    if sampling.temperature == 0.0 {
        return (0..).zip(logits).find(|(_, logit)| **logit == best).map_or(0, |(token, _)| token);
    }
    kept(sampling, logits, best, candidates);
    draw(candidates, best, sampling.temperature, unit(seed, position))
}

/// The candidate at `unit`, from 0 to 1, of the cumulated probabilities at `temperature`, in the order of their ids.
fn draw(candidates: &[Candidate], best: f32, temperature: f32, unit: f64) -> u32 {
    let weight =
        |candidate: &Candidate| ((f64::from(candidate.logit) - f64::from(best)) / f64::from(temperature)).exp();
    let mut left = unit * candidates.iter().map(weight).sum::<f64>();
    for candidate in candidates {
        left -= weight(candidate);
        if left < 0.0 {
            return candidate.token;
        }
    }
    // Rounding used up the last of it.
    candidates.iter().max_by(|a, b| filter::order(b, a)).map_or(0, |likeliest| likeliest.token)
}

/// Log-probabilities of `token` and of the `count` likeliest.
fn logprob(logits: &[f32], best: f32, token: u32, count: usize) -> TokenLogprob {
    let total = numeric::exp_sum(logits, best).ln();
    let likely = |token: u32, logit: f32| {
        // What cannot be is as unlikely as a number can say: JSON has no infinity.
        let logprob = ((f64::from(logit) - f64::from(best) - total) as f32).max(f32::MIN);
        Likely { token, logprob, bytes: Vec::new() }
    };
    let mut top = Vec::new();
    filter::top(logits, count, &mut top);
    TokenLogprob {
        taken: likely(token, logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY)),
        top: top.iter().map(|candidate| likely(candidate.token, candidate.logit)).collect(),
    }
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
mod naive;
#[cfg(test)]
mod tests;
