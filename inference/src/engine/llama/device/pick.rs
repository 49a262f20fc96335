//! Which device a model is computed on: a choice from a list, without any driver.

use super::DeviceChoice;

/// A device that a backend found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its number among llama.cpp's devices.
    pub(super) index: usize,
    /// `CUDA`, `Vulkan`, `CPU` and others.
    pub(super) backend: String,
    /// The name of the card or the processor.
    pub(super) description: String,
    pub(super) kind: Kind,
    /// Bytes.
    pub(super) memory_total: u64,
    /// Bytes.
    pub(super) memory_free: u64,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Nothing that computes a whole model.
    Other,
    Cpu,
    /// It shares the processor's memory.
    Integrated,
    /// A card with memory of its own.
    Discrete,
}

/// What the program can do about GPUs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'a> {
    /// Its backends, in words.
    pub(super) built: &'a str,
    /// Why it finds no GPU, if it finds none; empty where that is not known.
    pub(super) problem: &'a str,
    /// What to do about that.
    pub(super) remedy: &'a str,
}

/// What was chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// The place in the list of what was found.
    Gpu(usize),
    /// The processor.
    Cpu {
        /// Why not the GPU that the machine has; empty when all is well.
        warning: String,
    },
}

impl Found {
    /// As people read it: `CUDA: NVIDIA GeForce RTX 4070`.
    pub(super) fn label(&self) -> String {
        let plain = self.description.replace("(R)", "").replace("(TM)", "");
        let words: Vec<&str> = plain.split_whitespace().collect();
        format!("{}: {}", self.backend, words.join(" "))
    }

    pub(super) fn is_cpu(&self) -> bool {
        self.kind == Kind::Cpu
    }

    pub(super) fn is_gpu(&self) -> bool {
        self.kind >= Kind::Integrated
    }

    fn is(&self, backend: &str) -> bool {
        self.backend.eq_ignore_ascii_case(backend)
    }

    /// A card of its own before one that shares the processor's memory; the same card through its maker's own
    /// interface before the one for all; then the one with the most room.
    fn rank(&self) -> (Kind, bool, u64) {
        (self.kind, !self.is("vulkan"), self.memory_free)
    }
}

/// The best of what was `found`, or what was asked for; `adapters` are the GPUs that the machine has.
///
/// # Errors
/// What was asked for is not there: one sentence.
pub(super) fn pick(
    found: &[Found],
    choice: DeviceChoice,
    adapters: &[String],
    program: &Program,
) -> Result<Pick, String> {
    let backend = match choice {
        DeviceChoice::Cpu => return Ok(Pick::Cpu { warning: String::new() }),
        DeviceChoice::Auto => None,
        DeviceChoice::Cuda => Some("cuda"),
        DeviceChoice::Vulkan => Some("vulkan"),
    };
    let fits = |found: &Found| found.is_gpu() && backend.is_none_or(|backend| found.is(backend));
    let gpus = found.iter().enumerate().filter(|(_, found)| fits(found));
    // The first of equals, so that two cards of one kind are taken in the driver's order.
    let best = gpus.rev().max_by_key(|(_, found)| found.rank());
    match (best, backend) {
        (Some((place, _)), _) => Ok(Pick::Gpu(place)),
        (None, Some(backend)) => Err(missing(backend, found, program)),
        (None, None) => Ok(Pick::Cpu { warning: unused(adapters, program) }),
    }
}

fn missing(backend: &str, found: &[Found], program: &Program) -> String {
    let gpus: Vec<String> = found.iter().filter(|found| found.is_gpu()).map(Found::label).collect();
    let there = if gpus.is_empty() { "no GPU was found".to_owned() } else { format!("found: {}", gpus.join(", ")) };
    let built = program.built;
    if backend == "vulkan" && !program.problem.is_empty() {
        return format!("{}; {}", program.problem, program.remedy);
    }
    format!("{backend} shows no device here ({there}); this program computes with {built}")
}

