//! The node's engines: each on a thread of its own, opened there because native contexts must not move.

use std::{sync::Arc, thread};

use futures::future::join_all;
use starling_inference::{Handle, OpenError, Source};
use starling_protocol::{ModelId, program::Exit};
use tokio::sync::oneshot;
use tracing::{error, info};

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

/// Opens the sources side by side.
pub(crate) async fn open(sources: Vec<Source>) -> Result<Models, Exit> {
    let mut models: Vec<Served> = vec![];
    for opened in join_all(sources.into_iter().map(open_one)).await {
        let model = opened?;
        if models.iter().any(|other| other.id == model.id) {
            return Err(Exit::usage(
                format!("the model {} was named twice", model.engine.info().name),
                "name each model file once; use --slots for more answers at once",
            ));
        }
        models.push(model);
    }
    Ok(models.into())
}

async fn open_one(source: Source) -> Result<Served, Exit> {
    let (reply, opened) = oneshot::channel();
    let run = move || match starling_inference::open(&source) {
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
        .map_err(|error| Exit::failed(format!("cannot start a thread for an engine: {error}")))?;
    let engine = opened.await.map_err(|_| Exit::failed("an engine died while it was opened"))?.map_err(usage)?;
    let info = engine.info();
    info!(model = info.name, slots = info.slots, context_tokens = info.context_tokens, device = info.device, "serving");
    Ok(Served { id: ModelId::new(info.id), engine })
}

fn usage(error: OpenError) -> Exit {
    Exit::usage(&error, error.hint())
}

/// Waits until no engine is alive, and says so.
pub(crate) async fn all_dead(models: Models) -> String {
    for model in models.iter() {
        // An error means that the runner is gone altogether.
        let _ = model.engine.load().wait_for(|load| !load.alive).await;
        error!(model = model.engine.info().name, "the engine has died");
    }
    "every engine has died".to_owned()
}
