//! Files that lie on a disk whole or not at all, also when the power goes.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Puts a file with this in it into the place of what may be there.
///
/// # Errors
/// Whatever the system says; what was there is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(path, bytes, |draft| File::create_new(draft))
}

/// The same, with a file that is made in a way of its own. Only one at a time may replace a file.
///
/// # Errors
/// As [`replace`].
pub fn replace_by(path: &Path, bytes: &[u8], create: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<()> {
    let draft = path.with_added_extension("new");
    // Of one that was cut off.
    let _ = fs::remove_file(&draft);
    let mut file = create(&draft)?;
    file.write_all(bytes).and_then(|()| file.sync_all())?;
    drop(file);
    fs::rename(&draft, path)?;
    // The file is in its place; not every file system can promise more.
    let _ = sync_folder(path);
    Ok(())
}

/// Makes the rename of this file last through a power cut; Windows has no such call and needs none.
///
/// # Errors
/// Whatever the system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.b");
        fs::write(path.with_added_extension("new"), "half of one that was cut off").unwrap();
        for text in ["first", "second"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("nowhere/a"), b"").is_err());
    }

    #[test]
    fn a_file_that_cannot_be_made_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "first").unwrap();
        assert!(replace_by(&path, b"second", |_| Err(io::Error::other("no"))).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }
}
