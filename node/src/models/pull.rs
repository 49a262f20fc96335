//! `models pull`: from a name to a whole, checked file in the store.

mod download;
mod part;
mod room;

use std::{ffi::OsStr, fs, path::Path};

use clap::Args;
use sha2::{Digest, Sha256};
use starling_inference::model::Hashes;
use starling_protocol::{
    ModelId,
    program::{self, Exit, say},
};
use tokio_util::sync::CancellationToken;

use self::{
    download::{Download, Failed},
    part::Part,
    room::Room,
};
use super::{
    client::{Client, Fault},
    hub::{self, Remote},
    name::Name,
    show,
    store::{Entry, Store, unwritable},
    verify,
};

/// Longest file name that is made; file systems stop at 255 bytes, and `.part.json` comes behind it.
const MAX_FILE_BYTES: usize = 200;
/// How often the hub is asked what it has: somebody waits, and nothing is lost yet.
const MAX_LISTS: u32 = 3;
/// Names that Windows keeps for devices, whatever stands behind the point.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "COM1", "LPT1"];

/// The flags of `starling-node models pull`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// hf:OWNER/REPO:QUANTISATION, hf:OWNER/REPO/FILE.gguf, or an https:// address.
    #[arg(value_name = "NAME")]
    name: String,
    /// What the file has to hash to; also behind an address as #sha256=…
    #[arg(long, value_name = "HEX")]
    sha256: Option<ModelId>,
    /// Also when this machine has too little memory to serve it.
    #[arg(long)]
    anyway: bool,
}

/// Pulls until it is done or somebody stops it.
pub(crate) async fn until_stopped(store: &Store, hashes: &Hashes, options: Options) -> Result<(), Exit> {
    let cancel = CancellationToken::new();
    program::cancel_on_signal(cancel.clone());
    let client = Client::from_environment()?;
    let room = Room::here(options.anyway);
    let pull = Pull { store, hashes, client: &client, room: &room };
    let pulled = cancel.run_until_cancelled(Box::pin(pull.run(&options))).await;
    pulled
        .unwrap_or_else(|| Err(Exit::failed("stopped; what has come is kept, and the same command goes on from there")))
}

/// What a pull works with.
struct Pull<'a> {
    store: &'a Store,
    hashes: &'a Hashes,
    client: &'a Client,
    room: &'a Room,
}

