//! Blocks of numbers as GGUF stores them, to 32-bit floats. Layouts: `ggml-common.h` in the ggml repository; d and m
//! are a block's scale and offset there, named so here too.

use crate::model::float::{from_bfloat, from_half};

/// How one kind of block is read.
#[derive(Clone, Copy)]
pub(super) struct Decoder {
    /// Numbers in a block.
    pub(super) numbers: usize,
    /// Bytes of a block.
    pub(super) bytes: usize,
    /// Appends the numbers of a block, which has `bytes` bytes.
    pub(super) decode: Decode,
}

type Decode = fn(&[u8], &mut Vec<f32>);

/// For a type number of the format, where it is one that is read here.
pub(super) fn decoder(kind: u32) -> Option<Decoder> {
    let (numbers, bytes, decode): (usize, usize, Decode) = match kind {
        0 => (1, 4, full),
        1 => (1, 2, |block, to| to.push(half(block, 0))),
        30 => (1, 2, |block, to| to.push(from_bfloat(u16::from_le_bytes([block[0], block[1]])))),
        2 => (32, 18, q4_0),
        8 => (32, 34, q8_0),
        12 => (256, 144, q4_k),
        13 => (256, 176, q5_k),
        14 => (256, 210, q6_k),
        _ => return None,
    };
    Some(Decoder { numbers, bytes, decode })
}

fn half(block: &[u8], at: usize) -> f32 {
    from_half(u16::from_le_bytes([block[at], block[at + 1]]))
}

fn full(block: &[u8], to: &mut Vec<f32>) {
    to.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]]));
}

/// A scale, then 16 bytes with a number of the first half below and one of the second half above.
fn q4_0(block: &[u8], to: &mut Vec<f32>) {
    let d = half(block, 0);
    let number = |bits: u8| d * (f32::from(bits) - 8.0);
    to.extend(block[2..].iter().map(|byte| number(byte & 15)));
    to.extend(block[2..].iter().map(|byte| number(byte >> 4)));
}

fn q8_0(block: &[u8], to: &mut Vec<f32>) {
    let d = half(block, 0);
    to.extend(block[2..].iter().map(|byte| d * f32::from(byte.cast_signed())));
}

/// Eight scales and eight offsets of six bits each, in twelve bytes.
fn scale_and_offset(packed: &[u8], index: usize) -> (f32, f32) {
    let (scale, offset) = if index < 4 {
        (packed[index] & 63, packed[index + 4] & 63)
    } else {
        let (low, high) = (packed[index + 4], (packed[index - 4] >> 6, packed[index] >> 6));
        ((low & 15) | (high.0 << 4), (low >> 4) | (high.1 << 4))
    };
    (f32::from(scale), f32::from(offset))
}

/// d, m, scales, then 128 bytes: each 32 of them hold 64 numbers, the first 32 below.
fn q4_k(block: &[u8], to: &mut Vec<f32>) {
    let (d, m, scales) = (half(block, 0), half(block, 2), &block[4..16]);
    for (group, bytes) in block[16..].chunks_exact(32).enumerate() {
        for (part, shift) in [0, 4].into_iter().enumerate() {
            let (scale, offset) = scale_and_offset(scales, 2 * group + part);
            to.extend(bytes.iter().map(|byte| d * scale * f32::from(byte >> shift & 15) - m * offset));
        }
    }
}

/// As `Q4_K`, with the fifth bits of all numbers in 32 bytes between scales and numbers: a bit for each group.
fn q5_k(block: &[u8], to: &mut Vec<f32>) {
    let (d, m, scales, fifth) = (half(block, 0), half(block, 2), &block[4..16], &block[16..48]);
    for (group, bytes) in block[48..].chunks_exact(32).enumerate() {
        for (part, shift) in [0, 4].into_iter().enumerate() {
            let index = 2 * group + part;
            let (scale, offset) = scale_and_offset(scales, index);
            let number = |(low, high): (&u8, &u8)| f32::from((low >> shift & 15) | (high >> index & 1) << 4);
            to.extend(bytes.iter().zip(fifth).map(|pair| d * scale * number(pair) - m * offset));
        }
    }
}

/// 128 bytes of lower four bits, 64 of upper two, 16 scales of a byte for 16 numbers each, and d at the end.
fn q6_k(block: &[u8], to: &mut Vec<f32>) {
    let d = half(block, 208);
    let scale = |number: usize| d * f32::from(block[192 + number / 16].cast_signed());
    for number in 0..256 {
        let (half, at) = (number / 128, number % 128);
        let (quarter, column) = (at / 32, at % 32);
        let low = block[64 * half + 32 * (quarter % 2) + column] >> (4 * (quarter / 2)) & 15;
        let high = block[128 + 32 * half + column] >> (2 * quarter) & 3;
        to.push(scale(number) * (f32::from(low | high << 4) - 32.0));
    }
}
