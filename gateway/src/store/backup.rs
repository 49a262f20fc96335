//! A SQLite database into a file and back. A server has its own tools for that.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use thiserror::Error;

use super::{Store, StoreError, database};

/// Why a backup was not put in the database's place. It is as it was.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// Another process has the database open.
    #[error("a gateway runs on {0}")]
    Running(PathBuf),
    /// It is not a whole SQLite database that this program has made.
    #[error("{0} is not a backup of a gateway")]
    NoBackup(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Store {
    /// Writes all there is, as it is at one moment, into a new file that only its owner can read. Nobody waits for it.
    ///
    /// # Errors
    /// When the file is there and not empty, or the disk is full.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let path = to.to_str().ok_or_else(|| sqlx::Error::Configuration("its path is not Unicode".into()))?;
        database::create(to).map_err(sqlx::Error::Io)?;
        let mut connection = self.readers.plain().await?;
        sqlx::query("VACUUM INTO ?").bind(path).execute(&mut *connection).await?;
        let file = fs::File::open(to).map_err(sqlx::Error::Io)?;
        Ok(file.sync_all().map_err(sqlx::Error::Io)?)
    }
}

/// Puts a backup in the database's place; what was there lies beside it, with `.before-restore` behind its name.
///
/// # Errors
/// See [`RestoreError`].
pub async fn restore(database: &Path, backup: &Path) -> Result<(), RestoreError> {
    let no_backup = || RestoreError::NoBackup(backup.into());
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::File { path, source }
    };
    is_whole(backup).await.map_err(|_| no_backup())?;
    if database.exists() {
        is_alone(database).await.map_err(|_| RestoreError::Running(database.into()))?;
    }
    let beside = |end: &str| PathBuf::from(format!("{}.{end}", database.display()));
    let (new, old) = (beside("restoring"), beside("before-restore"));
    let _ = fs::remove_file(&new);
    database::create(&new).map_err(file(&new))?;
    let mut from = fs::File::open(backup).map_err(file(backup))?;
    let mut to = fs::OpenOptions::new().write(true).open(&new).map_err(file(&new))?;
    io::copy(&mut from, &mut to).and_then(|_| to.sync_all()).map_err(file(&new))?;
    if database.exists() {
        fs::rename(database, &old).map_err(file(&old))?;
    }
    fs::rename(&new, database).map_err(file(database))
}

async fn is_whole(backup: &Path) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(backup).read_only(true).connect().await?;
    let said: String = sqlx::query_scalar("PRAGMA quick_check").fetch_one(&mut connection).await?;
    let ours = "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('users', 'messages', '_sqlx_migrations')";
    let tables: i64 = sqlx::query_scalar(ours).fetch_one(&mut connection).await?;
    connection.close().await?;
    if said == "ok" && tables == 3 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// SQLite changes the kind of its log only for one who has the database alone; and what is in the log is in the file
/// then.
async fn is_alone(database: &Path) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(database).journal_mode(SqliteJournalMode::Delete);
    let connection: SqliteConnection = options.connect().await?;
    connection.close().await
}
