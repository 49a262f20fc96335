//! Numbers in fewer bits than they came with: symmetric, a scale for each column or for each block of a column.
//!
//! Matrices lie here as engines multiply by them: `inputs` rows of `outputs` numbers, so that a column belongs to one
//! output. Blocks run down a column. Nothing is shifted: a stored 0 is 0, since libraries know no offset.

use crate::model::float::half;

/// Largest stored number of eight bits; -128 is left out, so that both signs reach equally far.
const MOST_8: f32 = 127.0;
/// Of four bits.
const MOST_4: f32 = 7.0;
/// Largest number of FP8 (E4M3).
const MOST_FP8: f32 = 448.0;

/// A matrix in fewer bits. A number is its stored number times the scale of its column and block.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    /// The stored numbers, row by row; of four bits two in a byte, the first below.
    pub bytes: Vec<u8>,
    /// One for each column, or for each block and column, block by block.
    pub scales: Vec<f32>,
}

/// A way to store a matrix in fewer bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// [`int8`].
    Int8,
    /// [`int4`], in blocks of so many numbers.
    Int4(usize),
    /// [`fp8`].
    Fp8,
}

impl Scheme {
    /// Stores a matrix of `outputs` columns.
    #[must_use]
    pub fn quantise(self, matrix: &[f32], outputs: usize) -> Quantised {
        match self {
            Self::Int8 => int8(matrix, outputs),
            Self::Int4(block) => int4(matrix, outputs, block),
            Self::Fp8 => fp8(matrix),
        }
    }

    /// What is left of a matrix that was stored so: what an engine multiplies by.
    #[must_use]
    pub fn restore(self, Quantised { bytes, scales }: &Quantised, outputs: usize) -> Vec<f32> {
        let wide = |(at, byte): (usize, &u8)| f32::from(byte.cast_signed()) * scales[at % outputs];
        let narrow =
            |(at, number): (usize, f32), block: usize| number * scales[at / outputs / block * outputs + at % outputs];
        match self {
            Self::Int8 => bytes.iter().enumerate().map(wide).collect(),
            Self::Int4(block) => {
                let nibbles = bytes.iter().flat_map(|byte| [byte << 4, byte & 0xf0]);
                let numbers = nibbles.map(|nibble| f32::from(nibble.cast_signed() >> 4));
                numbers.enumerate().map(|number| narrow(number, block)).collect()
            }
            Self::Fp8 => bytes.iter().map(|byte| from_e4m3(*byte) * scales[0]).collect(),
        }
    }
}

/// A matrix of `outputs` rows, as files have it, with `inputs` rows.
#[must_use]
pub fn transpose(matrix: &[f32], outputs: usize, inputs: usize) -> Vec<f32> {
    /// Side of a square that stays in the processor's cache.
    const TILE: usize = 32;
    let mut turned = vec![0.0; matrix.len()];
    for top in (0..outputs).step_by(TILE) {
        for left in (0..inputs).step_by(TILE) {
            for output in top..outputs.min(top + TILE) {
                for input in left..inputs.min(left + TILE) {
                    turned[input * outputs + output] = matrix[output * inputs + input];
                }
            }
        }
    }
    turned
}

/// Eight bits, a scale for each of the `outputs` columns.
#[must_use]
pub fn int8(matrix: &[f32], outputs: usize) -> Quantised {
    let scales = scales(matrix, outputs, matrix.len() / outputs.max(1), MOST_8);
    let numbers = stored(matrix, outputs, matrix.len() / outputs.max(1), &scales, MOST_8);
    Quantised { bytes: numbers.map(i8::cast_unsigned).collect(), scales }
}

/// Four bits, a scale for each `block` numbers of a column. `outputs` is even.
#[must_use]
pub fn int4(matrix: &[f32], outputs: usize, block: usize) -> Quantised {
    let scales = scales(matrix, outputs, block, MOST_4);
    let numbers: Vec<i8> = stored(matrix, outputs, block, &scales, MOST_4).collect();
    let nibble = |number: i8| number.cast_unsigned() & 15;
    let bytes = numbers.chunks(2).map(|pair| nibble(pair[0]) | nibble(*pair.get(1).unwrap_or(&0)) << 4).collect();
    Quantised { bytes, scales }
}

/// Eight bits with an exponent (E4M3), one scale for all of it.
#[must_use]
pub fn fp8(matrix: &[f32]) -> Quantised {
    let scale = scales(matrix, matrix.len().max(1), 1, 1.0).into_iter().fold(0.0, f32::max) / MOST_FP8;
    let scale = if scale > 0.0 { scale } else { 1.0 };
    Quantised { bytes: matrix.iter().map(|value| e4m3(value / scale)).collect(), scales: vec![scale] }
}

/// Two bytes each.
#[must_use]
pub fn halves(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| half(*value).to_le_bytes()).collect()
}

/// Two bytes each, with the range of 32 bits.
#[must_use]
pub fn bfloats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| crate::model::float::bfloat(*value).to_le_bytes()).collect()
}

