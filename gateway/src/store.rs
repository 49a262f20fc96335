//! What must outlive the process, in SQLite. All the SQL there is lies in `store/`.
//!
//! One connection writes and a few read: SQLite has one writer anyway, and waiting for our own
//! connection is fair and cheap where waiting for its lock is neither.

pub mod audit;
pub mod branches;
pub mod characters;
pub mod conversations;
mod drained;
mod error;
pub mod invites;
pub mod keys;
pub mod members;
pub mod messages;
pub mod portable;
pub mod progress;
mod rows;
pub mod sessions;
pub mod turns;
pub mod users;

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Connection, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use thiserror::Error;

pub use error::StoreError;

/// Readers beside each other; more than the machine has cores for would only queue elsewhere.
const READERS: u32 = 4;
/// How long SQLite waits for another process (a backup, an operator's shell) to let go of its lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request waits for a connection; then it is told to come again.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/sqlite");

/// What the store's functions are written for, named once. They keep to what SQLite and MySQL both understand: `?` in
/// order, no RETURNING.
type Db = Sqlite;
type DbRow = SqliteRow;
type DbConnection = SqliteConnection;
/// A transaction that may write.
type Write = Transaction<'static, Db>;

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// Why there is no database.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder or the file cannot be made.
    #[error("cannot open the database {path}: {source}")]
    File {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refuses the file.
    #[error("cannot open the database {path}: {source}")]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The file is not what this program would have made.
    #[error("cannot bring the database {path} up to date: {source}")]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// What is wrong.
        source: Box<sqlx::migrate::MigrateError>,
    },
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File { path, .. } => {
                format!("check that {} can be written, or choose another folder with --data", path.display())
            }
            Self::Sqlite { path, .. } => {
                format!(
                    "if {} is not Starling's database, choose another folder with --data; otherwise restore it",
                    path.display()
                )
            }
            Self::Migrate { .. } => {
                "a newer release has used this database: run that release, or restore a backup".to_owned()
            }
        }
    }
}

impl Store {
    /// The database in the file at `path`, made when it is not there and brought up to date.
    ///
    /// # Errors
    /// See [`OpenError`]; each has a [`hint`](OpenError::hint).
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        create(path).map_err(|source| OpenError::File { path: path.into(), source })?;
        let sqlite = |source| OpenError::Sqlite { path: path.into(), source };
        let writer = pool(1).connect_with(options(path)).await.map_err(sqlite)?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|source| OpenError::Migrate { path: path.into(), source: Box::new(source) })?;
        let readers = pool(READERS).connect_with(options(path).read_only(true)).await.map_err(sqlite)?;
        Ok(Self { writer, readers })
    }

    /// Whether the database answers, on both sides.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        sqlx::query("SELECT 1").execute(&self.writer).await?;
        Ok(())
    }

    /// Lets go of the file; what waits for a connection fails.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that may write. It takes SQLite's lock at once: one that reads first and asks
    /// for the lock later can fail with "busy" where waiting would not help.
    async fn write(&self) -> Result<Write, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// The file is its owner's alone from its first byte; SQLite gives its side files the same mode.
fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL: what was acknowledged survives a power cut, not only a crash of this process. It costs
        // a disk flush for each write, 4 ms instead of 0.02 on the machine this was tried on; there
        // are two writes for an answer that takes seconds.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection to a file does not go stale: it is kept, and not tested before each use.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // A full disk makes SQLite end a transaction by itself, of which sqlx learns nothing: on such a connection no
        // other can begin. The ping waits for a rollback that is under way.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

#[cfg(test)]
pub(crate) mod tests;
