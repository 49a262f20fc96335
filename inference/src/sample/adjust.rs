//! What is changed in the logits before a token is chosen: biases and penalties.

use std::collections::HashMap;

use crate::Sampling;

/// How many of the last tokens the repetition penalty looks at, as in llama.cpp.
pub(super) const REPETITION_WINDOW: usize = 64;

/// Remembers how often the answer has each token, so that a long one is not counted again for every token.
#[derive(Default)]
pub(super) struct Adjuster {
    counts: HashMap<u32, u32>,
    counted: usize,
}

/// Whether there is anything to change.
pub(super) fn is_needed(sampling: &Sampling) -> bool {
    sampling.repetition_penalty != 1.0 || counts(sampling) || !sampling.logit_bias.is_empty()
}

fn counts(sampling: &Sampling) -> bool {
    sampling.frequency_penalty != 0.0 || sampling.presence_penalty != 0.0
}

impl Adjuster {
    /// Changes the logits for `position` of the answer, which is the end of `history`.
    pub(super) fn adjust(&mut self, sampling: &Sampling, history: &[u32], position: usize, logits: &mut [f32]) {
        for &(token, bias) in &sampling.logit_bias {
            change(logits, token, |logit| logit + bias);
        }
        if sampling.repetition_penalty != 1.0 {
            repeat(logits, history, sampling.repetition_penalty);
        }
        if counts(sampling) {
            self.count(&history[history.len().saturating_sub(position)..]);
            for (&token, &count) in &self.counts {
                let penalty = sampling.frequency_penalty * count as f32 + sampling.presence_penalty;
                change(logits, token, |logit| logit - penalty);
            }
        }
    }

    /// Answers only grow; anything else is counted from the start.
    fn count(&mut self, answer: &[u32]) {
        if answer.len() < self.counted {
            *self = Self::default();
        }
        for &token in &answer[self.counted..] {
            *self.counts.entry(token).or_default() += 1;
        }
        self.counted = answer.len();
    }
}

fn repeat(logits: &mut [f32], history: &[u32], penalty: f32) {
    let mut recent = history[history.len().saturating_sub(REPETITION_WINDOW)..].to_vec();
    recent.sort_unstable();
    recent.dedup();
    for token in recent {
        change(logits, token, |logit| if logit > 0.0 { logit / penalty } else { logit * penalty });
    }
}

/// Stays a number whatever is added.
fn change(logits: &mut [f32], token: u32, changed: impl FnOnce(f32) -> f32) {
    if let Some(logit) = logits.get_mut(token as usize) {
        *logit = changed(*logit).min(f32::MAX);
    }
}
