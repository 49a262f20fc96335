//! A card: its memory within a budget, and its streams. The driver's library is loaded when it is asked for, so that a
//! machine without one is no special case.

use std::fmt;
use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr, DriverError};

use super::Capability;

/// The CUDA that the library was made with, as drivers count: 13.0. A driver lacks functions of newer ones.
const LEAST_CUDA: i32 = 13_000;

/// A version of CUDA, as people write it.
struct Cuda(i32);

impl fmt::Display for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

/// Why there is no card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoCard {
    #[error("there is no NVIDIA driver on this machine")]
    NoDriver,
    #[error("the NVIDIA driver is for CUDA {} and has to be for {} or newer", Cuda(*.0), Cuda(LEAST_CUDA))]
    Old(i32),
    #[error("the NVIDIA driver gives no card: {0}")]
    NoDevice(String),
    #[error("{0}")]
    Unsuitable(String),
}

impl NoCard {
    /// The next step for the person who reads it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::NoDriver => "with an NVIDIA card in it, install NVIDIA's driver (580 or newer)",
            Self::Old(_) => "update NVIDIA's driver to 580 or newer",
            Self::NoDevice(_) => "look whether nvidia-smi shows the card, and start the machine again",
            Self::Unsuitable(_) => "llama.cpp serves every model on this card",
        }
    }
}

/// What goes wrong on a card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CardError {
    #[error("{asked} bytes of the card's memory are beyond the {left} that are left of the budget")]
    Budget { asked: u64, left: u64 },
    #[error("the driver: {0}")]
    Driver(String),
}

impl From<DriverError> for CardError {
    fn from(error: DriverError) -> Self {
        Self::Driver(error.to_string())
    }
}

/// The first card of the machine.
pub(super) struct Card {
    context: Arc<CudaContext>,
    pub(super) name: String,
    pub(super) capability: Capability,
    /// Bytes of its memory.
    pub(super) memory: u64,
    /// The CUDA that its driver is for.
    pub(super) cuda: String,
    /// Bytes that may still be taken.
    left: u64,
}

impl Card {
    /// Opens it; nothing may be allocated before [`Card::allow`].
    pub(super) fn open() -> Result<Self, NoCard> {
        // SAFETY: the driver's library is loaded and let go again; what it does then is the vendor's.
        #[expect(unsafe_code, reason = "loads a library of the system's")]
        let present = unsafe { cudarc::driver::sys::is_culib_present() };
        if !present {
            return Err(NoCard::NoDriver);
        }
        let no_device = |error: DriverError| NoCard::NoDevice(error.to_string());
        let cuda = driver_version().map_err(no_device)?;
        if cuda < LEAST_CUDA {
            return Err(NoCard::Old(cuda));
        }
        let context = CudaContext::new(0).map_err(no_device)?;
        let (major, minor) = context.compute_capability().map_err(no_device)?;
        let number = |part: i32| u32::try_from(part).unwrap_or_default();
        let capability = Capability::new(number(major), number(minor)).map_err(NoCard::Unsuitable)?;
        let name = context.name().map_err(no_device)?;
        let memory = context.total_mem().map_err(no_device)? as u64;
        // SAFETY: every use of memory here is ordered by its own stream and by waiting for that.
        #[expect(unsafe_code, reason = "the library enqueues where cudarc does not see it")]
        unsafe {
            context.disable_event_tracking();
        }
        Ok(Self { context, name, capability, memory, cuda: Cuda(cuda).to_string(), left: 0 })
    }

    /// Bytes of its memory that nobody has taken.
    pub(super) fn free(&self) -> Result<u64, CardError> {
        Ok(self.context.mem_get_info()?.0 as u64)
    }

    /// From now on so many bytes may be taken.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// Counts bytes that somebody else takes.
    pub(super) fn claim(&mut self, bytes: u64) -> Result<(), CardError> {
        self.left = self.left.checked_sub(bytes).ok_or(CardError::Budget { asked: bytes, left: self.left })?;
        Ok(())
    }

    /// Gives back bytes that were counted.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.left = self.left.saturating_add(bytes);
    }

    pub(super) fn stream(&self) -> Result<Arc<CudaStream>, CardError> {
        Ok(self.context.new_stream()?)
    }

    /// Memory full of zeros, in the order of `stream`.
    pub(super) fn zeros(&mut self, stream: &Arc<CudaStream>, bytes: usize) -> Result<Memory, CardError> {
        self.claim(bytes as u64)?;
        Ok(Memory { bytes: stream.alloc_zeros::<u8>(bytes.max(1))? })
    }
}

/// The CUDA that the driver is for, which has been loaded.
fn driver_version() -> Result<i32, DriverError> {
    let mut version = 0;
    // SAFETY: it writes one number, and needs nothing to have been initialised.
    #[expect(unsafe_code, reason = "a function of the driver's that cudarc has no other way to")]
    unsafe { cudarc::driver::sys::cuDriverGetVersion(&raw mut version) }.result()?;
    Ok(version)
}

/// Memory of a card. It stays where it is.
pub(super) struct Memory {
    bytes: CudaSlice<u8>,
}

impl Memory {
    /// Where it begins, as the card counts.
    pub(super) fn address(&self, stream: &CudaStream) -> u64 {
        self.bytes.device_ptr(stream).0
    }

    /// Bytes of it.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Copies `from` to its beginning, in the order of `stream`. The driver may read `from` at any time until whoever
    /// calls has waited for the stream: it stays where it is so long.
    pub(super) fn write(&mut self, stream: &Arc<CudaStream>, from: &[u8]) -> Result<(), CardError> {
        let mut part = self.bytes.slice_mut(..from.len());
        Ok(stream.memcpy_htod(from, &mut part)?)
    }

    /// Copies bytes from `start` on into `to`, in the order of `stream`, and waits for them.
    pub(super) fn read(&self, stream: &Arc<CudaStream>, start: usize, to: &mut [u8]) -> Result<(), CardError> {
        let part = self.bytes.slice(start..start + to.len());
        stream.memcpy_dtoh(&part, to)?;
        Ok(stream.synchronize()?)
    }

    /// Copies `bytes` of it from one place to another, in the order of `stream`; the two do not overlap.
    pub(super) fn copy(
        &mut self,
        stream: &Arc<CudaStream>,
        (from, to): (usize, usize),
        bytes: usize,
    ) -> Result<(), CardError> {
        let (first, second) = (from.min(to), from.max(to));
        let (mut before, mut behind) = self.bytes.split_at_mut(second);
        let (low, high) = (before.slice_mut(first..first + bytes), behind.slice_mut(..bytes));
        let (source, mut target) = if from < to { (low, high) } else { (high, low) };
        Ok(stream.memcpy_dtod(&source, &mut target)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a machine with a driver this says something else, and the ladder of the self-test says what.
    #[test]
    fn a_machine_without_a_driver_is_told_so_calmly() {
        match Card::open() {
            Err(NoCard::NoDriver) => {
                assert_eq!(NoCard::NoDriver.to_string(), "there is no NVIDIA driver on this machine");
            }
            Err(other) => assert!(!other.to_string().is_empty()),
            Ok(mut card) => {
                assert!(card.memory > 1 << 30);
                card.allow(100);
                assert!(card.claim(60).is_ok());
                assert_eq!(card.claim(60), Err(CardError::Budget { asked: 60, left: 40 }));
            }
        }
    }
}
