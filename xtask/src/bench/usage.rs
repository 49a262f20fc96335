//! What a process has used so far, from Linux's /proc. Nothing on other systems.

use std::fs;

/// CPU time and memory of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    /// Most resident memory since [`forget_peak`].
    pub(crate) peak_mb: f64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        Self { cpu_seconds: cpu_seconds(&read("stat")), peak_mb: peak_mb(&read("status")) }
    }
}

/// Starts the peak of memory anew.
pub(crate) fn forget_peak(pid: u32) {
    // 5 stands for "reset the peak"; where it is refused, the peak is that of the whole life.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// utime and stime, counted behind the name, which may hold anything. In hundredths of a second.
fn cpu_seconds(stat: &str) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn peak_mb(status: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kb| kb.parse::<f64>().ok());
    kb.unwrap_or_default() / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let stat = "12 (a ) b) S 1 12 12 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_seconds(stat), 3.0);
        assert_eq!(peak_mb("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), 2.0);
        assert_eq!((cpu_seconds(""), peak_mb("")), (0.0, 0.0));
    }
}
