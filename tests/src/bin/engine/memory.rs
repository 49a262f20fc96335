//! Most memory that a process has had, from Linux's /proc; 0 elsewhere.

use anyhow::{Result, ensure};

/// The one process that this one has started so far.
pub(crate) fn only_child() -> Result<u32> {
    let me = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
    let mut children: Vec<u32> = children.split_whitespace().filter_map(|child| child.parse().ok()).collect();
    ensure!(children.len() <= 1, "there are {} processes", children.len());
    Ok(children.pop().unwrap_or_default())
}

/// In MB.
pub(crate) fn peak_mb(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}
