//! Where a running node answers `starling-node status`: a local socket (on Windows a named pipe) that says one
//! JSON document to whoever connects, and reads nothing.

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use interprocess::local_socket::{ListenerOptions, Name, tokio::prelude::*};
use serde::{Deserialize, Serialize};
use starling_protocol::{message::Status, swarm::Handle};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::network::Network;

/// Whoever asks gets this long to take the answer; one is served after the other.
const PATIENCE: Duration = Duration::from_secs(2);
/// Far above what a node with all its models can say.
const MAX_DOCUMENT: u64 = 1 << 20;

/// A running node, as its owner may see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeState {
    /// The program's version.
    pub version: String,
    /// What its owner calls it.
    pub name: String,
    /// Its id.
    pub peer: String,
    /// When it started, in seconds since 1970.
    pub started_at: u64,
    /// Takes no more jobs.
    pub stopping: bool,
    /// How it is seen.
    pub network: Network,
    /// What it serves.
    pub models: Vec<ModelState>,
    /// What it loads when somebody asks.
    pub loadable: Vec<LoadableState>,
    /// What its owner should know.
    pub warning: String,
}

/// One of its models.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelState {
    /// What people call it.
    pub name: String,
    /// What it computes on.
    pub device: String,
    /// Answers at once.
    pub slots: u32,
    /// Of these, free.
    pub slots_free: u32,
    /// For one answer; 0 until known.
    pub decode_tokens_per_second: f32,
    /// How often its engine had to be started again.
    pub restarts: u32,
    /// What went wrong last; empty when nothing did.
    pub trouble: String,
}

/// A model that is not loaded, or not yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadableState {
    /// What people call it.
    pub name: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// It is being loaded, and so much of a thousand has come.
    pub loading_permille: Option<u32>,
    /// How long a whole load is thought to take.
    pub seconds: u32,
    /// Why it could not be loaded last; empty when nothing went wrong.
    pub trouble: String,
}

/// The desk of a node that runs.
pub(crate) struct Desk {
    listener: interprocess::local_socket::tokio::Listener,
    swarm: Handle,
    status: watch::Receiver<Status>,
    started_at: u64,
}

impl Desk {
    /// Opens it. The folder's identity is ours while we run, so a socket that is there already is a dead one's.
    ///
    /// # Errors
    /// Whatever the system says; such as that the folder's path is too long for a socket's.
    pub(crate) fn open(data: &Path, swarm: Handle, status: watch::Receiver<Status>) -> io::Result<Self> {
        let listener = ListenerOptions::new().name(name(data)?).try_overwrite(true).create_tokio()?;
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self { listener, swarm, status, started_at })
    }

    /// Answers until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        while let Some(asked) = cancel.run_until_cancelled(self.listener.accept()).await {
            let said = match asked {
                Ok(mut asker) => {
                    timeout(PATIENCE, self.say(&mut asker)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
                }
                Err(error) => {
                    // Out of file descriptors, say: not to be tried again in the same moment.
                    tokio::time::sleep(PATIENCE).await;
                    Err(error)
                }
            };
            if let Err(error) = said {
                debug!(%error, "nobody was told the status");
            }
        }
    }

    async fn say(&self, asker: &mut LocalSocketStream) -> io::Result<()> {
        let document = serde_json::to_vec(&self.state()).map_err(io::Error::other)?;
        asker.write_all(&document).await?;
        asker.shutdown().await
    }

    fn state(&self) -> NodeState {
        let status = self.status.borrow().clone();
        let network = Network::of(&self.swarm.reachability().borrow(), &self.swarm.peers().borrow());
        let models = status.offers.into_iter().map(|offer| ModelState {
            name: offer.name,
            device: offer.device,
            slots: offer.slots,
            slots_free: offer.slots_free,
            decode_tokens_per_second: offer.decode_tokens_per_second,
            restarts: offer.restarts,
            trouble: offer.trouble,
        });
        let loadable = status.loadable.into_iter().map(|model| LoadableState {
            name: model.name,
            bytes: model.bytes,
            loading_permille: model.loading,
            seconds: model.seconds,
            trouble: model.trouble,
        });
        NodeState {
            version: status.version,
            name: status.name,
            peer: self.swarm.local_peer().to_string(),
            started_at: self.started_at,
            stopping: status.stopping,
            network,
            models: models.collect(),
            loadable: loadable.collect(),
            warning: status.warning,
        }
    }
}

/// Asks the node that runs with this data folder; none when there is none.
///
/// # Errors
/// When something answers that is not a node.
pub async fn ask(data: &Path) -> io::Result<Option<NodeState>> {
    let Ok(stream) = LocalSocketStream::connect(name(data)?).await else { return Ok(None) };
    let mut document = vec![];
    timeout(PATIENCE, stream.take(MAX_DOCUMENT).read_to_end(&mut document))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    serde_json::from_slice(&document).map(Some).map_err(io::Error::other)
}

type LocalSocketStream = interprocess::local_socket::tokio::Stream;

/// In the data folder, which is its owner's alone.
#[cfg(unix)]
fn name(data: &Path) -> io::Result<Name<'static>> {
    use interprocess::local_socket::{GenericFilePath, ToFsName};
    data.join("status.sock").to_fs_name::<GenericFilePath>()
}

/// Named after the data folder: a pipe lies in no folder.
#[cfg(not(unix))]
fn name(data: &Path) -> io::Result<Name<'static>> {
    use interprocess::local_socket::{GenericNamespaced, ToNsName};
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(data.as_os_str().as_encoded_bytes());
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("starling-node-{digits}").to_ns_name::<GenericNamespaced>()
}
