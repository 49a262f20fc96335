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
/// Layers of a model that is off by no more than what is allowed.
const SHALLOW: f32 = 6.0;

/// How far logits may be off, as a share of the largest: what sums in 16 bits cost.
pub(in super::super) fn allowed(precision: Precision) -> f32 {
    match precision {
        Precision::Bf16 => 0.1,
        Precision::Fp16 | Precision::Int8 | Precision::Int4 | Precision::Fp8 => 0.03,
    }
}

/// As [`allowed`], for a model with so many layers: what each one's sums are off by adds up as a random walk does.
pub(in super::super) fn allowed_of(precision: Precision, layers: usize) -> f32 {
    allowed(precision) * (layers as f32 / SHALLOW).sqrt().max(1.0)
}

/// The same tokens in every test.
pub(in super::super) fn prompt(vocabulary: usize) -> Vec<u32> {
    (0..PREFILL + DECODE).map(|index| ((index * 37 + 5) % vocabulary) as u32).collect()
}

/// Of each piece, a number for each token there is; or why there are none.
pub(in super::super) type Logits = Result<Vec<Vec<f32>>, String>;

/// What is compared.
pub(in super::super) struct Asked<'a> {
    /// See [`prompt`].
    pub(in super::super) tokens: &'a [u32],
    /// One or two.
    pub(in super::super) slots: usize,
    /// How far off it may be.
    pub(in super::super) allowed: f32,
}

/// Prefill, then token by token, in two slots of different lengths; what was seen, also where it is too much. `expected`
/// gives the logits behind each piece.
pub(in super::super) fn compare(
    running: &mut dyn Compute,
    asked: &Asked<'_>,
    expected: &mut dyn FnMut(&[Piece<'_>]) -> Logits,
) -> Result<String, String> {
    let (mut worst, mut lengths) = (0.0_f32, [PREFILL, PREFILL - FEWER]);
    for step in 0..=DECODE {
        let from = |slot: usize| if step == 0 { 0 } else { lengths[slot] };
        let to = |slot: usize| if step == 0 { lengths[slot] } else { lengths[slot] + 1 };
        let piece = |slot| Piece { slot, from: from(slot), tokens: &asked.tokens[from(slot)..to(slot)] };
        let pieces: Vec<Piece<'_>> = (0..asked.slots.min(lengths.len())).map(piece).collect();
        let mut ours = Vec::new();
        running.compute(&pieces, &mut ours).map_err(|error| error.to_string())?;
        for (ours, theirs) in ours.iter().zip(expected(&pieces)?) {
            worst = worst.max(off(ours, &theirs));
        }
        if step > 0 {
            lengths = lengths.map(|length| length + 1);
        }
    }
    let (off, most) = (worst * 100.0, asked.allowed * 100.0);
    let seen = format!("logits are off by {off:.2} % of the largest, {most:.0} % allowed");
    if worst <= asked.allowed { Ok(seen) } else { Err(seen) }
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
pub(in super::super) fn pace(engine: &mut dyn Engine) -> Result<f64, String> {
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
        let tokens = prompt(512);
        let check = |running: &mut dyn Compute, allowed: f32| {
            let (asked, mut exact) = (Asked { tokens: &tokens, slots: 2, allowed }, reference());
            compare(running, &asked, &mut |pieces| {
                let mut logits = Vec::new();
                exact.compute(pieces, &mut logits).map_err(|error| error.to_string())?;
                Ok(logits)
            })
        };
        check(&mut reference(), 0.0).unwrap();
        check(&mut Wrong(reference(), 0.01), 0.02).unwrap();
        for wrong in [100.0, f32::NAN] {
            let error = check(&mut Wrong(reference(), wrong), 0.02).unwrap_err();
            assert!(error.contains("2 % allowed"), "{error}");
        }
    }

    #[test]
    fn deeper_models_may_be_off_by_more() {
        assert_eq!(allowed_of(Precision::Int4, 4), allowed(Precision::Int4));
        assert_eq!(allowed_of(Precision::Int4, 24), 2.0 * allowed(Precision::Int4));
    }
}
