//! The numbers: random, small enough that thirty layers of them stay finite.

use std::io::{self, Write};

use crate::gguf::{Kind, Tensor};

/// Scale of a block as a 16-bit float: bytes of -127 to 127 times 2^-11 have a spread of 0.036.
const SCALE: u16 = 0x1000;

/// A xorshift generator: good enough for noise, and quick.
pub(crate) struct Weights(u64);

impl Default for Weights {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Weights {
    pub(crate) fn write(&mut self, tensor: &Tensor, out: &mut impl Write) -> io::Result<()> {
        match tensor.kind {
            Kind::F32 => (0..tensor.elements()).try_for_each(|_| out.write_all(&1.0_f32.to_le_bytes()))?,
            Kind::Q8_0 => (0..tensor.elements() / 32).try_for_each(|_| out.write_all(&self.block()))?,
        }
        (0..tensor.padding()).try_for_each(|_| out.write_all(&[0]))
    }

    fn block(&mut self) -> [u8; 34] {
        let mut block = [0; 34];
        block[..2].copy_from_slice(&SCALE.to_le_bytes());
        for eight in block[2..].chunks_mut(8) {
            eight.copy_from_slice(&self.next().to_le_bytes());
        }
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
