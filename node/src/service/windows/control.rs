//! The service's own process: begun by the service control manager, told to stop by it, and telling it how far it is.

use std::{
    ffi::OsString,
    process::ExitCode,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use starling_protocol::program::Exit;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use windows_service::{
    Error,
    service::{ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType},
    service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle},
    service_dispatcher,
};

use super::super::{
    NAME, Serve, events,
    phase::{Event, Machine, Phase, TICK, Word},
    plan::{data_folder, log_file},
};
use crate::config;

/// What the dispatcher says to a program that no service control manager has started.
const NOT_A_SERVICE: i32 = 1063;
/// What still computes when the node has left is not waited for.
const LEFTOVERS: Duration = Duration::from_secs(2);

/// The one service of this process. Windows calls plain functions, so it has to be found from anywhere.
static CONTROL: OnceLock<Control> = OnceLock::new();

struct Control {
    machine: Mutex<Machine>,
    manager: OnceLock<ServiceStatusHandle>,
    stop: CancellationToken,
    /// Taken by the service's thread.
    work: Mutex<Option<Work>>,
}

/// What to do, or why there is nothing to be done.
type Work = Result<(config::Options, Serve), Exit>;

/// Whether this process is the service.
pub(super) fn is_service() -> bool {
    CONTROL.get().is_some()
}

/// Gives this thread to the system, until the service has stopped.
pub(super) fn dispatch(work: Work) -> Result<ExitCode, Exit> {
    let control = Control {
        machine: Mutex::new(Machine::new()),
        manager: OnceLock::new(),
        stop: CancellationToken::new(),
        work: Mutex::new(Some(work)),
    };
    if CONTROL.set(control).is_err() {
        return Err(Exit::failed("this process is a service already"));
    }
    match service_dispatcher::start(NAME, begin) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Error::Winapi(error)) if error.raw_os_error() == Some(NOT_A_SERVICE) => {
            Err(Exit::usage("`service run` is for Windows to start", "run starling-node service start"))
        }
        Err(error) => Err(Exit::failed(format!("the service control manager: {error}"))),
    }
}

windows_service::define_windows_service!(begin, be_service);

fn be_service(_: Vec<OsString>) {
    let Some(control) = CONTROL.get() else { return };
    // A plain function: the crate frees what a closure has caught with the first order to stop, and the system may still
    // ask how the service does after that.
    let Ok(manager) = service_control_handler::register(NAME, obey) else { return };
    let _ = control.manager.set(manager);
    control.say_first();
    let ended = control.work();
    let code = match &ended {
        Ok(()) => {
            events::note(events::Event::Stopped, "The node has stopped.");
            0
        }
        Err(exit) => {
            let (code, what) = match exit {
                Exit::Usage { what, hint } => (2, format!("{what}; {hint}")),
                Exit::Failed(what) => (1, what.clone()),
            };
            events::note(events::Event::Failed, &format!("The node has ended: {what}"));
            code
        }
    };
    // With that word the process may be ended at any moment: it is the last.
    control.on(Event::Ended(code));
}

fn obey(order: ServiceControl) -> ServiceControlHandlerResult {
    match order {
        ServiceControl::Stop | ServiceControl::Preshutdown => {
            if let Some(control) = CONTROL.get() {
                // Said before this returns, so that no second order comes.
                control.on(Event::Stop);
                control.stop.cancel();
            }
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    }
}

impl Control {
    fn work(&'static self) -> Result<(), Exit> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (mut options, serve) = work.unwrap_or_else(|| Err(Exit::failed("the service was begun twice")))?;
        let folder = options.swarm.data.clone().unwrap_or_else(data_folder);
        options.swarm.log_file.log_file.get_or_insert(log_file(&folder));
        let _log = options.swarm.init_log()?;
        let runtime = tokio::runtime::Runtime::new();
        let runtime = runtime.map_err(|error| Exit::failed(format!("the threads of the node: {error}")))?;
        let ended = runtime.block_on(self.serve(options, serve));
        match &ended {
            Ok(()) => info!("the service has stopped"),
            Err(Exit::Usage { what, hint }) => error!("{what}; {hint}"),
            Err(Exit::Failed(what)) => error!("{what}"),
        }
        runtime.shutdown_timeout(LEFTOVERS);
        ended
    }

    async fn serve(&'static self, options: config::Options, serve: Serve) -> Result<(), Exit> {
        tokio::spawn(async {
            loop {
                tokio::time::sleep(TICK).await;
                self.on(Event::Tick);
            }
        });
        let config = options.config()?;
        self.on(Event::Ready);
        info!("the service runs");
        events::note(events::Event::Started, "The node has started.");
        serve(config, self.stop.clone()).await
    }

    fn say_first(&self) {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        self.say(machine.first());
    }

    /// Said in the order in which it happens: under the lock.
    fn on(&self, event: Event) {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(word) = machine.on(event) {
            self.say(word);
        }
    }

    fn say(&self, word: Word) {
        let Some(manager) = self.manager.get() else { return };
        if let Err(error) = manager.set_service_status(status(word)) {
            error!(%error, "the service control manager was not told how the service does");
        }
    }
}

fn status(word: Word) -> ServiceStatus {
    ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: match word.phase {
            Phase::Starting => ServiceState::StartPending,
            Phase::Running => ServiceState::Running,
            Phase::Stopping => ServiceState::StopPending,
            Phase::Stopped => ServiceState::Stopped,
        },
        controls_accepted: match word.accepts_stop {
            true => ServiceControlAccept::STOP | ServiceControlAccept::PRESHUTDOWN,
            false => ServiceControlAccept::empty(),
        },
        exit_code: match word.code {
            0 => ServiceExitCode::NO_ERROR,
            code => ServiceExitCode::ServiceSpecific(code),
        },
        checkpoint: word.checkpoint,
        wait_hint: word.hint,
        process_id: None,
    }
}
