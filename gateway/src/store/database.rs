//! Which database there is, and how connections to it are set up.
//!
//! SQLite: one connection writes and a few read. It has one writer anyway, and waiting for our own connection is fair
//! and cheap where waiting for its lock is neither. MySQL and MariaDB: as many write as read, and rows are locked.

use std::{
    fmt::{self, Write as _},
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    AnyConnection, Connection, Executor, Row,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use starling_protocol::owner_only;
use zeroize::Zeroizing;

use super::pool::Pool;

/// Readers beside each other; with SQLite, more than the machine has cores for would only queue elsewhere.
const READERS: u32 = 4;
/// Connections of each of the two pools to a server: two gateways stay well below MariaDB's default of 151.
const TO_SERVER: u32 = 16;
/// How long a request waits for a connection; then it is told to come again. Less than a statement may take, so that
/// "busy" and "does not answer" are told apart.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a connection that comes back may take to show that it works.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// What every connection to SQLite begins with. `busy_timeout` is how many milliseconds it waits for another process (a
/// backup, an operator's shell) to let go of its lock. `synchronous` FULL: what was acknowledged survives a power cut,
/// not only a crash of this process. It costs a disk flush for each write, 4 ms instead of 0.02 on the machine this was
/// tried on; there are two writes for an answer that takes seconds.
const SQLITE: &str = "PRAGMA busy_timeout = 3000; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL";
/// What is deleted is overwritten: it may be what an earlier release has left in the clear.
const SQLITE_WRITER: &str = "PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON";
/// What every connection to a server begins with. READ COMMITTED: each statement sees what is there, so that what was
/// counted behind a lock is right; nothing here reads one thing twice in a transaction. Who waits for a row longer than
/// seconds is told to come again. Strict: what does not fit is an error and never cut.
const MYSQL: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION innodb_lock_wait_timeout = 3; \
                     SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')";

/// Where the data is. Shows no password.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// In this file.
    Sqlite(PathBuf),
    /// On a MySQL or MariaDB server.
    MySql(DatabaseUrl),
}

/// `mysql://user:password@host/database`. Shows neither name nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Zeroizing<String>);

/// What differs between the two in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    MySql,
}

impl FromStr for DatabaseUrl {
    type Err = &'static str;

    /// The reason never holds what was given: it may be a password.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let rest = url.strip_prefix("mysql://").or_else(|| url.strip_prefix("mariadb://"));
        let named = rest.and_then(|rest| rest.split(['?', '#']).next()?.rsplit_once('/'));
        match named {
            Some((host, name)) if !host.is_empty() && !name.is_empty() => {
                AnyConnectOptions::from_str(url).map_err(|_| "the database's URL cannot be read")?;
                Ok(Self(Zeroizing::new(url.to_owned())))
            }
            _ => Err("the database is not of the form mysql://user:password@host/database"),
        }
    }
}

impl DatabaseUrl {
    /// Host and database.
    fn place(&self) -> &str {
        let url = self.0.split(['?', '#']).next().unwrap_or_default();
        url.rsplit_once('@').or_else(|| url.split_once("//")).map_or("", |(_, place)| place)
    }

