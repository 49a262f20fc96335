//! Where a running node answers `starling-node status`: a local socket (on Windows a named pipe) that says one
//! JSON document to whoever connects, and reads nothing.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use interprocess::local_socket::{ListenerOptions, Name, tokio::prelude::*};
use serde::{Deserialize, Serialize};
use starling_protocol::{
    message::Status,
    program::{self, Exit},
    swarm::Handle,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    network::Network,
    polite::{self, Pause},
    service,
    tensorrt::choose::Decided,
};

/// Whoever asks gets this long to take the answer; one is served after the other.
const PATIENCE: Duration = Duration::from_secs(2);
/// What this socket is called.
const NAME: &str = "status";
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
    /// It leaves this machine to others.
    pub paused: Option<PauseState>,
}

/// That a node leaves its machine to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PauseState {
    /// Why: `by hand`, `full screen`, `process`, `battery`, `temperature`, `gpu` or `schedule`.
    pub reason: String,
    /// Which program, where it is one that the owner has named; said on this machine only.
    pub program: Option<String>,
    /// Until it comes back, where that is known.
    pub seconds: Option<u64>,
    /// Its models are in memory still.
    pub in_memory: bool,
    /// They are being loaded again.
    pub returning: bool,
    /// Why they could not be loaded last; empty when nothing went wrong.
    pub trouble: String,
}

/// One of its models.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelState {
    /// What people call it.
    pub name: String,
    /// What it computes on.
    pub device: String,
    /// Its engine, and why it is that one; empty where there was no choice.
    pub engine: String,
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
    pause: watch::Receiver<Option<Pause>>,
    started_at: u64,
    decided: watch::Receiver<Vec<Decided>>,
}

impl Desk {
    /// Opens it. The folder's identity is ours while we run, so a socket that is there already is a dead one's.
    ///
    /// # Errors
    /// Whatever the system says; such as that the folder's path is too long for a socket's.
    pub(crate) fn open(
        data: &Path,
        swarm: Handle,
        status: watch::Receiver<Status>,
        pause: watch::Receiver<Option<Pause>>,
        decided: watch::Receiver<Vec<Decided>>,
    ) -> io::Result<Self> {
        let listener = listen(data, NAME)?;
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self { listener, swarm, status, pause, started_at, decided })
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
        let decided = self.decided.borrow().clone();
        let engine = |name: &str| decided.iter().find(|decided| decided.model == name);
        let models = status.offers.into_iter().map(|offer| ModelState {
            engine: engine(&offer.name).map(|decided| decided.engine.clone()).unwrap_or_default(),
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
            // A paused node says that it stops to those who do not know of pauses.
            stopping: status.stopping && status.paused.is_none(),
            network,
            models: models.collect(),
            loadable: loadable.collect(),
            warning: status.warning,
            paused: self.pause.borrow().as_ref().map(PauseState::from),
        }
    }
}

impl From<&Pause> for PauseState {
    fn from(Pause { kind, back, program, stage, trouble }: &Pause) -> Self {
        Self {
            reason: polite::word(*kind).to_owned(),
            program: program.clone(),
            seconds: back.map(|back| back.saturating_duration_since(Instant::now()).as_secs()),
            in_memory: *stage == polite::Stage::Light,
            returning: *stage == polite::Stage::Returning,
            trouble: trouble.clone(),
        }
    }
}

/// Asks the node that runs with this data folder; none when there is none.
///
/// # Errors
/// When something answers that is not a node.
pub async fn ask(data: &Path) -> io::Result<Option<NodeState>> {
    let Some(stream) = connect(data, NAME).await? else { return Ok(None) };
    let mut document = vec![];
    timeout(PATIENCE, stream.take(MAX_DOCUMENT).read_to_end(&mut document))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    serde_json::from_slice(&document).map(Some).map_err(io::Error::other)
}

type LocalSocketStream = interprocess::local_socket::tokio::Stream;
type Listener = interprocess::local_socket::tokio::Listener;

/// The folders of nodes that may be meant: the chosen one, else this person's own and the service's.
///
/// # Errors
/// When the platform names none.
pub(crate) fn folders(chosen: Option<PathBuf>) -> Result<Vec<PathBuf>, Exit> {
    if let Some(chosen) = chosen {
        return Ok(vec![chosen]);
    }
    let own = program::data_dir(None, "node");
    let service = service::data_folder();
    match own {
        Ok(own) => Ok([own, service].into()),
        Err(_) => Ok(vec![service]),
    }
}

