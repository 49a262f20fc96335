//! What a model computes on, and how much memory there is.
//!
//! [`Device::choose`] asks llama.cpp's backends what they found and takes the best of it (`pick`). Where that is the
//! CPU although the machine has a GPU (`adapters`), it says why: nobody should wonder about a slow answer.

use std::fmt;
use std::str::FromStr;

use llama_cpp_2::{LlamaBackendDeviceType, list_llama_ggml_backend_devices};
use serde::{Deserialize, Serialize};
use sysinfo::System;

use super::BACKEND;
use crate::OpenError;
use crate::model::footprint::Bytes;
use pick::{Found, Pick, Program};

mod adapters;
mod pick;
#[cfg(any(test, all(feature = "vulkan", not(feature = "dynamic-backends"))))]
mod vulkan;

/// Share of the free memory that a model may take on the CPU: the machine has to stay usable beside it.
pub const CPU_SHARE: f64 = 0.6;
/// Share of a GPU's memory that a model may take, all of it together.
pub const GPU_SHARE: f64 = 0.85;
/// Longest default contexts: a prompt of that length is read in reasonable time.
const CPU_CONTEXT: u32 = 4096;
const GPU_CONTEXT: u32 = 8192;
/// Share of the free memory of the machine, and the most of it, for conversations that have no slot.
const SAVED_SHARE: f64 = 0.1;
const MAX_SAVED: u64 = 8 << 30;

/// What a person asks to compute on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    /// A GPU when there is one that the program can use, else the CPU.
    #[default]
    Auto,
    /// The CPU, also where there is a GPU.
    Cpu,
    /// An NVIDIA GPU, through CUDA.
    Cuda,
    /// Any GPU, through Vulkan.
    Vulkan,
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
        })
    }
}

impl FromStr for DeviceChoice {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let all = [Self::Auto, Self::Cpu, Self::Cuda, Self::Vulkan];
        all.into_iter().find(|choice| choice.to_string() == word).ok_or("is one of auto, cpu, cuda and vulkan")
    }
}

/// What there is to compute on, for whoever wants to know why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The backends that were built in, or how they are looked for.
    pub built: &'static str,
    /// What the backends found, such as `CUDA: NVIDIA GeForce RTX 4070 (12 GiB, 11 GiB free)`.
    pub found: Vec<String>,
    /// The machine's GPUs as the system lists them, whether a backend can use them or not.
    pub adapters: Vec<String>,
    /// What a model is computed on where nobody chooses.
    pub chosen: String,
    /// Why no GPU is among what was found, where that is known; empty otherwise.
    pub no_gpu: String,
    /// Why that is not what one would expect; empty when all is well.
    pub warning: String,
}

/// Looks at what there is. Loads drivers, which takes up to a second.
///
/// # Errors
/// When llama.cpp has no backend at all.
pub fn survey() -> Result<Survey, OpenError> {
    let chosen = Device::choose(DeviceChoice::Auto)?;
    let shown =
        |found: &Found| format!("{} ({}, {} free)", found.label(), Bytes(found.memory_total), Bytes(found.memory_free));
    let found = found();
    let has_gpu = found.iter().any(Found::is_gpu);
    Ok(Survey {
        built: BUILT,
        no_gpu: if has_gpu { String::new() } else { absence().0 },
        found: found.iter().map(shown).collect(),
        adapters: adapters::list(),
        chosen: chosen.label,
        warning: chosen.warning,
    })
}

/// Whether this build may compute on a GPU.
pub const HAS_GPU_BACKENDS: bool = cfg!(any(feature = "dynamic-backends", feature = "cuda", feature = "vulkan"));
/// The backends of this build, in words.
const BUILT: &str = match (cfg!(feature = "dynamic-backends"), cfg!(feature = "cuda"), cfg!(feature = "vulkan")) {
    (true, _, _) => "the libraries beside the program",
    (false, true, true) => "CUDA, Vulkan and the CPU",
    (false, true, false) => "CUDA and the CPU",
    (false, false, true) => "Vulkan and the CPU",
    (false, false, false) => "the CPU only",
};

/// Where a model computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// As people know it.
    pub(crate) label: String,
    /// Why this is not what the owner expects; empty when all is well.
    pub(crate) warning: String,
    /// Its number among llama.cpp's devices; none is the CPU.
    pub(crate) gpu: Option<usize>,
    /// Bytes of its memory.
    pub(crate) memory_total: u64,
    /// Bytes that nobody uses.
    pub(crate) memory_free: u64,
}

impl Device {
    /// The best that there is, or what was asked for.
    ///
    /// # Errors
    /// When what was asked for is not there.
    pub(crate) fn choose(choice: DeviceChoice) -> Result<Self, OpenError> {
        if BACKEND.is_none() {
            return Err(OpenError::Engine { reason: no_backend() });
        }
        let found = found();
        let (problem, remedy) = absence();
        let program = Program { built: BUILT, problem: &problem, remedy };
        match pick::pick(&found, choice, &adapters::list(), &program) {
            Ok(Pick::Gpu(index)) => {
                let gpu = &found[index];
                let (memory_total, memory_free) = (gpu.memory_total, gpu.memory_free);
                let gpu = Some(gpu.index);
                Ok(Self { label: found[index].label(), warning: String::new(), gpu, memory_total, memory_free })
            }
            Ok(Pick::Cpu { warning }) => Ok(Self::cpu(&found, warning)),
            Err(reason) => Err(OpenError::Option { option: "device", reason }),
        }
    }

