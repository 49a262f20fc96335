//! A direction, in 16-bit fixed point: half the size of floats, and so exact that no neighbour changes its place by it.

use std::sync::Arc;

/// What 1 is in fixed point.
const ONE: f32 = i16::MAX as f32;

/// A vector of length 1. Cheap to clone. It has no `Debug`: what a text says can be guessed from its vector.
#[derive(Clone)]
pub struct Vector(Arc<[i16]>);

impl Vector {
    /// The direction of these numbers; `None` where they have none: when one is not finite, or all are 0.
    #[must_use]
    pub fn new(values: &[f32]) -> Option<Self> {
        let length = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() || length <= f64::from(f32::MIN_POSITIVE) {
            return None;
        }
        // A little shorter than 1: what rounding adds to all of the numbers must not make it longer.
        let scale = (f64::from(ONE) - (values.len() as f64).sqrt() / 2.0) / length;
        let fixed = |value: &f32| (f64::from(*value) * scale).round() as i16;
        Some(Self(values.iter().map(fixed).collect()))
    }

    /// How many numbers it has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.0.len()
    }

    /// Two bytes a number, little end first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// What [`to_bytes`](Self::to_bytes) gave; `None` for anything that is no vector of at most length 1.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let vector = Self(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect());
        let square: i64 = vector.0.iter().map(|value| i64::from(*value).pow(2)).sum();
        let longest = i64::from(i16::MAX).pow(2);
        (rest.is_empty() && (1..=longest).contains(&square)).then_some(vector)
    }

    /// The cosine of the angle between the two, which must be of one length.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f32 {
        self.dot(other) as f32 / (ONE * ONE)
    }

    /// The product of each number with its counterpart, added up. No sum of a part of them is greater than the product
    /// of the two lengths (Cauchy and Schwarz), which is at most 1: 32 bits hold it.
    pub(crate) fn dot(&self, other: &Self) -> i32 {
        let product = |(a, b): (&i16, &i16)| i32::from(*a) * i32::from(*b);
        self.0.iter().zip(other.0.iter()).map(product).fold(0, i32::wrapping_add)
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
