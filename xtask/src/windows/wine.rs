//! Wine, with a Windows of its own for our tests: whatever a person keeps in theirs stays out of it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::mingw;
use crate::places::Places;
use crate::process;
use crate::say;
use crate::stop::Stop;
use crate::system::{self, Consent, Need};

/// Setting up its registry takes half a minute on a busy computer.
const SETUP_LIMIT: Duration = Duration::from_secs(300);

/// Ends what still runs in it when it is dropped.
pub(crate) struct Wine {
    prefix: PathBuf,
}

impl Wine {
    pub(crate) fn provide(places: &Places, consent: Consent, stop: &Stop) -> Result<Self> {
        system::provide(&[Need::Mingw, Need::Wine], consent, stop)?;
        let wine = Self { prefix: places.cache.join("windows/wine") };
        wine.set_up(places, stop)?;
        Ok(wine)
    }

    fn set_up(&self, places: &Places, stop: &Stop) -> Result<()> {
        let system32 = self.prefix.join("drive_c/windows/system32");
        if !self.prefix.join("system.reg").is_file() {
            say::step("Setting up wine");
            fs::create_dir_all(&self.prefix)?;
            let status = process::status(self.command("wineboot", &["--init".into()]), SETUP_LIMIT, stop)?;
            ensure!(status.success(), "wineboot failed ({status})");
            // It writes the registry when it ends.
            self.server("--wait", stop)?;
        }
        let mut compile = mingw::compile();
        compile
            .args(["-Wall", "-Wextra", "-Werror", "-shared", "-O2", "-o"])
            .arg(system32.join("bcryptprimitives.dll"));
        compile.arg(places.root.join("tests/windows/wine_gaps.c")).args(["-ladvapi32", "-lws2_32"]);
        process::run(compile, stop)
    }

    /// A program for Windows as one for Linux: what to start, and with what before its own arguments.
    pub(crate) fn start(&self, program: impl Into<OsString>) -> (PathBuf, Vec<OsString>) {
        let set = |name: &str, value: &Path| -> OsString {
            let mut text = OsString::from(format!("{name}="));
            text.push(value);
            text
        };
        let args = vec![
            set("WINEPREFIX", &self.prefix),
            "WINEDEBUG=-all".into(),
            // It offers to install .NET and a browser otherwise. What fills its gaps is not its own.
            "WINEDLLOVERRIDES=mscoree,mshtml=;bcryptprimitives=n".into(),
            // Names of files are UTF-8, whatever the person's language.
            "LC_ALL=C.UTF-8".into(),
            "DISPLAY=".into(),
            program.into(),
        ];
        ("env".into(), args)
    }

    /// The same for a program that cannot have QUIC, since its machine refuses that.
    pub(crate) fn start_without_quic(&self, program: impl Into<OsString>) -> (PathBuf, Vec<OsString>) {
        let (env, mut args) = self.start(program);
        args.insert(0, "STARLING_WINE_REFUSES_QUIC=1".into());
        (env, args)
    }

    /// `wine PROGRAM ARGS`.
    pub(crate) fn run(&self, program: &Path, args: &[OsString]) -> Command {
        self.command("wine", &[&[program.into()], args].concat())
    }

    /// Where programs are installed, and administrators alone write.
    pub(crate) fn program_files(&self) -> PathBuf {
        self.prefix.join("drive_c/Program Files")
    }

    /// What cargo runs tests with: words in one variable, and so in no folder with a space.
    pub(crate) fn runner(&self) -> String {
        let (env, args) = self.start("wine");
        let words = std::iter::once(env.into_os_string()).chain(args);
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    fn command(&self, program: &str, args: &[OsString]) -> Command {
        let (env, before) = self.start(program);
        let mut command = process::command(env);
        command.args(before).args(args);
        command
    }

    fn server(&self, what: &str, stop: &Stop) -> Result<()> {
        let status = process::status(self.command("wineserver", &[what.into()]), SETUP_LIMIT, stop)?;
        ensure!(status.success(), "wineserver {what} failed ({status})");
        Ok(())
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        let _ = process::output(&mut self.command("wineserver", &["--kill".into()]));
    }
}

/// A file's path as a program under wine knows it.
pub(crate) fn path(unix: &Path) -> Result<OsString> {
    let text = unix.to_str().context("a path that is no Unicode")?;
    ensure!(text.starts_with('/'), "{text} is no whole path");
    Ok(format!("Z:{}", text.replace('/', "\\")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_drive_that_holds_all() {
        assert_eq!(path(Path::new("/tmp/mit Lücken/日本")).unwrap(), "Z:\\tmp\\mit Lücken\\日本");
        assert!(path(Path::new("here")).is_err());
    }

    #[test]
    fn a_program_runs_in_our_windows_and_quietly() {
        let wine = std::mem::ManuallyDrop::new(Wine { prefix: "/cache/wine".into() });
        assert!(wine.runner().starts_with("env WINEPREFIX=/cache/wine WINEDEBUG=-all "));
        assert!(wine.runner().ends_with(" DISPLAY= wine"));
    }
}
