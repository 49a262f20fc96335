//! A polite node computes at a lower priority than what its owner does, and so do its engines, which inherit it.

/// Steps by which a Unix system puts it behind others.
#[cfg(unix)]
const NICE: i32 = 10;

/// Lowers the priority of this process and those it starts from now on.
#[cfg(unix)]
pub fn lower() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "the priority stays as it is");
    }
}

/// Lowers the priority of this process and those it starts from now on.
#[cfg(windows)]
pub fn lower() {
    use windows_sys::Win32::System::Threading::{BELOW_NORMAL_PRIORITY_CLASS, GetCurrentProcess, SetPriorityClass};
    #[expect(unsafe_code, reason = "a call of Windows that no safe crate of ours has")]
    // SAFETY: the handle that stands for this process is always valid and need not be closed.
    let lowered = unsafe { SetPriorityClass(GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS) };
    if lowered == 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "the priority stays as it is");
    }
}
