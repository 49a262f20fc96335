//! What building an engine takes of the machine that builds it, told before it begins. Plain arithmetic; its constants come
//! from Qwen3-0.6B's shape (2.3 GB, 27 s) and from 2 and 6 layers of 8B's widths (`tests/tensorrt`, `what_a_build_costs`).

use std::fmt;

use crate::graph::hyper::Hyper;
use crate::model::footprint::Bytes;

use super::Precision;
use super::memory::weights;

/// The library and the program.
const BASE: u64 = 600 << 20;
/// Copies of the weights, as they are stored, when the engine is there: ours, the library's and the engine.
const COPIES: u64 = 3;
/// Copies in 32 bits of the largest matrix while it is read, turned and stored: before that, with one of the weights.
const WIDE_COPIES: u64 = 3;
/// Bytes of weights that are read, stored anew and compiled in a second, on two cores that have other things to do too.
const BYTES_PER_SECOND: u64 = 20 << 20;

/// What a build takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of the weights, once.
    pub weights: u64,
    /// Bytes of the largest matrix while it is worked on.
    pub largest: u64,
    /// Bytes of the library and the program.
    pub base: u64,
    /// Seconds, about, on a core that has nothing else to do.
    pub seconds: u64,
}

impl Cost {
    /// For a model of this shape; `head` is whether it has one of its own.
    #[must_use]
    pub fn new(hyper: &Hyper, precision: Precision, head: bool) -> Self {
        let table = (hyper.vocabulary as u64).saturating_mul(hyper.width as u64);
        let all = weights(hyper, precision, head);
        let widest = table.max((hyper.width as u64).saturating_mul(hyper.inner as u64));
        Self {
            weights: all,
            largest: widest.saturating_mul(4 * WIDE_COPIES),
            base: BASE,
            seconds: all / BYTES_PER_SECOND + 5,
        }
    }

    /// Bytes at the worst moment.
    #[must_use]
    pub fn memory(&self) -> u64 {
        // A fifth of one more: Qwen3-8B took 17.8 GB.
        let built = self.weights.saturating_mul(COPIES).saturating_add(self.weights / 5);
        let read = self.weights.saturating_add(self.largest);
        read.max(built).saturating_add(self.base)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of memory ({} of weights in {COPIES} copies, or once and {} for the largest matrix; {} of the library's)",
            Bytes(self.memory()),
            Bytes(self.weights),
            Bytes(self.largest),
            Bytes(self.base),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(layers: usize, width: usize, inner: usize, heads: usize, head: bool) -> Cost {
        Cost::new(&Hyper::qwen3(layers, width, inner, heads), Precision::Int4, head)
    }

    #[test]
    fn it_is_about_what_was_measured() {
        // Qwen3-0.6B: 570 MB of engine; 2.3 GB at the most, and 27 s.
        let small = cost(28, 1024, 3072, 16, false);
        assert!((520_000_000..620_000_000).contains(&small.weights), "{small:?}");
        assert!((2_300_000_000..3_500_000_000).contains(&small.memory()), "{small}");
        assert!((20..60).contains(&small.seconds), "{small:?}");
        // Qwen3-8B, measured whole: not in a machine of 16 GB, and in one of 24.
        let large = cost(36, 4096, 12288, 32, true);
        assert!((17_800_000_000..19_000_000_000).contains(&large.memory()), "{large}");
        assert!(large.to_string().contains("of weights in 3 copies"), "{large}");
    }
}
