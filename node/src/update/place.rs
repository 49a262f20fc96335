//! The program's place on the disk, and the steps by which another takes it.
//!
//! Everything happens in the program's own folder, where a rename is one step: `starling-node.new` is the next one,
//! `starling-node.old` the one before, and `starling-node.update` the note of an update that is under way. Libraries that
//! belong beside the program go the same way, before it. The note is the point from which an update goes forward: a power
//! cut before it leaves the old program, one behind it the old or the new, and the next `update` goes on.
//!
//! On Unix the new program takes the name of the old in one step. Windows refuses that to a program that runs, and wants
//! two: a cut in the moment between them leaves `.old` and `.new`, and the install script, run again, mends it.

mod disk;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use semver::Version;
use serde::{Deserialize, Serialize};
use starling_protocol::program::Exit;

pub(super) use self::disk::Disk;
use super::{current, package};

/// Longest note that is read, in bytes.
const MAX_NOTE_BYTES: u64 = 64 << 10;

/// Where a program lies.
#[derive(Clone, Debug)]
pub(super) struct Place {
    program: PathBuf,
}

/// An update that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    #[serde(with = "as_text")]
    from: Version,
    #[serde(with = "as_text")]
    to: Version,
    /// Names in the folder, the program's last.
    files: Vec<String>,
    /// All of them are in their places.
    swapped: bool,
}

/// Versions as they are written.
mod as_text {
    use semver::Version;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(version)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Version, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// What an update that was cut off needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// What lies there is not whole.
    Discard,
    /// The rest of the files put into their places; then as below.
    Finish(Version),
    /// To find out whether the new program is of any use.
    Prove(Version),
}

impl Place {
    /// Where this program lies.
    ///
    /// # Errors
    /// When it cannot be found out, or it is called something else: then it is nobody's installation.
    pub(super) fn of_this_program(name: &str) -> Result<Self, Exit> {
        let program = std::env::current_exe().and_then(fs::canonicalize);
        let program = program.map_err(|error| Exit::failed(format!("this program cannot find itself: {error}")))?;
        if program.file_stem().is_none_or(|stem| stem != name) {
            let what = format!("{} is not where starling-node was installed", program.display());
            return Err(Exit::usage(what, "run the starling-node that the install script has put into its place"));
        }
        Ok(Self { program })
    }

    /// Whether it is ours to change.
    ///
    /// # Errors
    /// When a package manager keeps it, or the rights are missing.
    pub(super) fn is_ours(&self) -> Result<(), Exit> {
        if cfg!(unix) && self.program.starts_with("/usr/bin") {
            let what = format!("{} belongs to this system's package manager", self.program.display());
            return Err(Exit::usage(what, "install the newer .deb from the gateway's release: apt install ./FILE.deb"));
        }
        let probe = self.beside("probe");
        let written = File::create(&probe).and_then(|_| fs::remove_file(&probe));
        written.map_err(|error| self.unwritable(&error))
    }

    #[cfg(test)]
    pub(super) fn at(program: PathBuf) -> Self {
        Self { program }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn folder(&self) -> &Path {
        self.program.parent().unwrap_or(&self.program)
    }

    /// The next program.
    pub(super) fn staged(&self) -> PathBuf {
        self.beside("new")
    }

    /// The program before this one.
    pub(super) fn old(&self) -> PathBuf {
        self.beside("old")
    }

    /// What updates that nobody looks at keep of themselves.
    pub(super) fn record(&self) -> PathBuf {
        self.beside("record")
    }

    /// What an update holds while it is under way.
    pub(super) fn lock(&self) -> PathBuf {
        self.beside("lock")
    }

    pub(super) fn has_old(&self) -> bool {
        self.old().is_file()
    }

    /// What is said when the disk refuses.
    pub(super) fn unwritable(&self, error: &io::Error) -> Exit {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied if cfg!(windows) => "run it in a terminal that was opened as administrator",
            io::ErrorKind::PermissionDenied => "run it with sudo",
            io::ErrorKind::StorageFull => "make room on that disk, then run it again",
            _ => "check that disk, then run it again",
        };
        Exit::usage(format!("cannot change {}: {error}", self.folder().display()), hint)
    }

