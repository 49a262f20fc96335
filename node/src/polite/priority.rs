//! A polite node computes at a lower priority than what its owner does, and so do its engines, which inherit it.

#[cfg(unix)]
use rustix::process::{Pid, getpriority_process, setpriority_process};

/// Steps by which a Unix system puts it behind others.
#[cfg(unix)]
const NICE: i32 = 10;

/// Lowers the priority of this process and those it starts from now on.
#[cfg(unix)]
pub fn lower() {
    // On Linux each thread has a priority of its own, which new ones and processes have from the thread that starts them.
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads: Vec<_> =
        threads.filter_map(|thread| Pid::from_raw(thread.file_name().to_str()?.parse().ok()?)).collect();
    let lowered = match threads.as_slice() {
        [] => lower_one(None),
        threads => threads.iter().try_for_each(|thread| lower_one(Some(*thread))),
    };
    if let Err(error) = lowered {
        tracing::debug!(%error, "the priority stays as it is");
    }
}

/// Of a thread, or without one of the process.
#[cfg(unix)]
fn lower_one(thread: Option<Pid>) -> rustix::io::Result<()> {
    setpriority_process(thread, getpriority_process(thread)? + NICE)
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
