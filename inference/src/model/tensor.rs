//! Sizes of tensors in a GGUF file, by their type number (`enum ggml_type` in ggml.h).

use super::reader::HeaderError;

/// A type's elements in a block, and a block's bytes.
struct Layout {
    elements: u64,
    bytes: u64,
}

/// Bytes of a tensor of this shape, or why there can be none.
pub(super) fn bytes(name: &str, kind: u32, shape: &[u64]) -> Result<u64, HeaderError> {
    let wrong = |what: &str| HeaderError::broken(format!("tensor {name} {what}"));
    let Layout { elements, bytes } = layout(kind).ok_or_else(|| wrong("has an unknown type"))?;
    if shape.contains(&0) || !shape[0].is_multiple_of(elements) {
        return Err(wrong("has an impossible shape"));
    }
    let count = shape.iter().try_fold(1u64, |count, &length| count.checked_mul(length));
    count.and_then(|count| (count / elements).checked_mul(bytes)).ok_or_else(|| wrong("is too large"))
}

fn layout(kind: u32) -> Option<Layout> {
    let (elements, bytes) = match kind {
        0 | 26 => (1, 4),      // F32, I32
        1 | 25 | 30 => (1, 2), // F16, I16, BF16
        24 => (1, 1),          // I8
        27 | 28 => (1, 8),     // I64, F64
        2 | 20 => (32, 18),    // Q4_0, IQ4_NL
        3 => (32, 20),         // Q4_1
        6 => (32, 22),         // Q5_0
        7 => (32, 24),         // Q5_1
        8 => (32, 34),         // Q8_0
        9 => (32, 36),         // Q8_1
        39 => (32, 17),        // MXFP4
        40 => (64, 36),        // NVFP4
        41 => (128, 18),       // Q1_0
        42 => (64, 18),        // Q2_0
        10 => (256, 84),       // Q2_K
        11 | 21 => (256, 110), // Q3_K, IQ3_S
        12 => (256, 144),      // Q4_K
        13 => (256, 176),      // Q5_K
        14 => (256, 210),      // Q6_K
        15 => (256, 292),      // Q8_K
        16 | 35 => (256, 66),  // IQ2_XXS, TQ2_0
        17 => (256, 74),       // IQ2_XS
        18 => (256, 98),       // IQ3_XXS
        19 => (256, 50),       // IQ1_S
        22 => (256, 82),       // IQ2_S
        23 => (256, 136),      // IQ4_XS
        29 => (256, 56),       // IQ1_M
        34 => (256, 54),       // TQ1_0
        _ => return None,
    };
    Some(Layout { elements, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_type_and_shape() {
        assert_eq!(bytes("t", 0, &[3, 5]), Ok(60));
        assert_eq!(bytes("t", 8, &[64, 2]), Ok(136));
        assert_eq!(bytes("t", 14, &[512]), Ok(420));
    }

    #[test]
    fn impossible_tensors_are_named() {
        for (kind, shape) in [(8, &[33][..]), (99, &[32]), (0, &[0]), (0, &[u64::MAX, 2]), (0, &[u64::MAX / 2])] {
            let error = bytes("blk.0", kind, shape).expect_err("impossible").to_string();
            assert!(error.contains("blk.0"), "{error}");
        }
    }
}