impl Pull<'_> {
    async fn run(&self, options: &Options) -> Result<(), Exit> {
        let remote = self.remote(options).await?;
        let file = self.file(&remote)?;
        let _lock = self.store.lock(&file)?;
        let path = self.store.folder().join(&file);
        if let Some(entry) = self.here(&remote, &path)? {
            say(format_args!("{} is here already", entry.name));
            return Ok(());
        }
        let sha256 = load(Download::new(self.client, &remote, self.room), &path).await?;
        let name = stem(&file).to_owned();
        self.write_down(&remote, &file, sha256)?;
        say(format_args!("pulled {name}"));
        show::note(&match remote.sha256 {
            Some(_) => format!("its SHA-256 is what it should be; starling-node run --model {name} serves it"),
            None => format!("its SHA-256 is {sha256}; nobody said what it should be, so it was not compared"),
        });
        Ok(())
    }

    /// What is to be loaded.
    async fn remote(&self, options: &Options) -> Result<Remote, Exit> {
        let remote = match Name::parse(&options.name, self.client.hub())? {
            Name::Hub(name) => self.listed(&name).await?,
            Name::Url(url, sha256) => {
                let file = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned();
                let source = Name::Url(url.clone(), None).to_string();
                Remote { url, source, file, bytes: None, sha256 }
            }
            Name::Local(path) => return Err(self.no_pull(&path)),
        };
        match (remote.sha256, options.sha256) {
            (Some(known), Some(asked)) if known != asked => Err(Exit::usage(
                format!("{} has the SHA-256 {known} where it lies, not {asked}", remote.file),
                "check the hash; perhaps there is a new version",
            )),
            (known, asked) => Ok(Remote { sha256: known.or(asked), ..remote }),
        }
    }

    /// Asks the hub, and again after a passing fault.
    async fn listed(&self, name: &super::name::Hub) -> Result<Remote, Exit> {
        let (mut pause, mut attempts) = (self.client.patience.pause, 0);
        loop {
            attempts += 1;
            match hub::find(self.client, name).await {
                Ok(remote) => return Ok(remote),
                Err(Fault::Final(exit) | Fault::Worthless(exit)) => return Err(exit),
                Err(Fault::Passing(what)) if attempts >= self.client.patience.attempts.min(MAX_LISTS) => {
                    return Err(Exit::usage(format!("the hub cannot be asked: {what}"), "check the connection"));
                }
                Err(Fault::Passing(what)) => show::note(&format!("{what}; asking again in {pause:.0?}")),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// A path needs no pull; a word is perhaps a model that is here.
    fn no_pull(&self, path: &Path) -> Exit {
        if path.exists() {
            let what = format!("{} is a file of this machine and needs no pull", path.display());
            return Exit::usage(what, "starling-node run --model with its path serves it from where it lies");
        }
        Exit::usage(
            format!("{} is neither a name of the hub nor an address", path.display()),
            "names look like hf:Qwen/Qwen3-8B-GGUF:Q5_K_M, hf:OWNER/REPO/FILE.gguf or https://HOST/FILE.gguf",
        )
    }

    /// What the file is called here: as where it lies, unless that is another model's name.
    fn file(&self, remote: &Remote) -> Result<String, Exit> {
        let file = plain(&remote.file);
        let entries = self.store.entries()?;
        if let Some(entry) = entries.iter().find(|entry| entry.source == remote.source) {
            return Ok(entry.file.clone());
        }
        let listed = entries.iter().any(|entry| entry.file.eq_ignore_ascii_case(&file));
        let path = self.store.folder().join(&file);
        let other = fs::metadata(&path).is_ok_and(|found| Some(found.len()) != remote.bytes);
        if !listed && !other {
            return Ok(file);
        }
        let digest = ModelId::new(Sha256::digest(&remote.source).into()).to_string();
        Ok(format!("{}-{}.gguf", stem(&file), &digest[..8]))
    }

    /// The model, if it is here and whole, also when the index does not know it yet.
    fn here(&self, remote: &Remote, path: &Path) -> Result<Option<Entry>, Exit> {
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let listed = self.store.entries()?.into_iter().find(|entry| entry.file == file);
        let wanted = remote.sha256.map(|sha256| sha256.to_string());
        let entry = match (listed, remote.sha256) {
            (Some(entry), _) => entry,
            (None, Some(sha256)) if path.exists() => self.entry(remote, file, sha256),
            (None, _) => return Ok(None),
        };
        if wanted.is_some_and(|wanted| wanted != entry.sha256) {
            show::note(&format!("{} has changed where it comes from: loading the new one", entry.name));
            return Ok(None);
        }
        let known = self.hashes.get(path).map(|sha256| ModelId::new(sha256).to_string());
        if known.as_ref() != Some(&entry.sha256) && verify::problem(path, &entry, self.hashes).is_some() {
            return Ok(None);
        }
        self.store.add(entry.clone())?;
        Ok(Some(entry))
    }

    fn write_down(&self, remote: &Remote, file: &str, sha256: ModelId) -> Result<(), Exit> {
        let path = self.store.folder().join(file);
        let metadata = fs::metadata(&path).map_err(|error| unwritable(self.store.folder(), &error))?;
        self.hashes.remember_own(&path, &metadata, *sha256.as_bytes());
        self.store.add(Entry { bytes: metadata.len(), ..self.entry(remote, file, sha256) })
    }

    fn entry(&self, remote: &Remote, file: &str, sha256: ModelId) -> Entry {
        Entry {
            name: stem(file).to_owned(),
            file: file.to_owned(),
            bytes: remote.bytes.unwrap_or_default(),
            sha256: sha256.to_string(),
            source: remote.source.clone(),
            pulled: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }
}

/// Gets a file that is no model and whose hash is known; goes on where an earlier fetch stopped.
///
/// # Errors
/// When it cannot be had, or is not what it should be.
pub(crate) async fn fetch(client: &Client, remote: &Remote, path: &Path) -> Result<(), Exit> {
    let room = Room::here(false);
    load(Download::of_any(client, remote, &room), path).await.map(drop)
}

/// Loads a file and puts it in its place once it is what it should be.
async fn load(download: Download<'_>, path: &Path) -> Result<ModelId, Exit> {
    let (remote, room) = (download.remote, download.room);
    let wrong = |error| room.unwritable(path, &error);
    let mut part = Part::open(path, remote).await.map_err(wrong)?;
    if let Err(Failed { exit, worthless }) = download.run(&mut part).await {
        if worthless || part.done() == 0 {
            part.discard();
        }
        return Err(exit);
    }
    let sha256 = part.sha256();
    if let Some(wanted) = remote.sha256.filter(|wanted| *wanted != sha256) {
        part.discard();
        return Err(Exit::usage(
            format!("{} came with the SHA-256 {sha256}, not {wanted}: it was thrown away", remote.file),
            "pull it again; if that does not help, take it from elsewhere",
        ));
    }
    part.finish(path).map_err(wrong)?;
    Ok(sha256)
}

/// A name that every file system takes.
fn plain(file: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    let stem: String = stem(file).chars().map(good).take(MAX_FILE_BYTES).collect();
    let stem = stem.trim_matches('.');
    let device = stem.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let mark = if stem.is_empty() || DEVICES.contains(&device.as_str()) { "model-" } else { "" };
    format!("{mark}{stem}.gguf")
}

fn stem(file: &str) -> &str {
    match file.len().checked_sub(5).and_then(|at| file.split_at_checked(at)) {
        Some((stem, end)) if end.eq_ignore_ascii_case(".gguf") => stem,
        _ => file,
    }
}

#[cfg(test)]
mod tests;
