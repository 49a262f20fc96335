//! Whether this processor has what llama.cpp was compiled for. It does not look itself: on one that has less, the first
//! computation would kill the program without a word.

use crate::OpenError;

/// # Errors
/// When the processor lacks something.
pub(super) fn check() -> Result<(), OpenError> {
    let Some(name) = first_lacking(&instructions()) else { return Ok(()) };
    Err(OpenError::Lacking {
        what: format!("this program was built for processors with {name}, which this one does not have"),
        hint: "build it on this machine: `cargo xtask up` takes what the processor has".into(),
    })
}

/// A name, whether llama.cpp was compiled for it, and whether the processor has it.
type Instruction = (&'static str, bool, bool);

fn first_lacking(instructions: &[Instruction]) -> Option<&'static str> {
    instructions.iter().find(|(_, built, has)| *built && !has).map(|(name, ..)| *name)
}

#[cfg(all(target_arch = "x86_64", not(feature = "dynamic-backends")))]
fn instructions() -> Vec<Instruction> {
    use std::arch::is_x86_feature_detected as has;

    use llama_cpp_sys_2 as built;

    #[expect(unsafe_code, reason = "functions of C")]
    // SAFETY: they take nothing and give a constant.
    let built = unsafe {
        [
            built::ggml_cpu_has_avx(),
            built::ggml_cpu_has_avx2(),
            built::ggml_cpu_has_fma(),
            built::ggml_cpu_has_f16c(),
            built::ggml_cpu_has_bmi2(),
            built::ggml_cpu_has_avx_vnni(),
            built::ggml_cpu_has_avx512(),
            built::ggml_cpu_has_avx512_vbmi(),
            built::ggml_cpu_has_avx512_vnni(),
            built::ggml_cpu_has_avx512_bf16(),
        ]
    };
    let has = [
        ("AVX", has!("avx")),
        ("AVX2", has!("avx2")),
        ("FMA", has!("fma")),
        ("F16C", has!("f16c")),
        ("BMI2", has!("bmi2")),
        ("AVX-VNNI", has!("avxvnni")),
        ("AVX-512", has!("avx512f") && has!("avx512bw")),
        ("AVX-512 VBMI", has!("avx512vbmi")),
        ("AVX-512 VNNI", has!("avx512vnni")),
        ("AVX-512 BF16", has!("avx512bf16")),
    ];
    has.into_iter().zip(built).map(|((name, has), built)| (name, built != 0, has)).collect()
}

/// Libraries are made for each kind of processor, and the one that fits is loaded; elsewhere there is one kind.
#[cfg(not(all(target_arch = "x86_64", not(feature = "dynamic-backends"))))]
fn instructions() -> Vec<Instruction> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compiled_in_and_not_there_is_named() {
        assert_eq!(first_lacking(&[("A", true, true), ("B", false, false), ("C", false, true)]), None);
        assert_eq!(first_lacking(&[("A", true, true), ("B", true, false), ("C", true, false)]), Some("B"));
    }

    #[test]
    fn this_very_program_runs_here() {
        check().unwrap();
    }
}