    /// The CPU in place of this GPU, which cannot take a model because of `problem`.
    pub(crate) fn fall_back(&self, problem: &OpenError) -> Self {
        Self::cpu(&found(), format!("{} is not used, the CPU computes in its place: {problem}", self.label))
    }

    fn cpu(found: &[Found], warning: String) -> Self {
        let (memory_total, memory_free) = ram();
        let known = found.iter().find(|found| found.is_cpu()).map(Found::label);
        Self { label: known.unwrap_or_else(|| "CPU".to_owned()), warning, gpu: None, memory_total, memory_free }
    }

    /// How an engine shows it: with the threads, where it is the CPU.
    pub(crate) fn label(&self, threads: u32) -> String {
        match (self.gpu, threads) {
            (Some(_), _) => self.label.clone(),
            (None, 1) => format!("{}, 1 thread", self.label),
            (None, threads) => format!("{}, {threads} threads", self.label),
        }
    }

    /// Bytes that a model may take here, weights and caches and all.
    pub(crate) fn room(&self) -> u64 {
        if self.gpu.is_some() {
            return share(self.memory_total, GPU_SHARE).min(self.memory_free);
        }
        share(self.memory_free, CPU_SHARE)
    }

    /// The longest context that makes sense where nobody asked for one.
    pub(crate) fn default_context(&self) -> u32 {
        if self.gpu.is_some() { GPU_CONTEXT } else { CPU_CONTEXT }
    }

    /// One line for an error: what there is.
    pub(crate) fn memory(&self) -> String {
        format!("{} has {}, {} of it free", self.label, Bytes(self.memory_total), Bytes(self.memory_free))
    }
}

/// Bytes of the machine's memory that conversations without a slot may take by default.
pub(crate) fn default_saved_bytes() -> u64 {
    share(ram().1, SAVED_SHARE).min(MAX_SAVED)
}

/// What the backends found. They are loaded by then.
fn found() -> Vec<Found> {
    let devices = list_llama_ggml_backend_devices().into_iter().map(|device| Found {
        index: device.index,
        backend: device.backend,
        description: device.description,
        kind: match device.device_type {
            LlamaBackendDeviceType::Gpu => pick::Kind::Discrete,
            LlamaBackendDeviceType::IntegratedGpu => pick::Kind::Integrated,
            LlamaBackendDeviceType::Cpu => pick::Kind::Cpu,
            LlamaBackendDeviceType::Accelerator | LlamaBackendDeviceType::Unknown => pick::Kind::Other,
        },
        memory_total: device.memory_total as u64,
        memory_free: device.memory_free as u64,
    });
    devices.collect()
}

/// Why this program finds no GPU, if it finds none, and what to do about it; empty where that is not known.
#[cfg(all(feature = "vulkan", not(feature = "dynamic-backends")))]
fn absence() -> (String, &'static str) {
    vulkan::problem()
}

#[cfg(not(all(feature = "vulkan", not(feature = "dynamic-backends"))))]
fn absence() -> (String, &'static str) {
    (String::new(), "")
}

fn no_backend() -> String {
    if cfg!(feature = "dynamic-backends") {
        return "no ggml-cpu library lies beside the program: copy all of its libraries with it".to_owned();
    }
    "llama.cpp cannot be initialised here".to_owned()
}

/// Total and free bytes of RAM, those of the container where there is one. Where the system does not tell, there is
/// no limit: llama.cpp will say when it gets none.
fn ram() -> (u64, u64) {
    let Ok(mut system) = System::new() else { return (u64::MAX, u64::MAX) };
    system.refresh_memory();
    let (total, free) = (system.total_memory(), system.available_memory());
    match system.cgroup_limits() {
        Some(limits) if limits.total_memory < total => {
            (limits.total_memory, free.min(limits.total_memory.saturating_sub(limits.rss)))
        }
        _ => (total, free),
    }
}

fn share(bytes: u64, share: f64) -> u64 {
    (bytes as f64 * share) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_memory_and_some_of_it_may_be_taken() {
        let device = Device::choose(DeviceChoice::Cpu).unwrap();
        assert!(device.memory_free > 0 && device.memory_free <= device.memory_total, "{device:?}");
        assert!(device.room() < device.memory_free);
        assert!(device.label(1).starts_with("CPU: ") && device.label(1).ends_with(", 1 thread"), "{device:?}");
    }

    #[test]
    fn a_card_is_filled_to_its_share_at_most() {
        let card = |free| Device {
            label: "GPU".into(),
            warning: String::new(),
            gpu: Some(1),
            memory_total: 1000,
            memory_free: free,
        };
        assert_eq!((card(990).room(), card(300).room()), (850, 300));
        assert_eq!(card(1).label(8), "GPU");
    }

    #[test]
    fn a_card_that_is_too_small_is_said_to_be() {
        let card = Device { label: "CUDA: card".into(), gpu: Some(0), ..Device::choose(DeviceChoice::Cpu).unwrap() };
        let problem = OpenError::Memory { path: "m.gguf".into(), problem: "it needs 9 GiB".into() };
        let device = card.fall_back(&problem);
        assert_eq!(device.gpu, None);
        assert!(device.warning.contains("CUDA: card is not used") && device.warning.contains("9 GiB"), "{device:?}");
    }

    #[test]
    fn words_are_choices() {
        assert_eq!("vulkan".parse(), Ok(DeviceChoice::Vulkan));
        assert!("Vulkan".parse::<DeviceChoice>().is_err());
    }
}
