//! The installation on Windows: the folder's rights, the configuration, the service and its name in the event log. Each
//! part is made or brought up to date, so that it can be done again.

use std::{fs, io, path::Path, time::Duration};

use starling_protocol::{
    disk::replace,
    owner_only,
    program::{Exit, IDENTITY},
};
use windows_service::{
    service::{
        Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceFailureActions,
        ServiceFailureResetPeriod, ServiceInfo, ServiceSidType, ServiceStartType, ServiceType,
    },
    service_manager::ServiceManagerAccess,
};

use crate::polite::autostart;

use super::{
    super::{NAME, TITLE, account, plan::Plan},
    ACCESS_DENIED, NO_SUCH_SERVICE, code, event_log, failed, manager, no_rights, rights,
};

/// What the system's list of services says of it.
const ABOUT: &str = "Computes answers for a Starling swarm. Connections go out only; nothing has to be opened.";
/// How long after a failure it is started again: the first time, the second, and each one after that.
const AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];
/// After so long without a failure the next one is the first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// When the machine goes down: answers end for 10 seconds, and then it leaves.
const FAREWELL: Duration = Duration::from_secs(25);
/// What Windows says to what it does not know.
const INVALID_LEVEL: i32 = 124;

/// Makes a folder that does not exist yet the service's and the administrators' alone, where it lies in the folder of all
/// programs: others may read what is there, and may have put something into it.
///
/// # Errors
/// When the rights for that are missing.
pub(in crate::service) fn prepare_folder(data: &Path) -> Result<(), Exit> {
    let shared = std::env::var_os("ProgramData").is_some_and(|common| data.starts_with(common));
    if shared && !data.exists() { private_folder(data) } else { Ok(()) }
}

pub(in crate::service) fn install(plan: &Plan, settings: &str) -> Result<Vec<String>, Exit> {
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
    autostart::install(&plan.program, &plan.data)
        .map_err(|error| Exit::failed(format!("what is started at sign-in cannot be changed: {error}")))?;
    did.push("from the next sign-in on, starling-node desktop tells it when a program fills the screen".to_owned());
    event_log::register()
        .map_err(|error| Exit::failed(format!("the event log does not take the service's name: {error}")))?;
    Ok(did)
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
    rights::set(data, &account::folder_rights()).map_err(failed)?;
    // A key takes nothing from its folder, and one that somebody has made by joining lets in nobody else.
    let key = data.join(IDENTITY);
    if key.exists() { owner_only::let_in_services(&key).map_err(failed) } else { Ok(()) }
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
    replace(path, text.as_bytes()).map_err(failed)?;
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
