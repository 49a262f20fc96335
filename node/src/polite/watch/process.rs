//! Whether a program runs that the owner has named.

use std::{ffi::OsStr, str::FromStr};

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

/// Linux keeps so many bytes of a program's name.
const KEPT: usize = 15;
const LONGEST: usize = 255;

/// A program's name, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramName(String);

impl FromStr for ProgramName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.trim();
        if name.is_empty() || name.len() > LONGEST || name.contains(['/', '\\']) {
            return Err("name a program without a path, such as game.exe".to_owned());
        }
        Ok(Self(name.to_owned()))
    }
}

impl ProgramName {
    /// Whether a process is one of that program: by its name, or by its file, since Linux keeps only the beginning of a
    /// name. On Windows `game` means `game.exe` too, and letters are letters, large or small.
    fn is(&self, process: &OsStr, file: Option<&OsStr>) -> bool {
        let (process, file) = (process.to_string_lossy(), file.map(OsStr::to_string_lossy));
        if cfg!(windows) {
            let same = |other: &str| {
                let (ours, other) = (self.0.to_lowercase(), other.to_lowercase());
                other == ours || other.strip_suffix(".exe") == Some(&ours)
            };
            return same(&process) || file.is_some_and(|file| same(&file));
        }
        match file {
            Some(file) if file == self.0 => true,
            // Of others' processes the file is not shown.
            None if self.0.len() > KEPT => process.as_bytes() == &self.0.as_bytes()[..KEPT],
            _ => process == self.0,
        }
    }
}

/// Looks for programs.
pub(crate) struct Processes {
    system: Option<System>,
    names: Vec<ProgramName>,
}

impl Processes {
    pub(crate) fn new(names: Vec<ProgramName>) -> Self {
        let system = if names.is_empty() { None } else { System::new().ok() };
        Self { system, names }
    }

    /// One of them that runs. Costs nothing where none is named.
    pub(crate) fn running(&mut self) -> Option<String> {
        let system = self.system.as_mut()?;
        let look = ProcessRefreshKind::nothing().without_tasks().with_exe(UpdateKind::OnlyIfNotSet);
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, look);
        let running = |name: &&ProgramName| {
            let mut all = system.processes().values();
            all.any(|process| name.is(process.name(), process.exe().and_then(|exe| exe.file_name())))
        };
        self.names.iter().find(running).map(|name| name.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, process: &str, file: Option<&str>, expected: bool) {
        let name: ProgramName = name.parse().unwrap();
        assert_eq!(name.is(process.as_ref(), file.map(AsRef::as_ref)), expected, "{name:?} {process} {file:?}");
    }

    #[test]
    fn a_program_is_known_by_its_name() {
        check("blender", "blender", None, true);
        check("blender", "blender2", None, false);
        check("blender", "threads-of-it", Some("blender"), true);
        check("game.exe", "game.exe", Some("wine64-preloader"), true);
        check("Game", "game", None, cfg!(windows));
        check("game", "game.EXE", None, cfg!(windows));
        check("a-very-long-name-of-a-program", "a-very-long-nam", None, !cfg!(windows));
        check("a-very-long-name-of-a-program", "a-very-long-nam", Some("a-very-long-name-of-another"), false);
    }

    #[test]
    fn a_program_that_begins_is_seen_and_one_that_ended_is_not() {
        let this = std::env::current_exe().unwrap();
        let this = this.file_name().unwrap().to_str().unwrap();
        let mut processes = Processes::new(vec!["no-such-program-runs".parse().unwrap(), this.parse().unwrap()]);
        assert_eq!(processes.running().as_deref(), Some(this));
        let mut none = Processes::new(vec!["no-such-program-runs".parse().unwrap()]);
        assert_eq!(none.running(), None);
        assert!(Processes::new(vec![]).running().is_none());
    }
}
