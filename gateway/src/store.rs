//! What must outlive the process, in SQLite or on a MySQL or MariaDB server. All the SQL there is lies in `store/`, once
//! for both: `database` and `pool` know which one it is, the other files do not.
//!
//! What both understand: `?` in order, no RETURNING, no ON CONFLICT, no comparison of rows, no INSERT … SELECT without a
//! table. What is counted before a write is locked first ([`Write::lock`](pool::Write)).

pub mod audit;
mod backup;
pub mod branches;
pub mod characters;
pub mod conversations;
mod database;
mod drained;
mod error;
pub mod export;
pub mod invitations;
pub mod invites;
mod keyring;
pub mod keys;
pub mod members;
pub mod memories;
pub mod messages;
pub mod owners;
pub mod people;
mod pool;
pub mod portable;
pub mod progress;
mod reseal;
mod rotate;
mod rows;
mod seal;
pub mod sessions;
pub mod tokens;
pub mod turns;
pub mod users;

use std::{io, sync::Arc, time::Duration};

use sqlx::{Any, any::AnyRow, migrate::Migrator};
use thiserror::Error;

use database::Dialect;
use keyring::Keyring;
use pool::{DbConnection, Lock, Pool, Write, repeat};

pub use backup::restore;
pub use database::{Database, DatabaseUrl};
pub use error::StoreError;
pub use keyring::Sealing;

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static MYSQL: Migrator = sqlx::migrate!("../migrations/mysql");
/// How long a gateway waits for another one that brings the same database up to date.
const MIGRATION_WAIT: Duration = Duration::from_secs(60);

/// What the store's functions are written for, named once.
type Db = Any;
type DbRow = AnyRow;

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    writer: Pool,
    readers: Pool,
    /// The gateway that writes: running answers are kept and ended by their owner only.
    owner: Arc<str>,
    keyring: Arc<Keyring>,
    /// Tokens that a person may use in a month, where nothing else is said of the person; 0 is no bound.
    tokens_per_month: u64,
}

/// Why there is no database.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder or the file cannot be made.
    #[error("cannot open the database {database}: {source}")]
    File {
        /// Which.
        database: Database,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refuses the file, or the server us.
    #[error("cannot open the database {database}: {source}")]
    Refused {
        /// Which.
        database: Database,
        /// What it said.
        source: sqlx::Error,
    },
    /// The tables are not what this program would have made.
    #[error("cannot bring the database {database} up to date: {source}")]
    Migrate {
        /// Which.
        database: Database,
        /// What is wrong.
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// The server would keep what belongs to something that was deleted.
    #[error("the database {database} is on a MySQL that leaves rows behind when what they belong to is deleted")]
    LeavesRows {
        /// Which.
        database: Database,
    },
    /// What people have said there is sealed, and not for this key.
    #[error("this is not the master key of the database")]
    OtherMasterKey,
    /// Which master key it has cannot be read.
    #[error("cannot read the keys in the database: {source}")]
    Keys {
        /// What it said.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File { database, .. } => {
                format!("check that {database} can be written, or choose another folder with --data")
            }
            Self::Refused { database: database @ Database::Sqlite(_), .. } => {
                format!("if {database} is not Starling's database, choose another folder with --data; otherwise restore it")
            }
            Self::Refused { database: Database::MySql(_), .. } => {
                "check that the server runs, and the host, name, password and database in STARLING_DATABASE; the database \
                 itself is made by you: CREATE DATABASE"
                    .to_owned()
            }
            Self::Migrate { .. } => {
                "a newer release has used this database: run that release, or restore a backup".to_owned()
            }
            Self::LeavesRows { .. } => "start it with innodb_native_foreign_keys=ON (in my.cnf, under [mysqld]), or use MariaDB: \
                                       what people delete must be gone"
                .to_owned(),
            Self::OtherMasterKey => "give the key that the database was used with to --master-key, or restore master.key; \
                                     without it nothing that was said can be read"
                .to_owned(),
            Self::Keys { .. } => "check that the database can be written, and try again".to_owned(),
        }
    }
}

impl Store {
    /// The database, made when it is a file that is not there, and brought up to date.
    ///
    /// # Errors
    /// See [`OpenError`]; each has a [`hint`](OpenError::hint).
    pub async fn open(database: &Database, sealing: &Sealing) -> Result<Self, OpenError> {
        if let Some(file) = database.file() {
            database::create(file).map_err(|source| OpenError::File { database: database.clone(), source })?;
        }
        let refused = |source| OpenError::Refused { database: database.clone(), source };
        let writer = database.writers().await.map_err(refused)?;
        if database::leaves_rows(&writer).await.map_err(refused)? {
            return Err(OpenError::LeavesRows { database: database.clone() });
        }
        migrate(&writer)
            .await
            .map_err(|source| OpenError::Migrate { database: database.clone(), source: Box::new(source) })?;
        let readers = database.readers().await.map_err(refused)?;
        let keyring = Arc::new(Keyring::new(sealing));
        let store = Self { writer, readers, owner: Arc::default(), keyring, tokens_per_month: 0 };
        store.check_master().await?;
        Ok(store)
    }

    /// Whether the database answers, on both sides.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        sqlx::query("SELECT 1").execute(&self.writer).await?;
        Ok(())
    }

    /// Lets go of the database; what waits for a connection fails.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that may write.
    async fn write(&self) -> Result<Write, StoreError> {
        Ok(self.writer.begin().await?)
    }
}

/// Brings the tables up to date; of two gateways that begin at once one waits.
async fn migrate(writer: &Pool) -> Result<(), sqlx::migrate::MigrateError> {
    let mut connection = writer.plain().await?;
    if writer.dialect() == Dialect::Sqlite {
        return SQLITE.run(&mut *connection).await;
    }
    let wait = i64::try_from(MIGRATION_WAIT.as_secs()).unwrap_or(i64::MAX);
    let lock = "SELECT GET_LOCK('starling migrations', ?)";
    let locked: Option<i64> = sqlx::query_scalar(lock).bind(wait).fetch_one(&mut *connection).await?;
    if locked != Some(1) {
        return Err(sqlx::Error::PoolTimedOut.into());
    }
    let done = MYSQL.run(&mut *connection).await;
    // The connection's end would do it too.
    let _ = sqlx::raw_sql("DO RELEASE_LOCK('starling migrations')").execute(&mut *connection).await;
    done
}

#[cfg(test)]
pub(crate) mod tests;
