//! Whether a model could be served here at all, to be said before gigabytes of it are loaded from somewhere.

use super::BATCH_TOKENS;
use super::device::{Device, DeviceChoice};
use crate::model::Header;
use crate::model::footprint::{Footprint, Wish};

/// A context that is worth having; the default shrinks from here when memory is short.
const CONTEXT_TOKENS: u32 = 4096;

/// Whether a file of `bytes` with this header fits, with one slot and a small context, into this machine while nothing
/// else runs on it.
///
/// # Errors
/// The arithmetic.
pub fn fits(header: &Header, bytes: u64) -> Result<(), String> {
    let on = |choice| {
        let device = Device::choose(choice).map_err(|error| error.to_string())?;
        let idle = Device { memory_free: device.memory_total, ..device.clone() };
        fits_in(header, bytes, idle.room()).map_err(|problem| format!("{problem}; {}", device.memory()))
    };
    // What is too large for the GPU is served by the CPU.
    on(DeviceChoice::Auto).or_else(|problem| on(DeviceChoice::Cpu).map_err(|_| problem))
}

fn fits_in(header: &Header, bytes: u64, room: u64) -> Result<(), String> {
    let trained = header.context_tokens().and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX);
    let wish = Wish {
        context_tokens: None,
        slots: None,
        default_context: trained.min(CONTEXT_TOKENS),
        batch_tokens: BATCH_TOKENS,
        room,
    };
    wish.fit(&Footprint::new(header, bytes)).map(|_| ()).map_err(|problem| problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelFile;

    #[test]
    fn a_model_fits_or_the_arithmetic_says_why_not() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/swarm-demo-3M-q8_0.gguf");
        let file = ModelFile::open(&path).unwrap();
        fits(&file.header, file.bytes).unwrap();
        let error = fits(&file.header, 1 << 50).unwrap_err();
        assert!(error.contains("it needs 1125") && error.contains(" has "), "{error}");
        fits_in(&file.header, file.bytes, 100_000_000).unwrap();
        assert!(fits_in(&file.header, file.bytes, 10_000_000).is_err());
    }
}
