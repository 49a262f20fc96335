//! NVIDIA cards, through the library that comes with their driver. It is loaded when the program runs.

use std::collections::BTreeMap;

use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{TemperatureSensor, TemperatureThreshold},
    enums::device::UsedGpuMemory,
    error::NvmlError,
};
use starling_protocol::message::{Gpu, Memory};
use tracing::debug;

use super::Card;

pub(super) struct Nvidia {
    nvml: Nvml,
    /// Of what was used when, what was seen already: for each card the time of the last sample, by the driver's clock.
    seen: BTreeMap<u32, u64>,
}

impl Nvidia {
    /// None where there is no driver.
    pub(super) fn load() -> Option<Self> {
        Nvml::init()
            .map(|nvml| Self { nvml, seen: BTreeMap::new() })
            .inspect_err(|error| debug!(%error, "no NVIDIA driver"))
            .ok()
    }

    pub(super) fn driver(&self) -> Option<String> {
        self.nvml.sys_driver_version().ok().map(|version| format!("NVIDIA {version}"))
    }

    /// Every card that answers.
    pub(super) fn gpus(&self) -> Vec<Gpu> {
        let count = self.nvml.device_count().unwrap_or(0);
        (0..count).filter_map(|index| self.nvml.device_by_index(index).ok()).map(|device| gpu(&device)).collect()
    }

    /// What others than us do with each of them; `ours` says which of some processes are.
    pub(super) fn cards(&mut self, mut ours: impl FnMut(&[u32]) -> Vec<u32>) -> Vec<Card> {
        let count = self.nvml.device_count().unwrap_or(0);
        let mut cards = vec![];
        for index in 0..count {
            let Ok(device) = self.nvml.device_by_index(index) else { continue };
            cards.push(card(&device, self.seen.entry(index).or_default(), &mut ours));
        }
        cards
    }
}

fn card(device: &Device<'_>, seen: &mut u64, ours: &mut impl FnMut(&[u32]) -> Vec<u32>) -> Card {
    let memory = device.memory_info().map(|memory| Memory { total: memory.total, used: memory.used });
    let slows_down_at = device.temperature_threshold(TemperatureThreshold::Slowdown).ok();
    let processes = processes(device);
    let used = used(device, seen);
    let pids: Vec<u32> = processes.keys().chain(used.iter().flat_map(BTreeMap::keys)).copied().collect();
    let ours = if pids.is_empty() { vec![] } else { ours(&pids) };
    Card {
        memory: memory.unwrap_or_default(),
        slows_down_at,
        used_by_others: used.map(|used| share_of_others(&used, &ours)),
        memory_of_others: memory_of_others(&processes, &ours),
    }
}

/// Who is on the card, and with how many bytes, where that is known. One that computes and draws is there once.
fn processes(device: &Device<'_>) -> BTreeMap<u32, Option<u64>> {
    let compute = device.running_compute_processes().unwrap_or_default();
    let graphics = device.running_graphics_processes().unwrap_or_default();
    let known = |memory: UsedGpuMemory| match memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    compute.into_iter().chain(graphics).map(|process| (process.pid, known(process.used_gpu_memory))).collect()
}

/// Hundredths of its time that each process has used since the last look: the mean of what was sampled. None where the
/// driver does not say.
fn used(device: &Device<'_>, seen: &mut u64) -> Option<BTreeMap<u32, u32>> {
    let samples = match device.process_utilization_stats(*seen) {
        Ok(samples) => samples,
        // That is how it says that nobody has used it.
        Err(NvmlError::NotFound) => vec![],
        Err(_) => return None,
    };
    let newer = samples.into_iter().filter(|sample| sample.timestamp > *seen);
    let samples: Vec<(u64, u32, u32)> = newer.map(|sample| (sample.timestamp, sample.pid, sample.sm_util)).collect();
    *seen = samples.iter().map(|(at, ..)| *at).max().unwrap_or(*seen);
    Some(mean(samples.into_iter().map(|(_, pid, used)| (pid, used))))
}

fn mean(samples: impl Iterator<Item = (u32, u32)>) -> BTreeMap<u32, u32> {
    let mut sums = BTreeMap::<u32, (u32, u32)>::new();
    // A process that has ended leaves samples that are none.
    for (pid, used) in samples.filter(|(_, used)| *used <= 100) {
        let (sum, count) = sums.entry(pid).or_default();
        (*sum, *count) = (sum.saturating_add(used), count.saturating_add(1));
    }
    sums.into_iter().map(|(pid, (sum, count))| (pid, sum / count.max(1))).collect()
}

fn share_of_others(used: &BTreeMap<u32, u32>, ours: &[u32]) -> u32 {
    used.iter().filter(|(pid, _)| !ours.contains(pid)).map(|(_, used)| used).sum::<u32>().min(100)
}

/// None when one of them is not known: then all that is taken has to do.
fn memory_of_others(processes: &BTreeMap<u32, Option<u64>>, ours: &[u32]) -> Option<u64> {
    let others = processes.iter().filter(|(pid, _)| !ours.contains(pid));
    others.map(|(_, bytes)| *bytes).try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?)))
}

/// A card that does not tell something has none of it: laptops have no power figure, and MIG no utilisation.
fn gpu(device: &Device<'_>) -> Gpu {
    let memory = device.memory_info().map(|memory| Memory { total: memory.total, used: memory.used });
    Gpu {
        name: device.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned()),
        memory: memory.unwrap_or_default(),
        utilization_percent: device.utilization_rates().ok().map(|busy| busy.gpu),
        temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok(),
        power_watts: device.power_usage().ok().map(|milliwatts| milliwatts / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_use_does_not_count() {
        let used = mean([(1, 90), (1, 70), (2, 10), (3, 20), (3, 40), (4, u32::MAX)].into_iter());
        assert_eq!(used, [(1, 80), (2, 10), (3, 30)].into());
        assert_eq!(share_of_others(&used, &[1]), 40);
        assert_eq!(share_of_others(&used, &[]), 100);
        let processes = [(1, Some(8)), (2, Some(2)), (3, None)].into();
        assert_eq!(memory_of_others(&processes, &[1]), None);
        assert_eq!(memory_of_others(&processes, &[1, 3]), Some(2));
        assert_eq!(memory_of_others(&BTreeMap::new(), &[]), Some(0));
    }
}
