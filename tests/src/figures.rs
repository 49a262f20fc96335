//! What the benchmarks measure with: percentiles, and what a process has used so far.

/// The smallest value that so many percent of all are not above (nearest rank); the default of an empty list.
pub fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// What a process uses, from Linux's /proc; zeroes elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time since its start.
    pub cpu_seconds: f64,
    /// Resident memory now, in MB.
    pub mb: f64,
    /// The most of it so far.
    pub peak_mb: f64,
    /// Files and sockets that it has open.
    pub files: usize,
}

impl Usage {
    /// Of another process.
    #[must_use]
    pub fn of(process: u32) -> Self {
        Self::under(&format!("/proc/{process}"))
    }

    /// Of this process.
    #[must_use]
    pub fn own() -> Self {
        Self::under("/proc/self")
    }

    fn under(folder: &str) -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("{folder}/{file}")).unwrap_or_default();
        let status = read("status");
        Self {
            cpu_seconds: cpu_seconds(&read("stat")),
            mb: megabytes(&status, "VmRSS:"),
            peak_mb: megabytes(&status, "VmHWM:"),
            files: std::fs::read_dir(format!("{folder}/fd")).map_or(0, Iterator::count),
        }
    }
}

/// utime and stime, counted behind the name, which may hold anything. In hundredths of a second.
fn cpu_seconds(stat: &str) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn megabytes(status: &str, key: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u32> = (1..=200).collect();
        let check = |percent, value| assert_eq!(percentile(&values, percent), value);
        check(50, 100);
        check(99, 198);
        check(100, 200);
        assert_eq!(percentile::<u32>(&[], 50), 0);
    }

    #[test]
    fn what_the_kernel_writes_is_read() {
        let stat = "12 (a ) b) S 1 12 12 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 100 1 1";
        assert_eq!((cpu_seconds(stat), cpu_seconds("")), (3.0, 0.0));
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(
            (megabytes(status, "VmHWM:"), megabytes(status, "VmRSS:"), megabytes("", "VmRSS:")),
            (2.0, 1.0, 0.0)
        );
    }
}
