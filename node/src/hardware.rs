//! What the machine's GPUs and memory say of themselves, read every two seconds.
//!
//! A driver may take its time or never answer, so the reading has a thread of its own: whatever it
//! does, jobs go on and the node can end. A machine without a driver has no GPUs, which is no error.

mod amd;
mod nvidia;
mod owners;

use std::{
    io,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use starling_inference::{CPU_SHARE, DeviceChoice, GPU_SHARE, HAS_GPU_BACKENDS};
use starling_protocol::{
    limits::{MAX_GPUS, MAX_LABEL_BYTES},
    message::{Gpu, Memory},
};
use sysinfo::System;
use tokio::sync::watch;

use crate::{convert::cut, shelf::Room};
use nvidia::Nvidia;

/// Between two readings: these figures are for people and graphs, not for scheduling.
const INTERVAL: Duration = Duration::from_secs(2);
/// Where Linux shows its graphics cards.
const DRM: &str = "/sys/class/drm";

/// What a machine has and how much of it is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// Its GPUs, as their drivers describe them.
    pub gpus: Vec<Gpu>,
    /// Its own memory.
    pub ram: Memory,
    /// Who uses those of NVIDIA.
    pub cards: Vec<Card>,
}

/// What an NVIDIA card says of others than us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// All of its memory, and what of it is taken.
    pub memory: Memory,
    /// Degrees Celsius at which it slows down by itself.
    pub slows_down_at: Option<u32>,
    /// Hundredths of its time that others use.
    pub used_by_others: Option<u32>,
    /// Bytes of its memory that others have; Windows does not say.
    pub memory_of_others: Option<u64>,
}

/// Reads the figures.
pub struct Probe {
    nvidia: Option<Nvidia>,
    system: Option<System>,
}

impl Probe {
    /// Looks for the drivers. Blocks, as everything here.
    #[must_use]
    pub fn new() -> Self {
        Self { nvidia: Nvidia::load(), system: System::new().ok() }
    }

    /// The figures of this moment.
    pub fn read(&mut self) -> Hardware {
        let system = &mut self.system;
        let is_ours = |pids: &[u32]| owners::ours(system.as_mut(), pids);
        let cards = self.nvidia.as_mut().map(|nvidia| nvidia.cards(is_ours)).unwrap_or_default();
        let mut gpus = self.nvidia.as_ref().map(Nvidia::gpus).unwrap_or_default();
        gpus.extend(amd::gpus(Path::new(DRM)));
        gpus.truncate(MAX_GPUS);
        for gpu in &mut gpus {
            gpu.name = cut(&gpu.name, MAX_LABEL_BYTES);
        }
        Hardware { gpus, ram: self.ram(), cards }
    }

    /// NVIDIA's driver and its version, where there is one.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        self.nvidia.as_ref().and_then(Nvidia::driver)
    }

    fn ram(&mut self) -> Memory {
        let Some(system) = &mut self.system else { return Memory::default() };
        system.refresh_memory();
        Memory { total: system.total_memory(), used: system.used_memory() }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps reading for as long as it is held.
pub(crate) struct Watcher {
    _stop: mpsc::SyncSender<()>,
    seen: watch::Receiver<Hardware>,
}

impl Watcher {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel::<()>(0);
        let (found, seen) = watch::channel(Hardware::default());
        let read = move || {
            let mut probe = Probe::new();
            loop {
                found.send_replace(probe.read());
                if stopped.recv_timeout(INTERVAL) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread::Builder::new().name("hardware".to_owned()).spawn(read)?;
        Ok(Self { _stop: stop, seen })
    }

    /// Bytes that a model may take: of the GPU with the most room where one is used, else of the machine's memory. A
    /// guess, and for choosing who makes room: an engine looks for itself.
    pub(crate) fn room(&self, device: DeviceChoice) -> Room {
        let seen = self.seen();
        let on_gpu = HAS_GPU_BACKENDS && device != DeviceChoice::Cpu;
        Arc::new(move || {
            let Hardware { gpus, ram, .. } = &*seen.borrow();
            let on_card = gpus.iter().filter(|_| on_gpu).map(|gpu| share(gpu.memory, GPU_SHARE)).max();
            on_card.filter(|room| *room > 0).unwrap_or_else(|| share(*ram, CPU_SHARE))
        })
    }

    /// The figures, as a level.
    pub(crate) fn seen(&self) -> watch::Receiver<Hardware> {
        self.seen.clone()
    }
}

/// A part of what is free; where nothing is known there is no limit, and the engine will say when it gets none.
fn share(memory: Memory, share: f64) -> u64 {
    let free = memory.total.saturating_sub(memory.used);
    if memory.total == 0 { u64::MAX } else { (free as f64 * share) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_and_uses_some_of_it() {
        let ram = Probe::new().read().ram;
        assert!(0 < ram.used && ram.used < ram.total, "{ram:?}");
    }

    #[tokio::test]
    async fn the_watcher_reads_at_once_and_ends_when_dropped() {
        let watcher = Watcher::start().unwrap();
        let mut seen = watcher.seen();
        let read = seen.wait_for(|hardware| hardware.ram.total > 0);
        tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
        drop(watcher);
        let ended = async { while seen.changed().await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    }
}
