//! Most memory that processes have had, from Linux's /proc; 0 elsewhere.

/// Of all of them together, in MB.
pub(crate) fn peak_mb(processes: &[u32]) -> f64 {
    processes.iter().map(|process| peak_of(*process)).sum()
}

fn peak_of(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}
