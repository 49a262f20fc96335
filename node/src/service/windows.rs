//! The service under the service control manager of Windows.

mod control;
pub(super) mod event_log;
mod install;
mod rights;
mod updates;

use std::{
    ffi::OsString,
    io,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use starling_protocol::program::Exit;
use windows_service::{
    Error,
    service::{Service, ServiceAccess, ServiceExitCode, ServiceStartType, ServiceState, ServiceStatus},
    service_manager::{ServiceManager, ServiceManagerAccess},
};

pub(super) use self::install::{install, prepare_folder};
use super::{
    NAME, Report, Serve,
    plan::{Plan, data_folder, log_file},
    report::State,
    updates::Updates,
    words,
};
use crate::config;

/// How long a command waits for a service to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

// What Windows says; in its winerror.h.
const ACCESS_DENIED: i32 = 5;
const ALREADY_RUNNING: i32 = 1056;
const NO_SUCH_SERVICE: i32 = 1060;
const NOT_RUNNING: i32 = 1062;
const MARKED_FOR_DELETE: i32 = 1072;
const NEVER_STARTED: u32 = 1077;

pub(super) fn serve(options: config::Options, serve: Serve) -> Result<ExitCode, Exit> {
    control::dispatch(Ok((options, serve)))
}

/// Be the service for as long as it takes to say why it cannot run.
pub(super) fn refuse(exit: Exit) -> Result<ExitCode, Exit> {
    control::dispatch(Err(exit))
}

pub(super) fn uninstall() -> Result<Vec<String>, Exit> {
    // What any account may see is no reason to ask for rights.
    let before = report()?;
    let by_itself = updates::is_by_itself() == Some(true);
    if !before.installed && !by_itself {
        return Ok(vec!["the service was not installed".to_owned()]);
    }
    // First: it starts the service.
    let mut did: Vec<String> = if by_itself { updates::by_hand()?.into_iter().collect() } else { vec![] };
    if !before.installed {
        return Ok(did);
    }
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE)?;
    stop_and_wait(&service)?;
    service.delete().map_err(failed)?;
    did.push("the service was stopped and taken away".to_owned());
    if let Err(error) = event_log::unregister() {
        did.push(format!("its name stays in the event log: {error}"));
    }
    if let Err(error) = crate::polite::autostart::uninstall() {
        did.push(format!("starling-node desktop is still started at sign-in: {error}"));
    }
    let data = before.data.unwrap_or_else(data_folder);
    did.push(format!("what it has stored stays in {}", data.display()));
    Ok(did)
}

pub(super) fn update_by_itself(plan: &Plan, from: &Updates) -> Result<String, Exit> {
    updates::by_itself(plan, from)
}

pub(super) fn update_by_hand() -> Result<Option<String>, Exit> {
    updates::by_hand()
}

pub(super) fn start() -> Result<(), Exit> {
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::START)?;
    match service.start::<OsString>(&[]) {
        Err(error) if code(&error) != Some(ALREADY_RUNNING) => return Err(failed(error)),
        _ => {}
    }
    let status = wait(&service, &[ServiceState::Running, ServiceState::Stopped])?;
    if status.current_state == ServiceState::Running {
        return Ok(());
    }
    let how = last_exit(&status).unwrap_or_else(|| "without an error".to_owned());
    let hint = "the event viewer (Windows Logs, Application) says why; starling-node service status, where else";
    Err(Exit::usage(format!("the service ended again at once: {how}"), hint))
}

pub(super) fn stop() -> Result<(), Exit> {
    stop_and_wait(&open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP)?)
}

pub(super) fn restart() -> Result<(), Exit> {
    stop()?;
    start()
}

