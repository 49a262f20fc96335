//! Whether a model will have room: on the disk, and later in memory.

use std::{io, path::Path};

use starling_inference::{engine::llama, model::Header};
use starling_protocol::program::Exit;

use crate::models::show::size;

/// Left free on the disk: a full one troubles everybody.
const SPARE: u64 = 256 << 20;

/// What this machine has.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Bytes that this user may still write to the disk of a file.
    pub(super) free: fn(&Path) -> io::Result<u64>,
    /// Whether a model of this header and length could be served here; else the arithmetic.
    pub(super) fits: fn(&Header, u64) -> Result<(), String>,
    /// Whether a model is wanted that could not.
    pub(super) anyway: bool,
}

impl Room {
    /// Of this machine.
    pub(super) fn here(anyway: bool) -> Self {
        Self { free: |path| fs4::available_space(path), fits: llama::fits, anyway }
    }

    /// Whether `bytes` more find room beside `path`.
    pub(super) fn on_disk(&self, path: &Path, bytes: u64) -> Result<(), Exit> {
        let folder = path.parent().unwrap_or(path);
        // A disk that does not say how full it is may still take the file.
        let Ok(free) = (self.free)(folder) else { return Ok(()) };
        let wanted = bytes.saturating_add(SPARE);
        if free >= wanted {
            return Ok(());
        }
        let (missing, bytes, free) = (size(wanted - free), size(bytes), size(free));
        Err(Exit::usage(
            format!("the disk is too full: {bytes} are to come, {} have {free} left", folder.display()),
            format!("free {missing} there, or choose another folder with --data DIR"),
        ))
    }

    /// Whether it could be served.
    pub(super) fn in_memory(&self, header: &Header, bytes: u64) -> Result<(), Exit> {
        match (self.fits)(header, bytes) {
            Err(problem) if !self.anyway => Err(Exit::usage(
                format!("this machine could not serve it: {problem}"),
                "choose a smaller model or quantisation, or pull it --anyway",
            )),
            _ => Ok(()),
        }
    }

    /// What a failed write means.
    pub(super) fn unwritable(&self, path: &Path, error: &io::Error) -> Exit {
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space; the same command goes on from where it stopped"
            }
            _ => "choose another folder with --data DIR",
        };
        Exit::usage(format!("cannot write {}: {error}", path.display()), hint)
    }
}
