//! The node's engines. Those of native code run in a process of their own, kept by a [`Host`]; a scripted one has a
//! thread here, opened there because contexts must not move.

use std::{path::PathBuf, sync::Arc, thread};

use futures::future::join_all;
use starling_inference::{
    Handle, OpenError, Progress, Source,
    host::{self, Host, Launch, Patience},
};
use starling_protocol::{ModelId, program::Exit};
use tokio::{sync::oneshot, task::JoinSet};
use tracing::{error, info};

/// What the program is told to be the process of an engine.
const SUBCOMMAND: &str = "engine";

/// A model that is loaded and can be asked.
#[derive(Clone)]
pub struct Served {
    /// Its content.
    pub id: ModelId,
    /// Its engine.
    pub engine: Handle,
}

/// All models of a node.
pub(crate) type Models = Arc<[Served]>;

/// Where engines run.
#[derive(Clone, Debug, Default)]
pub struct Apart {
    /// The `starling-node` program, started once more for each engine. `None`: all engines run in this process, and
    /// native code that aborts ends it.
    pub program: Option<PathBuf>,
    /// Whether scripted engines run in processes too; they do not abort unless they are told to.
    pub scripted: bool,
}

impl Apart {
    fn launch(&self, source: &Source) -> Option<Launch> {
        let program = self.program.clone().filter(|_| self.scripted || !matches!(source, Source::Scripted(_)))?;
        Some(Launch { program, args: vec![SUBCOMMAND.into()], name: "starling-node".into() })
    }
}

/// Opens the sources side by side, and gives what keeps their processes. What cannot be opened is left out, as long as
/// anything can.
///
/// # Errors
/// When there is no source that can be, unless there is none at all.
pub(crate) async fn open(sources: Vec<Source>, apart: &Apart) -> Result<(Models, Vec<Host>), Exit> {
    if sources.is_empty() {
        return Ok((Models::from([]), vec![]));
    }
    let (mut models, mut hosts, mut failed): (Vec<Served>, _, _) = (vec![], vec![], vec![]);
    let opening = sources.into_iter().map(|source| open_one(source, apart));
    for opened in join_all(opening).await {
        let (engine, host) = match opened {
            Ok(opened) => opened,
            Err(exit) => {
                failed.push(exit);
                continue;
            }
        };
        let (info, id) = (engine.info(), ModelId::new(engine.info().id));
        if models.iter().any(|other| other.id == id) {
            return Err(Exit::usage(
                format!("the model {} was named twice", info.name),
                "name each model file once; use --slots for more answers at once",
            ));
        }
        let (slots, context_tokens) = (info.slots, info.context_tokens);
        info!(model = info.name, slots, context_tokens, device = info.device, apart = host.is_some(), "serving");
        models.push(Served { id, engine });
        hosts.extend(host);
    }
    if models.is_empty() {
        return Err(failed.into_iter().next().unwrap_or_else(|| Exit::failed("there is no model to serve")));
    }
    for exit in failed {
        let (problem, hint) = match exit {
            Exit::Usage { what, hint } => (what, hint),
            Exit::Failed(what) => (what, String::new()),
        };
        error!(problem, hint, "a model is NOT served; the others are");
    }
    Ok((models.into(), hosts))
}

/// Opens one source for a command that asks it something and ends. Its process lives as long as the set.
pub(crate) async fn open_for_command(source: Source, apart: &Apart) -> Result<(Handle, JoinSet<()>), Exit> {
    let (engine, host) = open_one(source, apart).await?;
    let mut hosts = JoinSet::new();
    if let Some(host) = host {
        hosts.spawn(host.run());
    }
    Ok((engine, hosts))
}

async fn open_one(source: Source, apart: &Apart) -> Result<(Handle, Option<Host>), Exit> {
    load(source, apart, &Progress::new()).await.map_err(usage)
}

/// Opens one source, and shows how far that has come. Dropping the future gives it up.
///
/// # Errors
/// See [`OpenError`].
pub(crate) async fn load(
    source: Source,
    apart: &Apart,
    progress: &Progress,
) -> Result<(Handle, Option<Host>), OpenError> {
    let Some(launch) = apart.launch(&source) else { return Ok((open_here(source, progress.clone()).await?, None)) };
    let (engine, host) = host::open_with(source, launch, Patience::default(), progress).await?;
    Ok((engine, Some(host)))
}

async fn open_here(source: Source, progress: Progress) -> Result<Handle, OpenError> {
    let engine = |reason: String| OpenError::Engine { reason };
    let (reply, opened) = oneshot::channel();
    let run = move || match starling_inference::open_with(&source, &progress) {
        Ok((handle, runner)) => {
            let name = handle.info().name.clone();
            if reply.send(Ok(handle)).is_ok() {
                runner.run();
                info!(model = name, "the engine has ended");
            }
        }
        Err(error) => drop(reply.send(Err(error))),
    };
    thread::Builder::new()
        .name("engine".to_owned())
        .spawn(run)
        .map_err(|error| engine(format!("there is no thread for it: {error}")))?;
    opened.await.map_err(|_| engine("it died while it was opened".to_owned()))?
}

fn usage(error: OpenError) -> Exit {
    Exit::usage(&error, error.hint())
}

/// Says when a model is lost until the node is started again. The node stays: it may serve others.
pub(crate) async fn mourn(models: Models) {
    let lost = models.iter().map(|model| async {
        let (mut load, name) = (model.engine.load(), &model.engine.info().name);
        let gone = load.wait_for(|load| !load.alive && !load.restarting).await;
        // An error means that whoever drove it is gone altogether.
        let reason = gone.map(|load| load.trouble.clone()).unwrap_or_default();
        error!(model = name, reason, "the engine is gone for good: start the node again to serve this model");
    });
    join_all(lost).await;
}