    /// Whether there is a password in it.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let who = self.0.rsplit_once('@').and_then(|(who, _)| who.split_once("//"));
        who.is_some_and(|(_, who)| who.contains(':'))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mysql://{}", self.place())
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::MySql(url) => write!(f, "{url:?}"),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&Path> for Database {
    fn from(path: &Path) -> Self {
        Self::Sqlite(path.into())
    }
}

impl Database {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::MySql(_) => None,
        }
    }

    /// Connections that may write.
    pub(super) async fn writers(&self) -> Result<Pool, sqlx::Error> {
        let count = if self.file().is_some() { 1 } else { TO_SERVER };
        self.connect(count, "rw", SQLITE_WRITER).await
    }

    /// Connections that only read.
    pub(super) async fn readers(&self) -> Result<Pool, sqlx::Error> {
        let count = if self.file().is_some() { READERS } else { TO_SERVER };
        self.connect(count, "ro", "").await
    }

    async fn connect(&self, connections: u32, mode: &str, first: &'static str) -> Result<Pool, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let dialect = self.dialect();
        let options = match self {
            Self::Sqlite(path) => sqlite_url(path, mode)?.parse()?,
            Self::MySql(url) => AnyConnectOptions::from_str(&url.0)?,
        };
        let pool = options_of(dialect, connections)
            .after_connect(move |connection, _| Box::pin(begin(connection, dialect, first)))
            // A full disk makes SQLite end a transaction by itself, of which sqlx learns nothing: on such a connection no
            // other can begin. The ping waits for a rollback that is under way.
            .after_release(|connection, _| {
                Box::pin(async move {
                    let alive = tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await;
                    Ok(matches!(alive, Ok(Ok(()))) && !connection.is_in_transaction())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Pool::new(pool, dialect))
    }
}

/// Whether the server keeps rows of which it should let go. MySQL follows foreign keys by itself since 9.6, and where a row
/// hangs on two others that go together it stops half-way, without an error (seen with 9.7.4). InnoDB does it right,
/// as it does in MySQL 8 and in MariaDB, which do not know the variable.
pub(super) async fn leaves_rows(pool: &Pool) -> Result<bool, sqlx::Error> {
    if pool.dialect() == Dialect::Sqlite {
        return Ok(false);
    }
    let row = sqlx::query("SHOW VARIABLES LIKE 'innodb_native_foreign_keys'").fetch_optional(pool).await?;
    row.map_or(Ok(false), |row| row.try_get::<String, _>(1).map(|value| value.eq_ignore_ascii_case("OFF")))
}

fn options_of(dialect: Dialect, connections: u32) -> AnyPoolOptions {
    let options = AnyPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
    match dialect {
        // A connection to a file does not go stale: it is kept, and not tested before each use.
        Dialect::Sqlite => options.idle_timeout(None).max_lifetime(None).test_before_acquire(false),
        // One to a server that was started again does.
        Dialect::MySql => options.test_before_acquire(true),
    }
}

async fn begin(connection: &mut AnyConnection, dialect: Dialect, first: &'static str) -> Result<(), sqlx::Error> {
    let settings = if dialect == Dialect::Sqlite { SQLITE } else { MYSQL };
    connection.execute(sqlx::raw_sql(settings)).await?;
    if dialect == Dialect::Sqlite && !first.is_empty() {
        connection.execute(sqlx::raw_sql(first)).await?;
    }
    Ok(())
}

/// A path may hold what means something in a URL.
fn sqlite_url(path: &Path, mode: &str) -> Result<String, sqlx::Error> {
    let path = path.to_str().ok_or_else(|| sqlx::Error::Configuration("its path is not Unicode".into()))?;
    let mut url = "sqlite:".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    Ok(format!("{url}?mode={mode}"))
}

/// The file is its owner's alone from its first byte. SQLite gives its side files the same mode; on Windows they have the
/// rights of their folder.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    owner_only::ensure(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_database_and_its_password_is_never_shown() {
        sqlx::any::install_default_drivers();
        let url: DatabaseUrl = "mysql://me:pa@ss@db.example:3306/chat?ssl-mode=REQUIRED".parse().unwrap();
        assert!(url.has_password());
        assert_eq!(
            format!("{url:?} {:?}", Database::MySql(url.clone())),
            "mysql://db.example:3306/chat ".repeat(2).trim()
        );
        assert!(!"mariadb://me@localhost/chat".parse::<DatabaseUrl>().unwrap().has_password());
        assert_eq!(format!("{:?}", "mysql://localhost/chat".parse::<DatabaseUrl>().unwrap()), "mysql://localhost/chat");
        for bad in
            ["", "sqlite:x", "postgres://secret@h/x", "mysql://secret@h", "mysql://secret@h/", "mysql://:99999999/x"]
        {
            let reason = bad.parse::<DatabaseUrl>().unwrap_err();
            assert!(!reason.contains("secret"), "{bad}: {reason}");
        }
    }

    #[test]
    fn a_path_may_hold_anything() {
        assert_eq!(
            sqlite_url(Path::new(r"C:\a b\100%?#.db"), "ro").unwrap(),
            "sqlite:C%3A%5Ca%20b%5C100%25%3F%23.db?mode=ro"
        );
    }
}
