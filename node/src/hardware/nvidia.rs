//! NVIDIA cards, through the library that comes with their driver. It is loaded when the program runs.

use nvml_wrapper::{Device, Nvml, enum_wrappers::device::TemperatureSensor};
use starling_protocol::message::{Gpu, Memory};
use tracing::debug;

pub(super) struct Nvidia(Nvml);

impl Nvidia {
    /// None where there is no driver.
    pub(super) fn load() -> Option<Self> {
        Nvml::init().map(Self).inspect_err(|error| debug!(%error, "no NVIDIA driver")).ok()
    }

    pub(super) fn driver(&self) -> Option<String> {
        self.0.sys_driver_version().ok().map(|version| format!("NVIDIA {version}"))
    }

    /// Every card that answers.
    pub(super) fn gpus(&self) -> Vec<Gpu> {
        let count = self.0.device_count().unwrap_or(0);
        (0..count).filter_map(|index| self.0.device_by_index(index).ok()).map(|device| gpu(&device)).collect()
    }
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
