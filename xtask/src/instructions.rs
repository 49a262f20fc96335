//! Which of this processor's instructions llama.cpp is built with.
//!
//! Left alone, its build takes what every processor of the last ten years has (AVX2). Programs that are
//! built for the very computer they run on should use all of it, AVX-512 with its integer products above
//! all. Only llama.cpp is told. `-C target-cpu=native` would tell everything, so
//! that a gateway built here dies on another server; and it makes llama.cpp use AMX, whose code GCC 12
//! builds so that it dies on processors that have AMX.

use std::env;

/// The switches of llama.cpp's build for this processor. One that the environment has already is left out: it is
/// somebody's wish.
pub(crate) fn switches() -> impl Iterator<Item = (&'static str, &'static str)> {
    let wished = |name: &str| env::var_os(name).is_some();
    detected()
        .into_iter()
        .filter(move |(name, _)| !wished(name))
        .map(|(name, is)| (name, if is { "ON" } else { "OFF" }))
}

#[cfg(target_arch = "x86_64")]
fn detected() -> Vec<(&'static str, bool)> {
    use std::arch::is_x86_feature_detected as has;

    let avx512 = has!("avx512f") && has!("avx512cd") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
    vec![
        ("GGML_SSE42", has!("sse4.2")),
        ("GGML_AVX", has!("avx")),
        ("GGML_AVX2", has!("avx2")),
        ("GGML_FMA", has!("fma")),
        ("GGML_F16C", has!("f16c")),
        ("GGML_BMI2", has!("bmi2")),
        ("GGML_AVX_VNNI", has!("avxvnni")),
        ("GGML_AVX512", avx512),
        ("GGML_AVX512_VBMI", avx512 && has!("avx512vbmi")),
        ("GGML_AVX512_VNNI", avx512 && has!("avx512vnni")),
        ("GGML_AVX512_BF16", avx512 && has!("avx512bf16")),
    ]
}

/// Elsewhere llama.cpp's own choice is good enough.
#[cfg(not(target_arch = "x86_64"))]
fn detected() -> Vec<(&'static str, bool)> {
    vec![]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_on_another_instruction_comes_with_it() {
        let on = |name: &str| detected().contains(&(name, true));
        for part in ["GGML_AVX512_VBMI", "GGML_AVX512_VNNI", "GGML_AVX512_BF16"] {
            assert!(!on(part) || on("GGML_AVX512"), "{part} without AVX-512 does not compile");
        }
        assert!(!on("GGML_AVX512") || on("GGML_AVX2"));
    }
}