/// For each block and column what its largest number is divided by to become `most`. Rounded to 16 bits, as they are
/// stored: what is divided by should be what is multiplied by.
fn scales(matrix: &[f32], outputs: usize, block: usize, most: f32) -> Vec<f32> {
    let mut largest = vec![0.0_f32; (matrix.len() / outputs).div_ceil(block) * outputs];
    for (row, values) in matrix.chunks_exact(outputs).enumerate() {
        let of_block = &mut largest[row / block * outputs..][..outputs];
        of_block.iter_mut().zip(values).for_each(|(largest, value)| *largest = largest.max(value.abs()));
    }
    largest.iter().map(|largest| storable(largest / most)).collect()
}

/// The nearest scale that 16 bits hold, above 0 also for a block of zeros.
fn storable(scale: f32) -> f32 {
    crate::model::float::from_half(half(scale.clamp(f32::MIN_POSITIVE, 65_000.0)).max(1))
}

fn stored(matrix: &[f32], outputs: usize, block: usize, scales: &[f32], most: f32) -> impl Iterator<Item = i8> {
    matrix.iter().enumerate().map(move |(index, value)| {
        let scale = scales[index / outputs / block * outputs + index % outputs];
        (value / scale).round_ties_even().clamp(-most, most) as i8
    })
}

/// The nearest number of one sign, four exponent and three fraction bits ("FP8 Formats for Deep Learning", 2022).
fn e4m3(value: f32) -> u8 {
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    let size = value.abs().min(MOST_FP8);
    if size < 2_f32.powi(-6) {
        // Below the normal ones: in steps of 2^-9. Eight of them are the first normal one.
        return sign | (size * 512.0).round_ties_even() as u8;
    }
    let bits = size.to_bits();
    let rounded = bits + 0x7_ffff + (bits >> 20 & 1);
    sign | ((rounded >> 20) - (120 << 3)).min(0x7e) as u8
}

/// What those eight bits stand for.
fn from_e4m3(bits: u8) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    let size = if exponent == 0 { fraction / 512.0 } else { (1.0 + fraction / 8.0) * 2_f32.powi(exponent - 7) };
    if bits >> 7 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(count: usize) -> Vec<f32> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| next() * next()).collect()
    }

    /// Every number is off by half of a step at the most, and by what rounding the scale adds.
    fn check(matrix: &[f32], restored: &[f32], outputs: usize, block: usize, most: f32) {
        for (index, (value, restored)) in matrix.iter().zip(restored).enumerate() {
            let (row, column) = (index / outputs, index % outputs);
            let first = row / block * block;
            let rows = first..(first + block).min(matrix.len() / outputs);
            let largest = rows.map(|row| matrix[row * outputs + column].abs()).fold(0.0, f32::max);
            let allowed = largest / most * 0.5 * 1.002 + largest * 0.0005 + 1e-7;
            assert!((value - restored).abs() <= allowed, "{index}: {value} became {restored}");
        }
    }

    #[test]
    fn eight_bits_are_off_by_half_a_step() {
        let matrix = random(96 * 10);
        let stored = Scheme::Int8.quantise(&matrix, 10);
        let restored = Scheme::Int8.restore(&stored, 10);
        check(&matrix, &restored, 10, 96, MOST_8);
        assert!(stored.bytes.iter().all(|byte| byte.cast_signed() != i8::MIN));
    }

    #[test]
    fn four_bits_are_off_by_half_a_step_of_their_block() {
        let matrix = random(128 * 6);
        for block in [32, 64, 128] {
            let stored = Scheme::Int4(block).quantise(&matrix, 6);
            assert_eq!((stored.bytes.len(), stored.scales.len()), (matrix.len() / 2, 128 / block * 6));
            let restored = Scheme::Int4(block).restore(&stored, 6);
            check(&matrix, &restored, 6, block, MOST_4);
        }
    }

    #[test]
    fn zeros_stay_zeros_and_have_a_scale() {
        let Quantised { bytes, scales } = int4(&[0.0; 64], 2, 32);
        assert!(bytes.iter().all(|byte| *byte == 0) && scales.iter().all(|scale| *scale > 0.0));
    }

    #[test]
    fn every_fp8_stays_itself_and_the_rest_goes_to_the_nearest() {
        for bits in (0..0x7f_u8).chain(0x80..0xff) {
            assert_eq!(e4m3(from_e4m3(bits)), bits, "{}", from_e4m3(bits));
        }
        for bits in 0..0x7e_u8 {
            let (low, high) = (from_e4m3(bits), from_e4m3(bits + 1));
            assert_eq!(e4m3(low + (high - low) * 0.4), bits);
            assert_eq!(e4m3(low + (high - low) * 0.6), bits + 1);
        }
        assert_eq!((e4m3(1e9), e4m3(-1e9)), (0x7e, 0xfe));
        let matrix = random(1000);
        let restored = Scheme::Fp8.restore(&Scheme::Fp8.quantise(&matrix, 10), 10);
        let largest = matrix.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for (restored, wanted) in restored.iter().zip(&matrix) {
            let off = (restored - wanted).abs();
            assert!(off <= wanted.abs() / 15.0 + largest / 448.0 / 512.0, "{wanted} is off by {off}");
        }
    }

    #[test]
    fn transposed_twice_is_the_same() {
        let matrix = random(70 * 40);
        let turned = transpose(&matrix, 70, 40);
        assert_eq!(turned[40 * 3 + 5], matrix[(40 * 3 + 5) / 70 + (40 * 3 + 5) % 70 * 40]);
        assert_eq!(transpose(&turned, 40, 70), matrix);
    }
}
