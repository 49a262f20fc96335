//! What the program takes of the machine.

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use crate::hardware::Hardware;

/// Resident bytes of this process and those it has started; 0 where the system does not tell.
pub(super) fn resident() -> u64 {
    let (Ok(me), Ok(mut system)) = (sysinfo::get_current_pid(), System::new()) else { return 0 };
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing().with_memory());
    let ours = system.processes().values().filter(|process| {
        let thread = process.thread_kind().is_some();
        !thread && (process.pid() == me || process.parent() == Some(me))
    });
    ours.map(sysinfo::Process::memory).sum()
}

/// Bytes taken on all GPUs together, by whomever.
pub(super) fn of_gpus(hardware: &Hardware) -> u64 {
    hardware.gpus.iter().map(|gpu| gpu.memory.used).sum()
}