/// Why a GPU of the machine is not used, and what to do; empty where there is none.
fn unused(adapters: &[String], program: &Program) -> String {
    let Some(adapter) = adapters.first() else { return String::new() };
    let (why, remedy) = if !program.problem.is_empty() {
        (program.problem, program.remedy)
    } else if program.built == "the CPU only" {
        ("this program was built for the CPU only", "use a build with CUDA or Vulkan, see \"Backends\" in the README")
    } else {
        (
            "no backend of this program can reach it",
            "check that the card's driver is installed and that the program's libraries lie beside it",
        )
    };
    format!("{adapter} is not used, the CPU computes in its place: {why}; {remedy}, or choose --device cpu")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU_ONLY: Program = Program { built: "the CPU only", problem: "", remedy: "" };
    const NO_VULKAN: Program = Program { built: "Vulkan and the CPU", problem: "no Vulkan", remedy: "get a driver" };

    fn found(backend: &str, description: &str, kind: Kind, memory_free: u64) -> Found {
        let (backend, description) = (backend.to_owned(), description.to_owned());
        Found { index: 0, backend, description, kind, memory_total: 16, memory_free }
    }

    fn machine() -> Vec<Found> {
        vec![
            found("Vulkan", "Intel Iris", Kind::Integrated, 15),
            found("Vulkan", "RTX 4070", Kind::Discrete, 12),
            found("CUDA", "RTX 4070", Kind::Discrete, 11),
            found("CUDA", "RTX 4070", Kind::Discrete, 11),
            found("BLAS", "BLAS", Kind::Other, 16),
            found("CPU", "Intel(R) Xeon(R)  Processor", Kind::Cpu, 16),
        ]
    }

    #[track_caller]
    fn check(found: &[Found], choice: DeviceChoice, expected: Option<usize>) {
        let picked = pick(found, choice, &[], &CPU_ONLY).unwrap();
        let expected = expected.map_or(Pick::Cpu { warning: String::new() }, Pick::Gpu);
        assert_eq!(picked, expected, "{choice}");
    }

    #[test]
    fn the_best_card_is_taken() {
        check(&machine(), DeviceChoice::Auto, Some(2));
        check(&machine()[..2], DeviceChoice::Auto, Some(1));
        check(&machine()[..1], DeviceChoice::Auto, Some(0));
        check(&machine()[4..], DeviceChoice::Auto, None);
        check(&[], DeviceChoice::Auto, None);
        let mut busy = machine();
        busy[2].memory_free = 1;
        check(&busy, DeviceChoice::Auto, Some(3));
    }

    #[test]
    fn what_is_asked_for_is_taken_or_is_an_error() {
        check(&machine(), DeviceChoice::Cpu, None);
        check(&machine(), DeviceChoice::Vulkan, Some(1));
        check(&machine(), DeviceChoice::Cuda, Some(2));
        let error = pick(&machine()[..1], DeviceChoice::Cuda, &[], &CPU_ONLY).unwrap_err();
        assert!(error.contains("cuda shows no device") && error.contains("Vulkan: Intel Iris"), "{error}");
        assert!(pick(&machine()[4..], DeviceChoice::Vulkan, &[], &CPU_ONLY).is_err());
    }

    #[test]
    fn who_asks_for_vulkan_hears_what_is_wrong_with_it() {
        let error = pick(&machine()[4..], DeviceChoice::Vulkan, &[], &NO_VULKAN).unwrap_err();
        assert_eq!(error, "no Vulkan; get a driver");
        let error = pick(&machine()[4..], DeviceChoice::Cuda, &[], &NO_VULKAN).unwrap_err();
        assert!(error.starts_with("cuda shows no device here"), "{error}");
    }

    #[test]
    fn a_card_that_is_not_used_is_loud() {
        let adapters = ["an NVIDIA GPU".to_owned()];
        let cuda = Program { built: "CUDA and the CPU", ..CPU_ONLY };
        let programs = [
            (CPU_ONLY, "built for the CPU only"),
            (cuda, "driver is installed"),
            (NO_VULKAN, "no Vulkan; get a driver"),
        ];
        for (program, reason) in programs {
            let Ok(Pick::Cpu { warning }) = pick(&machine()[4..], DeviceChoice::Auto, &adapters, &program) else {
                panic!("there is nothing but the CPU");
            };
            assert!(warning.starts_with("an NVIDIA GPU is not used") && warning.contains(reason), "{warning}");
        }
        let asked = pick(&machine()[4..], DeviceChoice::Cpu, &adapters, &CPU_ONLY);
        assert_eq!(asked, Ok(Pick::Cpu { warning: String::new() }), "who asks for the CPU knows");
    }

    #[test]
    fn labels_are_plain() {
        assert_eq!(machine()[5].label(), "CPU: Intel Xeon Processor");
    }
}
