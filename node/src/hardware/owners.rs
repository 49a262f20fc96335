//! Which processes are ours: this one, and the engines that it has started.

use std::process;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Those of these that are.
pub(super) fn ours(system: Option<&mut System>, pids: &[u32]) -> Vec<u32> {
    let me = process::id();
    let Some(system) = system else { return vec![me] };
    let asked: Vec<Pid> = pids.iter().map(|pid| Pid::from_u32(*pid)).collect();
    let look = ProcessRefreshKind::nothing().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&asked), true, look);
    let is_child = |pid: &&u32| {
        let process = system.process(Pid::from_u32(**pid));
        process.and_then(sysinfo::Process::parent) == Some(Pid::from_u32(me))
    };
    pids.iter().filter(|pid| **pid == me || is_child(pid)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn we_and_those_we_started_and_nobody_else() {
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = ours(System::new().ok().as_mut(), &[1, child.id(), process::id(), u32::MAX]);
        assert_eq!(found, [child.id(), process::id()]);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