/// That none of them is there.
pub(crate) fn nobody(folders: &[PathBuf]) -> Exit {
    let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Exit::usage(
        format!("no node runs with the folder {}", shown.join(" or ")),
        "start it with starling-node run, or name its folder with --data; a service's may need an administrator",
    )
}

/// Opens one of a node's sockets. The folder's identity is ours while we run, so one that is there already is a dead
/// node's.
pub(crate) fn listen(data: &Path, socket: &str) -> io::Result<Listener> {
    let options = ListenerOptions::new().name(name(data, socket)?).try_overwrite(true);
    #[cfg(windows)]
    let options = {
        use interprocess::os::windows::{local_socket::ListenerOptionsExt, security_descriptor::SecurityDescriptor};
        let rights = widestring::U16CString::from_str(RIGHTS).map_err(io::Error::other)?;
        options.security_descriptor(SecurityDescriptor::deserialize(&rights)?)
    };
    options.create_tokio()
}

/// For us, administrators and the system everything; for whoever sits at the machine reading and writing; for others, and
/// over the network, nothing, of which the pipe itself wants to hear nothing either. The service's account is not that of who
/// sits there. Who may write to a pipe may also open an end of it: what others say there is no secret, and what we do for it
/// is no more than rest.
#[cfg(any(windows, test))]
const RIGHTS: &str = "D:(D;;GA;;;NU)(A;;GA;;;OW)(A;;GA;;;SY)(A;;GA;;;BA)(A;;GRGW;;;IU)";

/// Calls one of a node's sockets; none when there is no such node.
pub(crate) async fn connect(data: &Path, socket: &str) -> io::Result<Option<LocalSocketStream>> {
    Ok(LocalSocketStream::connect(name(data, socket)?).await.ok())
}

/// In the data folder, which is its owner's alone.
#[cfg(unix)]
fn name(data: &Path, socket: &str) -> io::Result<Name<'static>> {
    use interprocess::local_socket::{GenericFilePath, ToFsName};
    data.join(format!("{socket}.sock")).to_fs_name::<GenericFilePath>()
}

/// Named after the data folder: a pipe lies in no folder.
#[cfg(not(unix))]
fn name(data: &Path, socket: &str) -> io::Result<Name<'static>> {
    use interprocess::local_socket::{GenericNamespaced, ToNsName};
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(spelled(data)?.as_bytes());
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // The first of them has the bare name since there was no other.
    let suffix = if socket == NAME { String::new() } else { format!("-{socket}") };
    format!("starling-node-{digits}{suffix}").to_ns_name::<GenericNamespaced>()
}

/// One folder has many names on Windows. The system is not asked which one it is: a service lets nobody else look.
#[cfg(windows)]
fn spelled(data: &Path) -> io::Result<String> {
    let whole: PathBuf = std::path::absolute(data)?.components().collect();
    let text = whole.to_string_lossy().to_lowercase();
    Ok(text.strip_prefix(r"\\?\").map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kept out come first: Windows reads such a list from its beginning.
    #[test]
    fn who_sits_at_the_machine_may_ask_and_nobody_over_the_network() {
        let entries: Vec<&str> = RIGHTS.trim_start_matches("D:(").trim_end_matches(')').split(")(").collect();
        let (network, system, admins, at_the_machine) = ("NU", "SY", "BA", "IU");
        assert_eq!(entries[0], format!("D;;GA;;;{network}"));
        assert!(entries[1..].iter().all(|entry| entry.starts_with("A;;")), "nobody is kept out after being let in");
        let lets = |whom: &str| entries[1..].iter().find_map(|entry| entry.strip_suffix(whom)?.strip_prefix("A;;"));
        assert_eq!(lets(at_the_machine), Some("GRGW;;;"));
        for whom in [system, admins, "OW"] {
            assert_eq!(lets(whom), Some("GA;;;"), "{whom}");
        }
        assert_eq!(entries.len(), 5, "and nobody else: {RIGHTS}");
    }

    #[cfg(windows)]
    #[test]
    fn a_folder_is_the_same_however_it_is_spelled() {
        let one = spelled(Path::new(r"C:\ProgramData\Starling Größe")).unwrap();
        for same in [
            r"c:\programdata\STARLING GRÖßE",
            "C:/ProgramData/Starling Größe/",
            r"C:\ProgramData\x\..\Starling Größe",
            r"\\?\C:\ProgramData\Starling Größe",
        ] {
            assert_eq!(spelled(Path::new(same)).unwrap(), one, "{same}");
        }
        assert_ne!(spelled(Path::new(r"C:\ProgramData\Starling")).unwrap(), one);
    }
}
