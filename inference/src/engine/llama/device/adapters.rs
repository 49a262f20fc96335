//! Which GPUs the machine has, whether or not a backend can use them: only so can a missing driver be told from a
//! missing card. Only cards that would speed up a model count; a graphics unit inside a processor is no news.

use std::path::Path;

/// In words, such as `an NVIDIA GPU`; the likeliest first.
pub(super) fn list() -> Vec<String> {
    let mut adapters = pci(Path::new("/sys/bus/pci/devices"));
    if adapters.is_empty() && NVIDIA_SIGNS.iter().any(|sign| Path::new(sign).exists()) {
        adapters.push(NVIDIA.to_owned());
    }
    adapters
}

const NVIDIA: &str = "an NVIDIA GPU";
const AMD: &str = "an AMD GPU";
/// What NVIDIA's driver leaves where the bus is not shown: on Windows, under WSL, in containers.
const NVIDIA_SIGNS: [&str; 4] =
    [r"C:\Windows\System32\nvcuda.dll", "/usr/lib/wsl/lib/libcuda.so.1", "/proc/driver/nvidia/version", "/dev/nvidia0"];
/// A controller of this class drives displays or computes in parallel.
const DISPLAY_CLASS: &str = "0x03";
/// A graphics unit inside a processor has less memory of its own.
const LEAST_AMD_BYTES: u64 = 2 << 30;

fn pci(devices: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(devices) else { return vec![] };
    let mut adapters: Vec<String> = entries.flatten().filter_map(|entry| adapter(&entry.path())).collect();
    adapters.sort_by_key(|adapter| adapter != NVIDIA);
    adapters
}

fn adapter(device: &Path) -> Option<String> {
    let read = |file: &str| std::fs::read_to_string(device.join(file)).ok().map(|text| text.trim().to_owned());
    if !read("class")?.starts_with(DISPLAY_CLASS) {
        return None;
    }
    match read("vendor")?.as_str() {
        "0x10de" => Some(NVIDIA.to_owned()),
        "0x1002" => {
            // Without a driver nobody knows; then the owner is told rather than not.
            let small = read("mem_info_vram_total")
                .and_then(|bytes| bytes.parse::<u64>().ok())
                .is_some_and(|bytes| bytes < LEAST_AMD_BYTES);
            (!small).then(|| AMD.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_told_from_the_rest_of_the_bus() {
        let bus = tempfile::tempdir().unwrap();
        let device = |name: &str, files: &[(&str, &str)]| {
            let folder = bus.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for (file, text) in files {
                std::fs::write(folder.join(file), format!("{text}\n")).unwrap();
            }
        };
        device("0-disk", &[("class", "0x010802"), ("vendor", "0x10de")]);
        device("1-intel", &[("class", "0x030000"), ("vendor", "0x8086")]);
        device("2-amd", &[("class", "0x030000"), ("vendor", "0x1002"), ("mem_info_vram_total", "17163091968")]);
        device("3-apu", &[("class", "0x030000"), ("vendor", "0x1002"), ("mem_info_vram_total", "536870912")]);
        device("4-nvidia", &[("class", "0x030200"), ("vendor", "0x10de")]);
        device("5-broken", &[]);
        assert_eq!(pci(bus.path()), [NVIDIA, AMD]);
        assert_eq!(pci(Path::new("/nowhere")), Vec::<String>::new());
    }
}
