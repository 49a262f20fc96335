//! Has `starling-node desktop` started when somebody signs in to Windows: for all users, in their own session.

use std::{io, path::Path};

/// In the registry of the machine, what is started at sign-in.
#[cfg(windows)]
const RUN: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run";
/// The name of our entry.
#[cfg(windows)]
const ENTRY: &str = "Starling";

/// What Windows starts then: without a window, since it is a console program.
#[cfg(any(windows, test))]
fn command(program: &Path, data: &Path) -> String {
    format!("conhost.exe --headless \"{}\" desktop --data \"{}\"", program.display(), data.display())
}

/// Writes the entry, or brings it up to date. Needs an administrator's rights. Elsewhere than on Windows it does nothing.
///
/// # Errors
/// Whatever Windows says.
#[cfg(windows)]
pub fn install(program: &Path, data: &Path) -> io::Result<()> {
    let key = windows_registry::LOCAL_MACHINE.create(RUN)?;
    Ok(key.set_string(ENTRY, command(program, data))?)
}

/// Takes the entry away, if there is one.
///
/// # Errors
/// Whatever Windows says.
#[cfg(windows)]
pub fn uninstall() -> io::Result<()> {
    let key = windows_registry::LOCAL_MACHINE.create(RUN)?;
    if key.get_string(ENTRY).is_ok() {
        key.remove_value(ENTRY)?;
    }
    Ok(())
}

/// Writes the entry, or brings it up to date. Needs an administrator's rights. Elsewhere than on Windows it does nothing.
///
/// # Errors
/// Never.
#[cfg(not(windows))]
pub fn install(_program: &Path, _data: &Path) -> io::Result<()> {
    Ok(())
}

/// Takes the entry away, if there is one.
///
/// # Errors
/// Never.
#[cfg(not(windows))]
pub fn uninstall() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_have_spaces() {
        let command = command(Path::new("C:\\Program Files\\S\\n.exe"), Path::new("C:\\Program Data\\S"));
        let expected = "conhost.exe --headless \"C:\\Program Files\\S\\n.exe\" desktop --data \"C:\\Program Data\\S\"";
        assert_eq!(command, expected);
    }

    #[cfg(windows)]
    #[test]
    fn the_entry_is_written_again_and_taken_away_again() {
        let read = || windows_registry::LOCAL_MACHINE.open(RUN).and_then(|key| key.get_string(ENTRY)).ok();
        install(Path::new("C:\\a.exe"), Path::new("C:\\data")).unwrap();
        install(Path::new("C:\\b.exe"), Path::new("C:\\data")).unwrap();
        assert!(read().unwrap().contains("b.exe"));
        uninstall().unwrap();
        uninstall().unwrap();
        assert_eq!(read(), None);
    }
}
