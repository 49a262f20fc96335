//! What a model computes on, and how much memory there is.

use sysinfo::System;

use crate::model::footprint::Bytes;

/// Share of the free memory that a model may take on the CPU: the machine has to stay usable beside it.
const CPU_SHARE: f64 = 0.6;
/// Share of a GPU's memory that a model may take, all of it together.
const GPU_SHARE: f64 = 0.85;
/// Longest default contexts: a prompt of that length is read in reasonable time.
const CPU_CONTEXT: u32 = 4096;
const GPU_CONTEXT: u32 = 8192;
/// Share of the free memory of the machine, and the most of it, for conversations that have no slot.
const SAVED_SHARE: f64 = 0.1;
const MAX_SAVED: u64 = 8 << 30;

/// Where a model computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// As people know it.
    pub(crate) label: String,
    /// Why this is not what the owner expects; empty when all is well.
    pub(crate) warning: String,
    /// Whether it has memory of its own.
    pub(crate) gpu: bool,
    /// Bytes of its memory.
    pub(crate) memory_total: u64,
    /// Bytes that nobody uses.
    pub(crate) memory_free: u64,
}

impl Device {
    /// The best that there is.
    pub(crate) fn choose() -> Self {
        let (memory_total, memory_free) = ram();
        Self { label: "CPU".to_owned(), warning: String::new(), gpu: false, memory_total, memory_free }
    }

    /// Bytes that a model may take here, weights and caches and all.
    pub(crate) fn room(&self) -> u64 {
        if self.gpu {
            return share(self.memory_total, GPU_SHARE).min(self.memory_free);
        }
        share(self.memory_free, CPU_SHARE)
    }

    /// The longest context that makes sense where nobody asked for one.
    pub(crate) fn default_context(&self) -> u32 {
        if self.gpu { GPU_CONTEXT } else { CPU_CONTEXT }
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
        let device = Device::choose();
        assert!(device.memory_free > 0 && device.memory_free <= device.memory_total, "{device:?}");
        assert!(device.room() < device.memory_free);
    }

    #[test]
    fn a_card_is_filled_to_its_share_at_most() {
        let card = |free| Device {
            label: "GPU".into(),
            warning: String::new(),
            gpu: true,
            memory_total: 1000,
            memory_free: free,
        };
        assert_eq!((card(990).room(), card(300).room()), (850, 300));
    }
}
