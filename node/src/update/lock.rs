//! One update at a time: by hand, by the system's timer, or going on with one that was cut off.

use std::fs::{File, TryLockError};

use starling_protocol::program::Exit;

use super::place::Place;

/// Held by one update, and gone with its process. The file stays: who removed it might part two that wait for it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// # Errors
    /// When another update has it, or the disk refuses.
    pub(super) fn take(place: &Place) -> Result<Self, Exit> {
        let opened = File::options().create(true).truncate(false).write(true).open(place.lock());
        let file = opened.map_err(|error| place.unwritable(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Exit::usage(
                "another update of this program is under way",
                "run it again when that one is done; one that the system has started may wait half an hour for a moment without answers",
            )),
            Err(TryLockError::Error(error)) => Err(place.unwritable(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::at(dir.path().join("starling-node"));
        let first = Lock::take(&place).unwrap();
        let Exit::Usage { what, .. } = Lock::take(&place).unwrap_err() else { panic!("it says what to do") };
        assert_eq!(what, "another update of this program is under way");
        drop(first);
        Lock::take(&place).unwrap();
        Lock::take(&Place::at(dir.path().join("another"))).unwrap();
    }
}
