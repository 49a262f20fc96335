//! What the ladder measures: how far off the numbers are, and how fast tokens come.

use std::time::Instant;

use crate::Sampling;
use crate::engine::graph::{Compute, Piece};
use crate::engine::{Engine, Event, Plan, Sequence};

use super::Precision;

/// Tokens that are read at once, that follow one by one, and that the second slot has less.
const PREFILL: usize = 7;
const DECODE: usize = 5;
const FEWER: usize = 4;
/// Tokens over which speed is measured.
const MEASURED: usize = 64;

/// How far logits may be off, as a share of the largest: what sums in 16 bits cost.
pub(super) fn allowed(precision: Precision) -> f32 {
    match precision {
        Precision::Bf16 => 0.1,
        Precision::Fp16 | Precision::Int8 | Precision::Int4 | Precision::Fp8 => 0.03,
    }
}

/// Prefill, then token by token, in two slots of different lengths; what was seen, also where it is too much.
pub(super) fn compare(
    running: &mut dyn Compute,
    reference: &mut dyn Compute,
    vocabulary: usize,
    allowed: f32,
) -> Result<String, String> {
    let tokens: Vec<u32> = (0..PREFILL + DECODE).map(|index| ((index * 37 + 5) % vocabulary) as u32).collect();
    let (mut worst, mut lengths) = (0.0_f32, [PREFILL, PREFILL - FEWER]);
    for step in 0..=DECODE {
        let from = |slot: usize| if step == 0 { 0 } else { lengths[slot] };
        let to = |slot: usize| if step == 0 { lengths[slot] } else { lengths[slot] + 1 };
        let pieces = [0, 1].map(|slot| Piece { slot, from: from(slot), tokens: &tokens[from(slot)..to(slot)] });
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        running.compute(&pieces, &mut ours).map_err(|error| error.to_string())?;
        reference.compute(&pieces, &mut theirs).map_err(|error| error.to_string())?;
        for (ours, theirs) in ours.iter().zip(&theirs) {
            worst = worst.max(off(ours, theirs));
        }
        if step > 0 {
            lengths = lengths.map(|length| length + 1);
        }
    }
    let seen = format!("logits are off by {:.2} % of the largest, {:.0} % allowed", worst * 100.0, allowed * 100.0);
    if worst <= allowed { Ok(seen) } else { Err(seen) }
}

/// The largest difference as a share of the largest number; infinite where they cannot be compared.
fn off(ours: &[f32], theirs: &[f32]) -> f32 {
    let largest = theirs.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    if ours.len() != theirs.len() || ours.iter().any(|logit| !logit.is_finite()) || largest == 0.0 {
        return f32::INFINITY;
    }
    ours.iter().zip(theirs).fold(0.0_f32, |off, (ours, theirs)| off.max((ours - theirs).abs())) / largest
}

/// Tokens a second of one answer, behind a short prompt.
pub(super) fn pace(engine: &mut dyn Engine) -> Result<f64, String> {
    let sequence = Sequence {
        tokens: (5..5 + PREFILL as u32).collect(),
        answered: 0,
        sampling: Sampling::greedy(),
        matcher: None,
        prefixes: Vec::new(),
    };
    let slot = engine.admit(sequence).map_err(|error| error.to_string())?.slot;
    let (mut progress, mut tokens, mut began) = (Vec::new(), 0, Instant::now());
    while tokens < MEASURED {
        progress.clear();
        let plan = Plan { slots: &[slot], prompt_tokens: PREFILL, abandoned: &|| false };
        engine.step(&plan, &mut progress).map_err(|error| error.to_string())?;
        if tokens == 0 {
            began = Instant::now();
        }
        // An answer that ends early is measured as far as it goes.
        if !progress.iter().all(|progress| matches!(progress.event, Event::Token(_))) {
            break;
        }
        tokens += progress.len();
    }
    engine.release(slot);
    Ok(tokens.saturating_sub(1) as f64 / began.elapsed().as_secs_f64().max(1e-6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineError;
    use crate::engine::graph::hyper_of;
    use crate::graph::interpret::Interpreter;
    use crate::graph::weights::{GgufWeights, graph_of};
    use crate::model::ModelFile;

    fn reference() -> Interpreter {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/stories260K.gguf");
        let file = ModelFile::open(&path).unwrap();
        let mut weights = GgufWeights::open(&file).unwrap();
        let graph = graph_of(&hyper_of(&file).unwrap(), &weights).unwrap();
        Interpreter::new(graph, &mut weights, 2, 64).unwrap()
    }

    /// Computes rightly, but for one thing.
    struct Wrong(Interpreter, f32);

    impl Compute for Wrong {
        fn compute(&mut self, pieces: &[Piece<'_>], logits: &mut Vec<Vec<f32>>) -> Result<(), EngineError> {
            self.0.compute(pieces, logits)?;
            logits.iter_mut().for_each(|logits| logits[3] += self.1);
            Ok(())
        }

        fn copy(&mut self, _: usize, _: usize) -> Result<(), EngineError> {
            Ok(())
        }
    }

    #[test]
    fn wrong_numbers_are_seen() {
        compare(&mut reference(), &mut reference(), 512, 0.0).unwrap();
        compare(&mut Wrong(reference(), 0.01), &mut reference(), 512, 0.02).unwrap();
        for wrong in [100.0, f32::NAN] {
            let error = compare(&mut Wrong(reference(), wrong), &mut reference(), 512, 0.02).unwrap_err();
            assert!(error.contains("2 % allowed"), "{error}");
        }
    }
}
