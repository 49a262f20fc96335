//! The numbers: random, small enough that thirty layers of them stay finite.

use starling_inference::model::write::{self, Precision};

use crate::Tensor;

/// `Q4_0`: blocks of 32, each a scale of two bytes and half a byte for each number.
pub(crate) const FOUR_BITS: Precision = Precision::Other { kind: 2, numbers: 32, bytes: 18 };
/// Scale of a block as a 16-bit float: bytes of -127 to 127 times 2^-11 have a spread of 0.036.
const SCALE: u16 = 0x1000;
/// The same for -8 to 7: they are multiplied by 2^-7.
const SCALE_OF_FOUR_BITS: u16 = 0x2000;

/// A xorshift generator: good enough for noise, and quick.
pub(crate) struct Weights(u64);

impl Default for Weights {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Weights {
    /// Matrices are noise, all else is one.
    pub(crate) fn of(&mut self, tensor: &Tensor) -> Vec<u8> {
        let numbers = usize::try_from(tensor.shape.iter().product::<u64>()).unwrap_or_default();
        match tensor.precision {
            Precision::Blocks => (0..numbers / 32).flat_map(|_| self.bytes()).collect(),
            FOUR_BITS => (0..numbers / 32).flat_map(|_| self.block::<18>(SCALE_OF_FOUR_BITS)).collect(),
            _ => write::full(&vec![1.0; numbers]),
        }
    }

    fn block<const BYTES: usize>(&mut self, scale: u16) -> [u8; BYTES] {
        let mut block = [0; BYTES];
        block[..2].copy_from_slice(&scale.to_le_bytes());
        for eight in block[2..].chunks_mut(8) {
            eight.copy_from_slice(&self.next().to_le_bytes());
        }
        block
    }

    fn bytes(&mut self) -> [u8; 34] {
        let mut block = self.block(SCALE);
        // -128 is not a value of this format.
        block[2..].iter_mut().filter(|byte| **byte == 0x80).for_each(|byte| *byte = 0);
        block
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
