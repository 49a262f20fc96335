//! The system's own commands: which were run, and what they said when they failed.

use std::{
    ffi::OsString,
    io,
    path::Path,
    process::{Command, Output, Stdio},
};

use starling_protocol::program::Exit;

/// How commands are found.
#[derive(Clone, Debug, Default)]
pub(super) struct Commands {
    /// In place of this process's `PATH`.
    pub(super) path: Option<OsString>,
}

impl Commands {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When it is not there, or fails: with what it said.
    pub(super) fn run(&self, program: &str, words: &[&str], paths: &[&Path]) -> Result<(), Exit> {
        let output = self.start(program, words, paths)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let asked = [&[program], words].concat().join(" ");
        Err(Exit::failed(format!("`{asked}` failed ({}): {}", output.status, said.trim())))
    }

    /// Whether it succeeds.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn succeeds(&self, program: &str, words: &[&str]) -> Result<bool, Exit> {
        Ok(self.start(program, words, &[])?.status.success())
    }

    /// What it says.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn output(&self, program: &str, words: &[&str]) -> Result<String, Exit> {
        Ok(String::from_utf8_lossy(&self.start(program, words, &[])?.stdout).into_owned())
    }

    fn start(&self, program: &str, words: &[&str], paths: &[&Path]) -> Result<Output, Exit> {
        let mut command = Command::new(program);
        // What it says is read here, in the one language there is for that.
        command.args(words).args(paths).stdin(Stdio::null()).env("LC_ALL", "C");
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Exit::usage(format!("there is no {program} here"), "install it, and try again"),
            _ => Exit::failed(format!("{program}: {error}")),
        })
    }
}
