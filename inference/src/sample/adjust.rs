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

impl Adjuster {
    /// Leaves changed logits in `adjusted`; false when there is nothing to change.
    pub(super) fn adjust(
        &mut self,
        sampling: &Sampling,
        logits: &[f32],
        history: &[u32],
        position: usize,
        adjusted: &mut Vec<f32>,
    ) -> bool {
        let repetition = sampling.repetition_penalty != 1.0;
        let counting = sampling.frequency_penalty != 0.0 || sampling.presence_penalty != 0.0;
        if !repetition && !counting && sampling.logit_bias.is_empty() {
            return false;
        }
        adjusted.clear();
        adjusted.extend_from_slice(logits);
        for &(token, bias) in &sampling.logit_bias {
            change(adjusted, token, |logit| logit + bias);
        }
        if repetition {
            repeat(adjusted, history, sampling.repetition_penalty);
        }
        if counting {
            self.count(&history[history.len().saturating_sub(position)..]);
            for (&token, &count) in &self.counts {
                let penalty = sampling.frequency_penalty * count as f32 + sampling.presence_penalty;
                change(adjusted, token, |logit| logit - penalty);
            }
        }
        true
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
