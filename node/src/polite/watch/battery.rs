//! Whether the machine runs on its battery.

/// Where Linux shows what feeds the machine.
#[cfg(not(windows))]
const SUPPLIES: &str = "/sys/class/power_supply";

/// What is not known, as on a machine without a battery, is no battery.
#[cfg(not(windows))]
pub(crate) fn on_battery() -> bool {
    linux::on_battery(std::path::Path::new(SUPPLIES))
}

#[cfg(windows)]
pub(crate) fn on_battery() -> bool {
    windows::on_battery()
}

#[cfg(not(windows))]
mod linux {
    use std::{fs, path::Path};

    /// A battery of the machine's own empties, and nothing else feeds it. Those of mice and headsets do not count.
    pub(super) fn on_battery(supplies: &Path) -> bool {
        let Ok(entries) = fs::read_dir(supplies) else { return false };
        let mut empties = false;
        for supply in entries.flatten().map(|entry| entry.path()) {
            let read = |name: &str| fs::read_to_string(supply.join(name)).unwrap_or_default().trim().to_owned();
            match read("type").as_str() {
                "Battery" if read("scope") != "Device" => empties |= read("status") == "Discharging",
                "Mains" | "USB" | "Wireless" if read("online") == "1" => return false,
                _ => {}
            }
        }
        empties
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[track_caller]
        fn check(supplies: &[(&str, &[(&str, &str)])], expected: bool) {
            let folder = tempfile::tempdir().unwrap();
            for (name, files) in supplies {
                fs::create_dir(folder.path().join(name)).unwrap();
                for (file, text) in *files {
                    fs::write(folder.path().join(name).join(file), format!("{text}\n")).unwrap();
                }
            }
            assert_eq!(on_battery(folder.path()), expected, "{supplies:?}");
        }

        #[test]
        fn a_battery_that_empties_without_a_cable() {
            const EMPTIES: (&str, &[(&str, &str)]) = ("BAT0", &[("type", "Battery"), ("status", "Discharging")]);
            let mains = |online| [("type", "Mains"), ("online", online)];
            check(&[], false);
            check(&[EMPTIES], true);
            check(&[EMPTIES, ("AC", &mains("0"))], true);
            check(&[EMPTIES, ("AC", &mains("1"))], false);
            check(&[("BAT0", &[("type", "Battery"), ("status", "Not charging")]), ("AC", &mains("0"))], false);
            check(&[("mouse", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")])], false);
            check(&[EMPTIES, ("ucsi", &[("type", "USB"), ("online", "1")])], false);
            check(&[("odd", &[]), ("BAT1", &[("type", "Battery")])], false);
        }

        #[test]
        fn a_machine_without_that_folder_has_none() {
            assert!(!on_battery(Path::new("/there/is/no/such/folder")));
        }
    }
}

#[cfg(windows)]
mod windows {
    use windows_sys::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};

    /// The mains are gone. 255 is not known, as on a machine without a battery.
    const OFFLINE: u8 = 0;

    pub(super) fn on_battery() -> bool {
        status().is_some_and(|status| status.ACLineStatus == OFFLINE)
    }

    fn status() -> Option<SYSTEM_POWER_STATUS> {
        let mut status = SYSTEM_POWER_STATUS {
            ACLineStatus: 0,
            BatteryFlag: 0,
            BatteryLifePercent: 0,
            SystemStatusFlag: 0,
            BatteryLifeTime: 0,
            BatteryFullLifeTime: 0,
        };
        #[expect(unsafe_code, reason = "a call of Windows that no safe crate of ours has")]
        // SAFETY: the pointer is to a whole structure of this type, which lives for the call.
        let known = unsafe { GetSystemPowerStatus(&raw mut status) };
        (known != 0).then_some(status)
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn windows_says_what_feeds_the_machine() {
            assert!(super::status().is_some());
        }
    }
}
