//! Connections, each use of which has a deadline: a server that was stopped still accepts connections, and then says
//! nothing. Each is tested when it comes back (`database`): one that still says nothing then is closed.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
    time::Duration,
};

use futures::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyPool, Describe, Either, Execute, Executor, SqlStr, Transaction,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
};
use tokio::time::timeout;

use super::{StoreError, database::Dialect, error};
use crate::id::UserId;

/// How long one statement may take, which touches a bounded number of rows; or the beginning of a transaction with the
/// wait for a connection.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

type Step = Either<AnyQueryResult, AnyRow>;

/// Some connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    connections: AnyPool,
    dialect: Dialect,
}

/// One of them, inside of a transaction.
pub(super) struct DbConnection(Transaction<'static, Any>);

/// A transaction that may write. What is not committed is rolled back.
#[derive(Debug)]
pub(super) struct Write {
    connection: DbConnection,
    dialect: Dialect,
}

async fn in_time<T>(action: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into());
    timeout(STATEMENT_TIMEOUT, action).await.unwrap_or_else(late)
}

impl Pool {
    pub(super) fn new(connections: AnyPool, dialect: Dialect) -> Self {
        Self { connections, dialect }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A transaction. It takes SQLite's lock at once: one that reads first and asks for the lock later can fail with
    /// "busy" where waiting would not help.
    pub(super) async fn begin(&self) -> Result<Write, sqlx::Error> {
        let statement = match self.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::MySql => "BEGIN",
        };
        let connection = DbConnection(in_time(self.connections.begin_with(statement)).await?);
        Ok(Write { connection, dialect: self.dialect })
    }

    /// A connection without a deadline, for what takes as long as it takes: steps from release to release.
    pub(super) async fn plain(&self) -> Result<PoolConnection<Any>, sqlx::Error> {
        self.connections.acquire().await
    }

    /// Empties SQLite's log.
    pub(super) async fn checkpoint(&self) -> Result<(), sqlx::Error> {
        if self.dialect == Dialect::Sqlite {
            let mut connection = self.plain().await?;
            sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await?;
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    async fn run<'q>(&self, query: impl Execute<'q, Any> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        let mut connection = self.connections.acquire().await?;
        in_time(connection.fetch_many(query).try_collect()).await
    }
}

impl DbConnection {
    async fn run<'q>(&mut self, query: impl Execute<'q, Any> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        in_time(self.0.fetch_many(query).try_collect()).await
    }
}

impl Write {
    /// Makes it last. Where the answer to that is lost on the way from a server it may have been done all the same.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        in_time(self.connection.0.commit()).await
    }

    /// Holds up other transactions that lock the same user until this one ends: what is counted then stays true. SQLite
    /// has one writer, which holds up all others anyway.
    pub(super) async fn lock_user(&mut self, user: UserId) -> Result<(), sqlx::Error> {
        self.lock_row("SELECT id FROM users WHERE id = ? FOR UPDATE", &user.to_string()).await
    }

    /// The same for all users, or all invites.
    pub(super) async fn lock(&mut self, lock: Lock) -> Result<(), sqlx::Error> {
        let name = match lock {
            Lock::Users => "users",
            Lock::Invites => "invites",
        };
        self.lock_row("SELECT name FROM locks WHERE name = ? FOR UPDATE", name).await
    }

    async fn lock_row(&mut self, sql: &'static str, key: &str) -> Result<(), sqlx::Error> {
        if self.dialect == Dialect::MySql {
            sqlx::query(sql).bind(key).fetch_optional(&mut **self).await?;
        }
        Ok(())
    }
}

/// What a transaction counts before it writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lock {
    Users,
    Invites,
}

impl Deref for Write {
    type Target = DbConnection;

    fn deref(&self) -> &DbConnection {
        &self.connection
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut DbConnection {
        &mut self.connection
    }
}

impl fmt::Debug for DbConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DbConnection")
    }
}

/// Rows come all at once: every query here bounds how many there are.
fn steps<'e>(
    all: impl Future<Output = Result<Vec<Step>, sqlx::Error>> + Send + 'e,
) -> BoxStream<'e, Result<Step, sqlx::Error>> {
    stream::once(all).map_ok(|all| stream::iter(all).map(Ok)).try_flatten().boxed()
}

fn first_row(steps: Vec<Step>) -> Option<AnyRow> {
    steps.into_iter().find_map(Either::right)
}

impl<'c> Executor<'c> for &'c mut DbConnection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        steps(self.run(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move { self.run(query).await.map(first_row) })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.0.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.0.describe(sql)
    }
}

impl<'c> Executor<'c> for &'c Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        steps(self.run(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move { self.run(query).await.map(first_row) })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        (&self.connections).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, sqlx::Error>>
    where
        'c: 'e,
    {
        (&self.connections).describe(sql)
    }
}

/// Times that a transaction is tried in all.
const TRIES: u32 = 4;

/// Repeats a transaction that the database has ended for the sake of another one; it has done nothing then.
pub(super) async fn repeat<T, F>(mut transaction: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 1;
    loop {
        match transaction().await {
            Err(StoreError::Busy(error)) if error::is_deadlock(&error) && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}
