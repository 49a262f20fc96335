//! The timer of updates under systemd, and what it starts.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use starling_protocol::program::Exit;

use super::{System, write};
use crate::service::{plan::Plan, unit, updates::Updates};

const SERVICE: &str = "starling-node-update.service";
const TIMER: &str = "starling-node-update.timer";
/// As it is shipped.
const TIMER_UNIT: &str = include_str!("../../../../deploy/starling-node-update.timer");

impl System {
    /// Has the program replaced by newer releases, each day.
    ///
    /// # Errors
    /// When others than root could change the program: it is run as root then.
    pub(super) fn update_by_itself(&self, plan: &Plan, updates: &Updates) -> Result<String, Exit> {
        is_roots(&plan.program)?;
        let units = self.at("/etc/systemd/system");
        write(&units.join(SERVICE), &unit::filled_update(plan, updates))?;
        write(&units.join(TIMER), TIMER_UNIT)?;
        self.commands.run("systemctl", &["daemon-reload"], &[])?;
        self.commands.run("systemctl", &["enable", "--now", TIMER], &[])?;
        Ok(format!("it looks for newer releases at {} each day, and takes them by itself", updates.url))
    }

    /// Takes the timer away, if there is one.
    pub(super) fn update_by_hand(&self) -> Result<Option<String>, Exit> {
        if !self.updates_by_itself() {
            return Ok(None);
        }
        self.commands.run("systemctl", &["disable", "--now", TIMER], &[])?;
        for name in [TIMER, SERVICE] {
            let path = self.at("/etc/systemd/system").join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Exit::failed(format!("{}: {error}", path.display())));
                }
                _ => {}
            }
        }
        self.commands.run("systemctl", &["daemon-reload"], &[])?;
        Ok(Some("it looks for newer releases no more".to_owned()))
    }

    /// Whether there is a timer.
    pub(super) fn updates_by_itself(&self) -> bool {
        self.at("/etc/systemd/system").join(TIMER).exists()
    }
}

/// Whether root alone can put another program into its place.
fn is_roots(program: &Path) -> Result<(), Exit> {
    if program.starts_with("/usr/bin") {
        let hint = "leave --auto-update out: packages are brought up to date with apt";
        return Err(Exit::usage(format!("{} belongs to this system's package manager", program.display()), hint));
    }
    let is_safe = |path: &Path| fs::metadata(path).is_ok_and(|about| about.uid() == 0 && about.mode() & 0o022 == 0);
    match program.ancestors().find(|path| !is_safe(path)) {
        None => Ok(()),
        Some(open) => Err(Exit::usage(
            format!("others than root can change {}, and updates run as root", open.display()),
            "put the program where root alone writes: sudo install -m 755 starling-node /usr/local/bin/, and run that one",
        )),
    }
}
