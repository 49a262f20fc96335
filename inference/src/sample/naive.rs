//! The definition of what the sampler does, in the plainest way, to compare with.

use super::{filter, unit};
use crate::Sampling;
use filter::Candidate;

pub(super) struct Naive<'a> {
    pub(super) sampling: &'a Sampling,
    pub(super) logits: &'a [f32],
}

impl Naive<'_> {
    pub(super) fn choose(&self, history: &[u32], position: usize) -> u32 {
        let mut candidates: Vec<Candidate> = (0..)
            .zip(self.logits)
            .map(|(token, _)| Candidate { logit: self.adjusted(token, history, position), token })
            .collect();
        candidates.sort_by(filter::order);
        let best = candidates[0];
        if self.sampling.temperature == 0.0 {
            return best.token;
        }
        if self.sampling.top_k > 0 {
            candidates.truncate(self.sampling.top_k as usize);
        }
        let weight = |candidate: &Candidate, temperature: f32| {
            ((f64::from(candidate.logit) - f64::from(best.logit)) / f64::from(temperature)).exp()
        };
        if self.sampling.top_p < 1.0 {
            let enough = f64::from(self.sampling.top_p) * candidates.iter().map(|c| weight(c, 1.0)).sum::<f64>();
            let mut sum = 0.0;
            let last = candidates.iter().position(|candidate| {
                sum += weight(candidate, 1.0);
                sum >= enough
            });
            candidates.truncate(last.unwrap() + 1);
        }
        candidates.retain(|c| c.token == best.token || weight(c, 1.0) >= f64::from(self.sampling.min_p));
        candidates.sort_by_key(|candidate| candidate.token);
        let mut left = unit(self.sampling.seed.unwrap(), position)
            * candidates.iter().map(|c| weight(c, self.sampling.temperature)).sum::<f64>();
        let taken = candidates.iter().find(|candidate| {
            left -= weight(candidate, self.sampling.temperature);
            left < 0.0
        });
        taken.unwrap_or(&best).token
    }

    fn adjusted(&self, token: u32, history: &[u32], position: usize) -> f32 {
        let Sampling { repetition_penalty, frequency_penalty, presence_penalty, logit_bias, .. } = self.sampling;
        let bias: f32 = logit_bias.iter().filter(|(biased, _)| *biased == token).map(|(_, bias)| bias).sum();
        let mut logit = self.logits[token as usize] + bias;
        if history[history.len().saturating_sub(64)..].contains(&token) {
            logit = if logit > 0.0 { logit / repetition_penalty } else { logit * repetition_penalty };
        }
        let answer = &history[history.len() - position..];
        let count = answer.iter().filter(|said| **said == token).count();
        if count > 0 {
            logit -= frequency_penalty * count as f32 + presence_penalty;
        }
        logit
    }
}