pub(super) fn report() -> Result<Report, Exit> {
    let manager = manager(ServiceManagerAccess::CONNECT)?;
    let service = match manager.open_service(NAME, ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG) {
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => return Ok(Report::default()),
        opened => opened.map_err(failed)?,
    };
    let config = service.query_config().map_err(failed)?;
    let status = service.query_status().map_err(failed)?;
    // This is a command line and no path.
    let line = words::split(&config.executable_path.to_string_lossy());
    let data = words::value(&line, "--data").map(Into::into);
    let mut logs: Vec<_> = data.as_deref().map(|data| log_file(data).display().to_string()).into_iter().collect();
    logs.push("event viewer: Windows Logs, Application, source starling-node".to_owned());
    Ok(Report {
        installed: true,
        state: state(&status),
        since: status.process_id.and_then(started),
        starts_by_itself: config.start_type == ServiceStartType::AutoStart,
        account: config.account_name.map(|name| name.to_string_lossy().into_owned()),
        program: line.first().map(Into::into),
        config: words::value(&line, "--config").map(Into::into),
        last_exit: last_exit(&status),
        logs,
        data,
        updates_itself: updates::is_by_itself(),
        last_update: crate::update::last(),
    })
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager, Exit> {
    ServiceManager::local_computer(None::<&str>, access).map_err(failed)
}

fn open(access: ServiceAccess) -> Result<Service, Exit> {
    manager(ServiceManagerAccess::CONNECT)?.open_service(NAME, access).map_err(failed)
}

fn stop_and_wait(service: &Service) -> Result<(), Exit> {
    // One that is on its way up or down takes no orders.
    let settled = [ServiceState::Running, ServiceState::Stopped, ServiceState::StopPending];
    if wait(service, &settled)?.current_state == ServiceState::Running {
        match service.stop() {
            Err(error) if code(&error) != Some(NOT_RUNNING) => return Err(failed(error)),
            _ => {}
        }
    }
    wait(service, &[ServiceState::Stopped]).map(drop)
}

fn wait(service: &Service, wanted: &[ServiceState]) -> Result<ServiceStatus, Exit> {
    let began = Instant::now();
    loop {
        let status = service.query_status().map_err(failed)?;
        if wanted.contains(&status.current_state) {
            return Ok(status);
        }
        if began.elapsed() > PATIENCE {
            return Err(Exit::failed(format!("the service does not get on: {:?}", status.current_state)));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn state(status: &ServiceStatus) -> State {
    match status.current_state {
        ServiceState::Stopped if last_exit(status).is_some() => State::Failed,
        ServiceState::Stopped => State::Stopped,
        ServiceState::StartPending => State::Starting,
        ServiceState::StopPending => State::Stopping,
        _ => State::Running,
    }
}

fn last_exit(status: &ServiceStatus) -> Option<String> {
    match status.exit_code {
        ServiceExitCode::Win32(0 | NEVER_STARTED) => None,
        ServiceExitCode::Win32(code) => {
            let said = i32::try_from(code).map(io::Error::from_raw_os_error);
            Some(said.map_or_else(|_| format!("code {code}"), |error| error.to_string()))
        }
        ServiceExitCode::ServiceSpecific(code) => Some(format!("code {code}; its log says why")),
    }
}

/// When this process began.
fn started(pid: u32) -> Option<String> {
    use sysinfo::{Pid, ProcessesToUpdate, System};
    let mut system = System::new().ok()?;
    let pid = Pid::from_u32(pid);
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), false);
    let began = i64::try_from(system.process(pid)?.start_time()).ok()?;
    jiff::Timestamp::from_second(began).ok().map(|time| time.to_string())
}

fn code(error: &Error) -> Option<i32> {
    match error {
        Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}

fn failed(error: Error) -> Exit {
    match (code(&error), &error) {
        (Some(ACCESS_DENIED), _) => no_rights(),
        (Some(NO_SUCH_SERVICE), _) => {
            Exit::usage("the service is not installed", "install it: starling-node service install")
        }
        (Some(MARKED_FOR_DELETE), _) => Exit::usage(
            "Windows has not quite taken the old service away",
            "close the list of services and the task manager, and try again",
        ),
        (_, Error::Winapi(said)) => Exit::failed(format!("the service control manager says: {said}")),
        _ => Exit::failed(format!("the service control manager: {error}")),
    }
}

fn no_rights() -> Exit {
    Exit::usage("this needs an administrator's rights", "open PowerShell as administrator and run it again")
}
