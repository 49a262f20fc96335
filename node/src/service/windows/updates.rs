//! The task of updates in the scheduler of Windows, by its own command.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use starling_protocol::program::Exit;

use super::super::{
    plan::Plan,
    updates::{Updates, task},
};

const TASK: &str = "Starling\\Update";

/// Has the program replaced by newer releases, each day.
///
/// # Errors
/// When others than administrators could change the program: the system runs it then.
pub(super) fn by_itself(plan: &Plan, updates: &Updates) -> Result<String, Exit> {
    is_administrators(&plan.program)?;
    // Beside the program, where nobody else can change it before it is read.
    let file = plan.program.with_file_name("starling-node.task.xml");
    let failed = |error: io::Error| Exit::failed(format!("{}: {error}", file.display()));
    // The scheduler wants UTF-16 with its mark.
    let text: Vec<u8> =
        "\u{feff}".encode_utf16().chain(task(plan, updates).encode_utf16()).flat_map(u16::to_le_bytes).collect();
    fs::write(&file, text).map_err(failed)?;
    let mut command = scheduler();
    command.args(["/Create", "/F", "/TN", TASK, "/XML"]).arg(&file);
    let made = run(command);
    fs::remove_file(&file).map_err(failed)?;
    made?;
    Ok(format!("it looks for newer releases at {} each day, and takes them by itself", updates.url))
}

/// Takes the task away, if there is one.
pub(super) fn by_hand() -> Result<Option<String>, Exit> {
    if is_by_itself() == Some(false) {
        return Ok(None);
    }
    let mut command = scheduler();
    command.args(["/Delete", "/F", "/TN", TASK]);
    run(command)?;
    Ok(Some("it looks for newer releases no more".to_owned()))
}

/// Whether there is a task, where this account may know.
pub(super) fn is_by_itself() -> Option<bool> {
    match fs::metadata(system32().join("Tasks").join(TASK)) {
        Ok(_) => Some(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

fn system32() -> PathBuf {
    PathBuf::from(std::env::var_os("SystemRoot").unwrap_or_else(|| "C:\\Windows".into())).join("System32")
}

fn scheduler() -> Command {
    Command::new(system32().join("schtasks.exe"))
}

fn run(mut command: Command) -> Result<(), Exit> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Exit::failed(format!("the task scheduler: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Exit::failed(format!("the task scheduler failed ({}): {}", output.status, said.trim())))
}

/// In the folder of all programs administrators alone write.
fn is_administrators(program: &Path) -> Result<(), Exit> {
    let folders = ["ProgramW6432", "ProgramFiles"].into_iter().filter_map(std::env::var_os);
    match folders.into_iter().any(|folder| program.starts_with(folder)) {
        true => Ok(()),
        false => Err(Exit::usage(
            format!("others than administrators may be able to change {}", program.display()),
            "copy its folder to C:\\Program Files\\Starling first, and run that one",
        )),
    }
}
