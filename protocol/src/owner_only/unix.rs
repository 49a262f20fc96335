//! Mode 0600.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use super::Exposed;

pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

pub(super) fn exposed(path: &Path) -> io::Result<Option<Exposed>> {
    let mode = fs::metadata(path)?.mode() & 0o777;
    let is_exposed = mode & 0o077 != 0;
    Ok(is_exposed.then(|| Exposed { how: format!("mode {mode:o}"), mend: format!("chmod 600 {}", path.display()) }))
}

/// A service's account owns its files here.
#[expect(clippy::unnecessary_wraps, reason = "the one of Windows can fail")]
pub(super) fn keeps_out_services(_: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_can_read_is_named_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        drop(create_new(&path).unwrap());
        for (mode, is_exposed) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o660, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let said = exposed(&path).unwrap();
            assert_eq!(said.is_some(), is_exposed, "{mode:o}");
            let Some(said) = said else { continue };
            assert_eq!(said.how, format!("mode {mode:o}"));
            assert_eq!(said.mend, format!("chmod 600 {}", path.display()));
        }
    }
}
