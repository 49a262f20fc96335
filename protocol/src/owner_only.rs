//! Files that are their owner's alone from their first byte on: keys, and what would tell as much.
//!
//! On Unix that is mode 0600. On Windows it is an access list of the file's own, which takes nothing from its folder:
//! the account that makes the file, the system and the administrators, whom no list keeps out; and a service that the
//! folder lets in, which has an account of its own and must read what its owner has made for it.

#[cfg(any(windows, test))]
mod sddl;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use zeroize::Zeroizing;

use crate::disk::replace_by;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// Others can read a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// How, in the system's own terms.
    pub how: String,
    /// The command that ends it.
    pub mend: String,
}

/// Makes a file that is not there yet, for writing.
///
/// # Errors
/// Whatever the system says, such as that the file is there.
pub fn create_new(path: &Path) -> io::Result<File> {
    system::create_new(path)
}

/// Makes the file where it is missing, empty; one that is there is left as it is.
///
/// # Errors
/// Whatever the system says.
pub fn ensure(path: &Path) -> io::Result<()> {
    match create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Lets a service read the file that its folder lets in, where it cannot yet. A running one can, and holds the file.
///
/// # Errors
/// Whatever the system says; the file is then as it was.
pub fn let_in_services(path: &Path) -> io::Result<()> {
    if system::keeps_out_services(path)? { renew(path) } else { Ok(()) }
}

/// Makes the file anew, with what it holds.
fn renew(path: &Path) -> io::Result<()> {
    write(path, &Zeroizing::new(fs::read(path)?))
}

/// Puts a file with this in it into the place of what may be there.
///
/// # Errors
/// Whatever the system says; what was there is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(path, bytes, create_new)
}

/// How others can read it, if they can.
///
/// # Errors
/// When the system does not say.
pub fn exposed(path: &Path) -> io::Result<Option<Exposed>> {
    system::exposed(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_here_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ein Schlüssel 日本.key");
        drop(create_new(&path).unwrap());
        assert_eq!(exposed(&path).unwrap(), None);
        assert_eq!(create_new(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::write(&path, "kept").unwrap();
        ensure(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
        renew(&path).unwrap();
        let_in_services(&path).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), exposed(&path).unwrap()), ("kept", None));
        ensure(&dir.path().join("new")).unwrap();
        assert!(exposed(&dir.path().join("nothing")).is_err());
    }
}
