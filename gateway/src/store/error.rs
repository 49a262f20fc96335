//! What can go wrong with the database, as a caller sees it.

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};
use thiserror::Error;

use super::tokens::Exhausted;

/// Why a read or a write did not happen. Nothing was changed, but for one case: where the word that a transaction is
/// done was lost on the way from a server.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else holds the lock, or every connection is taken.
    #[error("the database is busy: {0}")]
    Busy(#[source] sqlx::Error),
    /// No room is left.
    #[error("the disk is full: {0}")]
    Full(#[source] sqlx::Error),
    /// The file cannot be read or written now, or the server does not answer.
    #[error("the database cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// There is such a thing already.
    #[error("already there")]
    Conflict,
    /// The tokens of this month are used up, or held for answers that run.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// The rows are not what this program writes, or the query is wrong: a bug or a damaged file.
    #[error("the database: {0}")]
    Broken(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let kind = match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => return Self::Conflict,
            sqlx::Error::Database(database) => match database.try_downcast_ref::<MySqlDatabaseError>() {
                Some(mysql) => of_mysql(mysql),
                None => of_sqlite(&**database),
            },
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable,
            _ => Self::Broken,
        };
        kind(error)
    }
}

type Kind = fn(sqlx::Error) -> StoreError;

/// By SQLite's primary result codes (sqlite.org/rescode.html).
fn of_sqlite(error: &dyn DatabaseError) -> Kind {
    const PERM: i32 = 3;
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    let extended = error.code().and_then(|code| code.parse::<i32>().ok());
    match extended.map(|code| code & 0xff) {
        Some(BUSY | LOCKED) => StoreError::Busy,
        Some(FULL) => StoreError::Full,
        Some(PERM | READONLY | IOERR | CANTOPEN) => StoreError::Unavailable,
        _ => StoreError::Broken,
    }
}

/// Another transaction was in the way for too long, or each of two was in the other's.
const LOCK_WAIT_TIMEOUT: u16 = 1205;
const DEADLOCK: u16 = 1213;

/// By the numbers of MySQL and MariaDB (mariadb.com/kb/en/mariadb-error-code-reference).
fn of_mysql(error: &MySqlDatabaseError) -> Kind {
    const DISK_FULL: u16 = 1021;
    const TABLE_FULL: u16 = 1114;
    match error.number() {
        DISK_FULL | TABLE_FULL => StoreError::Full,
        // 28 is ENOSPC, in the words of "error writing file" and "got error from storage engine".
        _ if error.message().contains("rrno: 28 ") || error.message().contains("error 28 ") => StoreError::Full,
        // Too many connections, all in all or of one user; a statement that was ended because it took too long.
        LOCK_WAIT_TIMEOUT | DEADLOCK | 1040 | 1203 | 1226 | 1317 | 1969 | 3024 => StoreError::Busy,
        // It stops, was killed, is read-only, cannot read or write its files, or does not let us in any more.
        1026 | 1030 | 1044 | 1045 | 1049 | 1053 | 1152..=1161 | 1180 | 1290 | 1792 | 1836 | 1927 | 4166 => {
            StoreError::Unavailable
        }
        _ => StoreError::Broken,
    }
}

/// Whether the database has ended a transaction for the sake of another one, which has done nothing then.
pub(super) fn is_deadlock(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    let number = database.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    matches!(number, Some(DEADLOCK | LOCK_WAIT_TIMEOUT))
}
