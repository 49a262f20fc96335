//! The service under the service control manager of Windows.

mod control;
pub(super) mod event_log;
mod rights;

use std::{
    ffi::OsString,
    fs, io,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use starling_protocol::program::Exit;
use windows_service::{
    Error,
    service::{
        Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceExitCode,
        ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceSidType, ServiceStartType, ServiceState,
        ServiceStatus, ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};

use super::{
    NAME, Report, Serve, TITLE, account,
    plan::{Plan, data_folder, log_file},
    report::State,
    words,
};
use crate::config;

/// What the system's list of services says of it.
const ABOUT: &str = "Computes answers for a Starling swarm. Connections go out only; nothing has to be opened.";
/// How long after a failure it is started again: the first time, the second, and each one after that.
const AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];
/// After so long without a failure the next one is the first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// When the machine goes down: answers end for 10 seconds, and then it leaves.
const FAREWELL: Duration = Duration::from_secs(25);
/// How long a command waits for a service to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

// What Windows says; in its winerror.h.
const ACCESS_DENIED: i32 = 5;
const INVALID_LEVEL: i32 = 124;
const ALREADY_RUNNING: i32 = 1056;
const NO_SUCH_SERVICE: i32 = 1060;
const NOT_RUNNING: i32 = 1062;
const MARKED_FOR_DELETE: i32 = 1072;
const NEVER_STARTED: u32 = 1077;

pub(super) fn serve(options: config::Options, serve: Serve) -> Result<ExitCode, Exit> {
    control::dispatch(options, serve)
}

/// Makes a folder that does not exist yet the service's and the administrators' alone, where it lies in the folder of all
/// programs: others may read what is there, and may have put something into it.
///
/// # Errors
/// When the rights for that are missing.
pub(super) fn prepare_folder(data: &Path) -> Result<(), Exit> {
    let shared = std::env::var_os("ProgramData").is_some_and(|common| data.starts_with(common));
    if shared && !data.exists() { private_folder(data) } else { Ok(()) }
}

pub(super) fn install(plan: &Plan, settings: &str) -> Result<Vec<String>, Exit> {
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    can_be_run(&plan.program)?;
    private_folder(&plan.data)?;
    let mut did = vec![format!("the folder {} is the service's and the administrators' alone", plan.data.display())];
    did.push(configure(plan, settings)?);
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::QUERY_STATUS | ServiceAccess::START;
    let info = info(plan);
    let service = match manager.open_service(NAME, access) {
        Ok(service) => {
            service.change_config(&info).map_err(failed)?;
            did.push(format!("the service {NAME} was brought up to date"));
            service
        }
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => {
            let service = manager.create_service(&info, access).map_err(failed)?;
            did.push(format!("the service {NAME} was made; it runs as {}", account::ACCOUNT));
            service
        }
        Err(error) => return Err(failed(error)),
    };
    did.push("Windows starts it with the system, and again 5, 30 and 60 seconds after it fails".to_owned());
    did.extend(furnish(&service)?);
    event_log::register()
        .map_err(|error| Exit::failed(format!("the event log does not take the service's name: {error}")))?;
    Ok(did)
}

pub(super) fn uninstall() -> Result<Vec<String>, Exit> {
    // What any account may see is no reason to ask for rights.
    let before = report()?;
    if !before.installed {
        return Ok(vec!["the service was not installed".to_owned()]);
    }
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE)?;
    stop_and_wait(&service)?;
    service.delete().map_err(failed)?;
    let mut did = vec!["the service was stopped and taken away".to_owned()];
    if let Err(error) = event_log::unregister() {
        did.push(format!("its name stays in the event log: {error}"));
    }
    let data = before.data.unwrap_or_else(data_folder);
    did.push(format!("what it has stored stays in {}", data.display()));
    Ok(did)
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
    })
}

fn info(plan: &Plan) -> ServiceInfo {
    let path = |path: &Path| path.as_os_str().to_owned();
    ServiceInfo {
        name: NAME.into(),
        display_name: TITLE.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: plan.program.clone(),
        launch_arguments: vec![
            "service".into(),
            "run".into(),
            "--config".into(),
            path(&plan.config),
            "--data".into(),
            path(&plan.data),
        ],
        dependencies: vec![],
        account_name: Some(account::ACCOUNT.into()),
        account_password: None,
    }
}

/// What a service has beside its command line. Says what this Windows does not know, which is none of today's.
fn furnish(service: &Service) -> Result<Vec<String>, Exit> {
    let again = AGAIN_AFTER.map(|delay| ServiceAction { action_type: ServiceActionType::Restart, delay });
    let failures = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGIVEN_AFTER),
        reboot_msg: None,
        command: None,
        actions: Some(again.to_vec()),
    };
    let done = [
        ("a description", service.set_description(ABOUT)),
        // A minute or two after the start: a large model would hold up whoever wants to sign in.
        ("a delayed start", service.set_delayed_auto_start(true)),
        ("an account of its own", service.set_config_service_sid_info(ServiceSidType::Unrestricted)),
        ("time to leave when the machine goes down", service.set_preshutdown_timeout(FAREWELL)),
        ("a new start after a failure", service.update_failure_actions(failures)),
        // An error that it has reported is a failure too, not just a crash.
        ("a new start after an error", service.set_failure_actions_on_non_crash_failures(true)),
    ];
    let mut lacks = vec![];
    for (what, done) in done {
        match done {
            Err(error) if code(&error) == Some(INVALID_LEVEL) => {
                lacks.push(format!("this system does not know {what} for services"));
            }
            done => done.map_err(failed)?,
        }
    }
    Ok(lacks)
}

fn private_folder(data: &Path) -> Result<(), Exit> {
    let existed = data.exists();
    let failed = |error: io::Error| {
        let what = format!("the rights of the folder {} cannot be set: {error}", data.display());
        match error.raw_os_error() {
            Some(ACCESS_DENIED) => no_rights(),
            _ => Exit::usage(what, "choose a folder on a disk with rights (NTFS) with --data"),
        }
    };
    fs::create_dir_all(data).map_err(failed)?;
    // Anybody may make folders where programs keep what is common, and then knows what lies in them.
    if existed && !rights::is_ours(data).map_err(failed)? {
        return Err(Exit::usage(
            format!("the folder {} was made by another account", data.display()),
            "look at what is in it, and delete it or choose another with --data",
        ));
    }
    rights::set(data, &account::folder_rights()).map_err(failed)
}

fn configure(plan: &Plan, settings: &str) -> Result<String, Exit> {
    let path = &plan.config;
    let failed = |error| Exit::failed(format!("the configuration {}: {error}", path.display()));
    let before = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some(read.map_err(failed)?),
    };
    let text = plan.config_text(before.as_deref(), settings);
    if before.as_ref() == Some(&text) {
        return Ok(format!("the configuration {} is kept as it is", path.display()));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    fs::write(&draft, text).and_then(|()| fs::rename(&draft, path)).map_err(failed)?;
    Ok(format!("the configuration {} was written", path.display()))
}

/// A service's account comes into no person's folder.
fn can_be_run(program: &Path) -> Result<(), Exit> {
    match std::env::home_dir() {
        Some(home) if program.starts_with(&home) => Err(Exit::usage(
            format!("the service's account cannot run {}", program.display()),
            "copy its folder to C:\\Program Files\\Starling first, and run that one",
        )),
        _ => Ok(()),
    }
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