    /// Unpacks the files of a package beside those that they will replace.
    ///
    /// # Errors
    /// When it is not what it should be, or there is no room.
    pub(super) fn stage(&self, package: &Path, version: &Version) -> Result<(), Exit> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        package::unpack(package, version, &name, |file| self.folder().join(format!("{file}.new"))).map_err(|error| {
            self.remove_all("new");
            match error {
                package::Bad::Disk(error) => self.unwritable(&error),
                package::Bad::Package(why) => {
                    Exit::usage(format!("the package cannot be used: {why}"), "tell the gateway's operator")
                }
            }
        })
    }

    /// From here on the update goes forward.
    ///
    /// # Errors
    /// As the disk has them.
    pub(super) fn commit(&self, disk: &Disk, to: &Version) -> io::Result<()> {
        let from = current().map_err(|_| io::Error::other("this program has no version"))?;
        self.commit_from(disk, from, to.clone())
    }

    fn commit_from(&self, disk: &Disk, from: Version, to: Version) -> io::Result<()> {
        self.write_note(disk, &Note { from, to, files: self.with_ending("new")?, swapped: false })
    }

    /// Puts the new files into their places; what is done already is not done again.
    ///
    /// # Errors
    /// As the disk has them; the note stays.
    pub(super) fn swap(&self, disk: &Disk) -> io::Result<()> {
        let Some(note) = self.note()? else { return Ok(()) };
        for file in &note.files {
            let [at, new, old] = ["", ".new", ".old"].map(|ending| self.folder().join(format!("{file}{ending}")));
            if !new.exists() {
                continue;
            }
            if at.exists() {
                disk.keep(&at, &old)?;
            }
            disk.rename(&new, &at)?;
        }
        self.write_note(disk, &Note { swapped: true, ..note })
    }

    /// The new program is of use.
    ///
    /// # Errors
    /// As the disk has them.
    pub(super) fn settle(&self, disk: &Disk) -> io::Result<()> {
        disk.remove(&self.beside("update"))
    }

    /// Changes places with the files of before, whose place in the order they take.
    ///
    /// # Errors
    /// As the disk has them.
    pub(super) fn go_back(&self, disk: &Disk) -> io::Result<()> {
        let current = current().map_err(|_| io::Error::other("this program has no version"))?;
        let (from, to) = self.note()?.map_or((current.clone(), current), |note| (note.to, note.from));
        for file in self.with_ending("old")? {
            let [old, new] = [".old", ".new"].map(|ending| self.folder().join(format!("{file}{ending}")));
            disk.copy(&old, &new)?;
        }
        self.commit_from(disk, from, to)?;
        self.swap(disk)?;
        self.settle(disk)
    }

    /// Goes back from files that are of no use. They go away: nobody wants to go back to them, and what was here before the
    /// files of before is gone since those came.
    ///
    /// # Errors
    /// As the disk has them.
    pub(super) fn undo(&self, disk: &Disk) -> io::Result<()> {
        self.go_back(disk)?;
        for file in self.with_ending("old")? {
            disk.make_room(&self.folder().join(format!("{file}.old")))?;
        }
        Ok(())
    }

    /// Takes away what was begun and not committed.
    ///
    /// # Errors
    /// As the disk has them.
    pub(super) fn discard(&self, disk: &Disk) -> io::Result<()> {
        for file in self.with_ending("new")? {
            disk.remove(&self.folder().join(format!("{file}.new")))?;
        }
        self.settle(disk)
    }

    /// What an update that was cut off has left to do.
    ///
    /// # Errors
    /// When the note cannot be read.
    pub(super) fn after_cut(&self) -> io::Result<Next> {
        Ok(match self.note()? {
            Some(note) if note.swapped => Next::Prove(note.to),
            Some(note) => Next::Finish(note.to),
            None if self.with_ending("new")?.is_empty() => Next::Nothing,
            None => Next::Discard,
        })
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.program.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(ending);
        self.program.with_file_name(name)
    }

    /// The names of our files that lie there with this ending too, the program's last.
    fn with_ending(&self, ending: &str) -> io::Result<Vec<String>> {
        let program = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut names = vec![];
        for entry in fs::read_dir(self.folder())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let name = name.strip_suffix(ending).and_then(|name| name.strip_suffix('.'));
            names.extend(name.filter(|name| *name == program || package::is_library(name)).map(str::to_owned));
        }
        names.sort_by_key(|name| (*name == program, name.clone()));
        Ok(names)
    }

    /// As far as it goes: what stays is discarded by the next update.
    fn remove_all(&self, ending: &str) {
        for file in self.with_ending(ending).unwrap_or_default() {
            let _ = fs::remove_file(self.folder().join(format!("{file}.{ending}")));
        }
    }

    fn note(&self) -> io::Result<Option<Note>> {
        let mut text = String::new();
        let read =
            File::open(self.beside("update")).and_then(|file| file.take(MAX_NOTE_BYTES).read_to_string(&mut text));
        match read {
            Ok(_) => serde_json::from_str(&text).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_note(&self, disk: &Disk, note: &Note) -> io::Result<()> {
        let half = self.beside("update-half");
        disk.write(&half, &serde_json::to_vec(note).map_err(io::Error::other)?)?;
        disk.rename(&half, &self.beside("update"))
    }
}

#[cfg(test)]
mod tests;
