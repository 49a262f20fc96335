//! Whether the machine ran out of memory.

/// How many processes this machine has ended for lack of memory since it was started; none where it does not say.
///
/// A process ended so looks like one that somebody has killed, so this is asked before and after.
pub(super) fn kills() -> Option<u64> {
    let counters = std::fs::read_to_string("/proc/vmstat").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}
