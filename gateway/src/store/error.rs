//! What can go wrong with the database, as a caller sees it.

use thiserror::Error;

/// SQLite's primary result codes (sqlite.org/rescode.html).
const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;

/// Why a read or a write did not happen. Nothing was changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else holds the lock, or every connection is taken.
    #[error("the database is busy: {0}")]
    Busy(#[source] sqlx::Error),
    /// No room is left.
    #[error("the disk is full: {0}")]
    Full(#[source] sqlx::Error),
    /// The file cannot be read or written now.
    #[error("the database cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// There is such a thing already.
    #[error("already there")]
    Conflict,
    /// The rows are not what this program writes, or the query is wrong: a bug or a damaged file.
    #[error("the database: {0}")]
    Broken(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else {
            return match error {
                sqlx::Error::PoolTimedOut => Self::Busy(error),
                sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
                _ => Self::Broken(error),
            };
        };
        if database.is_unique_violation() {
            return Self::Conflict;
        }
        let extended = database.code().and_then(|code| code.parse::<i32>().ok());
        match extended.map(|code| code & 0xff) {
            Some(BUSY | LOCKED) => Self::Busy(error),
            Some(FULL) => Self::Full(error),
            Some(PERM | READONLY | IOERR | CANTOPEN) => Self::Unavailable(error),
            _ => Self::Broken(error),
        }
    }
}
