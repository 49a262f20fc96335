//! Numbers of 16 bits, to and from those of 32.

/// A number in 16 bits (IEEE 754 binary16), rounded to the nearest, ties to even.
pub(crate) fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00; // not a number
    }
    // Half of the last place above the largest is infinite.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // Below the normal ones: in steps of 2^-24.
        let steps = (f32::from_bits(magnitude) * 16_777_216.0).round_ties_even();
        return sign | steps as u16;
    }
    let rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    // The exponents count from 127 and from 15.
    sign | ((rounded - (112 << 23)) >> 13) as u16
}

/// What a number of 16 bits (binary16) stands for.
pub(crate) fn from_half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        0 => f32::from_bits(sign) + f32::from_bits(sign | 1.0_f32.to_bits()) * (fraction as f32 * 2_f32.powi(-24)),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The upper 16 bits of a number (bfloat16), rounded to the nearest, ties to even.
pub(crate) fn bfloat(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    // The largest ones round up to infinity, as they should.
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// What those 16 bits stand for.
pub(crate) fn from_bfloat(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a half stands for, said in another way than above.
    fn value(bits: u16) -> f32 {
        let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
        let size = match exponent {
            0 => fraction * 2_f32.powi(-24),
            _ => (1.0 + fraction / 1024.0) * 2_f32.powi(exponent - 15),
        };
        if bits >> 15 == 1 { -size } else { size }
    }

    #[test]
    fn every_half_stays_itself_and_the_middle_goes_to_the_even_one() {
        for bits in (0..0x7c00_u16).chain(0x8000..0xfc00) {
            assert_eq!(half(value(bits)), bits);
            assert_eq!(from_half(bits), value(bits));
        }
        for bits in 0..0x7bff_u16 {
            let middle = (value(bits) + value(bits + 1)) / 2.0;
            let even = bits + (bits & 1);
            assert_eq!(half(middle), even, "{middle}");
            assert_eq!(half(-middle), even | 0x8000, "{middle}");
        }
        assert_eq!((half(65_519.0), half(65_520.0), half(f32::INFINITY)), (0x7bff, 0x7c00, 0x7c00));
        assert_eq!(half(f32::NAN) & 0x7fff, 0x7e00);
    }

    #[test]
    fn a_bfloat_is_the_upper_half_of_a_float() {
        for value in [0.0, 1.0, -1.5, 3e38, 1e-30] {
            assert!((from_bfloat(bfloat(value)) - value).abs() <= value.abs() / 256.0, "{value}");
        }
        // The middle goes to the even one, and nothing becomes a number that was none.
        assert_eq!(bfloat(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(bfloat(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert!(from_bfloat(bfloat(f32::NAN)).is_nan());
    }
}
