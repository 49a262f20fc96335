//! What an operator does with a gateway's data: `starling-gateway backup`, `restore` and `rotate-master`.

use std::path::PathBuf;

use starling_protocol::program::{self, Exit};

use crate::{
    config::{DatabaseOption, MasterOption},
    master::MasterKey,
    store::{self, Database, Sealing, Store},
};

/// Which gateway's data is meant.
#[derive(clap::Args, Clone, Debug)]
pub struct DataOptions {
    /// The gateway's folder, as it is started with [default: the platform's own].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub database: DatabaseOption,
    #[command(flatten)]
    pub master: MasterOption,
}

/// The flags of `starling-gateway backup`.
#[derive(clap::Args, Clone, Debug)]
pub struct BackupOptions {
    /// The file to be written; there is none yet.
    pub file: PathBuf,
    #[command(flatten)]
    pub gateway: DataOptions,
}

/// The flags of `starling-gateway restore`.
#[derive(clap::Args, Clone, Debug)]
pub struct RestoreOptions {
    /// The file that `backup` has written.
    pub file: PathBuf,
    #[command(flatten)]
    pub gateway: DataOptions,
}

/// The flags of `starling-gateway rotate-master`.
#[derive(clap::Args, Clone, Debug)]
pub struct RotateOptions {
    /// The file of the new master key, made when it is not there.
    #[arg(long, value_name = "FILE")]
    pub new: PathBuf,
    #[command(flatten)]
    pub gateway: DataOptions,
}

impl DataOptions {
    fn folder(&self) -> Result<PathBuf, Exit> {
        program::data_dir(self.data.clone(), "gateway")
    }

    /// The SQLite file, and nothing else.
    fn file(&self) -> Result<PathBuf, Exit> {
        match self.database.of(&self.folder()?)? {
            Database::Sqlite(path) => Ok(path),
            Database::MySql(_) => {
                let hint = "mariadb-dump --single-transaction makes a backup of it, and mariadb reads it back";
                Err(Exit::usage("the database is on a server", hint))
            }
        }
    }

    async fn open(&self) -> Result<Store, Exit> {
        let folder = self.folder()?;
        let database = self.database.of(&folder)?;
        if database.file().is_some_and(|file| !file.is_file()) {
            let what = format!("no gateway has run in {} yet", folder.display());
            return Err(Exit::usage(what, "name its folder with --data"));
        }
        let store = Store::open(&database, &Sealing::with(self.master.of(&folder)?)).await;
        store.map_err(|error| Exit::usage(&error, error.hint()))
    }
}

/// Writes a backup.
///
/// # Errors
/// When there is no database in a file, or the backup cannot be written.
pub async fn backup(options: &BackupOptions) -> Result<(), Exit> {
    options.gateway.file()?;
    if options.file.exists() {
        return Err(Exit::usage(format!("{} is there already", options.file.display()), "name a new file"));
    }
    let store = options.gateway.open().await?;
    store.backup(&options.file).await.map_err(Exit::failed)?;
    store.close().await;
    program::say(format_args!("backup {}", options.file.display()));
    Ok(())
}

/// Puts a backup in the database's place.
///
/// # Errors
/// When a gateway runs, or the file is none.
pub async fn restore(options: &RestoreOptions) -> Result<(), Exit> {
    let database = options.gateway.file()?;
    store::restore(&database, &options.file).await.map_err(|error| {
        Exit::usage(error, "stop the gateway first, and name a file that starling-gateway backup has written")
    })?;
    program::say(format_args!("restored {}", database.display()));
    Ok(())
}

/// Takes another master key.
///
/// # Errors
/// When either key cannot be read, or the database does not answer; run it again then.
pub async fn rotate_master(options: &RotateOptions) -> Result<(), Exit> {
    let new = MasterKey::load_or_create(&options.new)?;
    let store = options.gateway.open().await?;
    let keys = store.rotate_master(&new).await.map_err(Exit::failed)?;
    store.close().await;
    program::say(format_args!("wrapped {keys}"));
    tracing::info!("start every gateway of this database with --master-key and the new file; then delete the old one");
    Ok(())
}
