//! What the console understands that a program writes to.

/// Whether it shows colours. Windows' own does when it is asked to.
#[cfg(windows)]
pub(super) fn takes_colours() -> bool {
    use std::os::windows::io::AsRawHandle;
    use windows_sys::Win32::System::Console::{ENABLE_VIRTUAL_TERMINAL_PROCESSING, GetConsoleMode, SetConsoleMode};

    let (console, mut mode) = (std::io::stderr().as_raw_handle(), 0);
    #[expect(unsafe_code, reason = "calls of the system that Rust has no name for")]
    // SAFETY: the handle is this process's own, and `mode` is written before it is read.
    unsafe {
        GetConsoleMode(console, &mut mode) != 0
            && SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0
    }
}

/// Every other does.
#[cfg(not(windows))]
pub(super) fn takes_colours() -> bool {
    true
}
