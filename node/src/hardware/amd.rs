//! AMD cards on Linux, from the files in which the kernel shows them.

use std::{fs, path::Path};

use starling_protocol::message::{Gpu, Memory};

const AMD: &str = "0x1002";
/// A link in a folder of cards for each output of each card.
const MAX_ENTRIES: usize = 256;

/// Cards that tell their memory; without it an entry is an output or another maker's card.
pub(super) fn gpus(drm: &Path) -> Vec<Gpu> {
    let Ok(entries) = fs::read_dir(drm) else { return vec![] };
    let mut cards: Vec<_> = entries.take(MAX_ENTRIES).flatten().map(|entry| entry.path().join("device")).collect();
    cards.sort();
    // A card has several entries, but the kernel gives only `cardN` without a dash its own folder.
    cards.retain(|card| is_card(card) && text(card, "vendor").as_deref() == Some(AMD));
    cards.iter().filter_map(|card| gpu(card)).collect()
}

fn is_card(device: &Path) -> bool {
    let name = device.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.and_then(|name| name.strip_prefix("card").map(|index| index.parse::<u32>().is_ok())).unwrap_or(false)
}

fn gpu(card: &Path) -> Option<Gpu> {
    let total = number(card, "mem_info_vram_total")?;
    let sensors = fs::read_dir(card.join("hwmon")).ok().and_then(|mut entries| entries.next()?.ok());
    let sensor = |file: &str| sensors.as_ref().and_then(|folder| number(&folder.path(), file));
    let small = |number: u64| u32::try_from(number).ok();
    Some(Gpu {
        name: name(card),
        memory: Memory { total, used: number(card, "mem_info_vram_used").unwrap_or(0) },
        utilization_percent: number(card, "gpu_busy_percent").and_then(small),
        temperature_celsius: sensor("temp1_input").and_then(|millidegrees| small(millidegrees / 1000)),
        power_watts: sensor("power1_average").and_then(|microwatts| small(microwatts / 1_000_000)),
    })
}

fn name(card: &Path) -> String {
    let known = text(card, "product_name").filter(|name| !name.is_empty());
    let id = || text(card, "device").unwrap_or_default();
    known.unwrap_or_else(|| format!("AMD GPU {}", id().trim_start_matches("0x")).trim_end().to_owned())
}

fn text(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_owned())
}

fn number(folder: &Path, file: &str) -> Option<u64> {
    text(folder, file)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (file, text) in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn a_card_is_read_and_what_it_does_not_say_is_none() {
        let drm = tempfile::tempdir().unwrap();
        write(
            &drm.path().join("card1"),
            &[
                ("device/vendor", "0x1002"),
                ("device/device", "0x744c"),
                ("device/mem_info_vram_total", "25753026560"),
                ("device/mem_info_vram_used", "1000000"),
                ("device/gpu_busy_percent", "37"),
                ("device/hwmon/hwmon3/temp1_input", "54000"),
            ],
        );
        // The card's outputs, another maker's card, and one without memory of its own.
        write(&drm.path().join("card1-DP-1"), &[("device/vendor", "0x1002"), ("device/mem_info_vram_total", "1")]);
        write(&drm.path().join("card0"), &[("device/vendor", "0x8086"), ("device/mem_info_vram_total", "1")]);
        write(&drm.path().join("card2"), &[("device/vendor", "0x1002"), ("device/mem_info_vram_total", "none")]);
        let expected = Gpu {
            name: "AMD GPU 744c".into(),
            memory: Memory { total: 25_753_026_560, used: 1_000_000 },
            utilization_percent: Some(37),
            temperature_celsius: Some(54),
            power_watts: None,
        };
        assert_eq!(gpus(drm.path()), [expected]);
    }

    #[test]
    fn no_folder_is_no_card() {
        assert_eq!(gpus(Path::new("/nowhere")), []);
    }
}
