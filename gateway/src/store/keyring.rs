//! The keys of all users: in the table `data_keys`, each wrapped by a key that comes from the master key; and those that
//! are in use, in memory for a while.
//!
//! A master key is known by an id that says nothing of it. `master_keys` shows whether a gateway was given the right one.
//! While one takes the place of another, each also wraps the other there: whoever has either can open everything.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::Row;

use super::{DbConnection, Lock, OpenError, Store, StoreError, Write, repeat, rows, seal::UserKeys};
use crate::{
    clock::Timestamp,
    id::UserId,
    master::MasterKey,
    vault::{Cipher, Key, Place},
};

/// Users whose keys are in memory at one time.
const REMEMBERED: usize = 4_096;
/// How long they are; wiped then, and read anew.
pub(super) const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// How long they are taken for all there are: a key that somebody else has added is seen after this.
pub(super) const TAKEN_FOR: Duration = Duration::from_secs(1);

/// How a store seals.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// What its keys come from.
    pub master: MasterKey,
    /// How new values are sealed.
    pub cipher: Cipher,
}

impl Sealing {
    /// With that master key, and the cipher that is used unless another is chosen.
    #[must_use]
    pub fn with(master: MasterKey) -> Self {
        Self { master, cipher: Cipher::default() }
    }
}

/// Owner of the keys in memory.
pub(super) struct Keyring {
    cipher: Cipher,
    pub(super) own: Master,
    state: Mutex<State>,
}

/// A key that wraps keys, and its id.
#[derive(Clone)]
pub(super) struct Master {
    pub(super) id: String,
    pub(super) key: Key,
}

#[derive(Default)]
struct State {
    /// The master keys that are known besides.
    others: Vec<Master>,
    /// The id of the one that came last, and wraps.
    newest: Option<String>,
    users: HashMap<UserId, Remembered>,
}

struct Remembered {
    keys: Arc<UserKeys>,
    since: Instant,
    /// When they were last all there are.
    seen: Instant,
}

impl Master {
    pub(super) fn of(master: &MasterKey) -> Self {
        let id = master.derive("master key id")[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { id, key: Key::new(master.derive("data keys")) }
    }

    fn place<'a>(&'a self, of: &'a str) -> Place<'a> {
        Place { table: "master_keys", row: of, owner: &self.id }
    }
}

impl Keyring {
    pub(super) fn new(sealing: &Sealing) -> Self {
        Self { cipher: sealing.cipher, own: Master::of(&sealing.master), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A user's keys, and whether they can be taken for all there are.
    fn remembered(&self, user: UserId) -> Option<(Arc<UserKeys>, bool)> {
        let state = self.state();
        let found = state.users.get(&user).filter(|found| found.since.elapsed() < REMEMBERED_FOR)?;
        Some((found.keys.clone(), found.seen.elapsed() < TAKEN_FOR))
    }

    /// They were all there are just now.
    fn seen(&self, user: UserId) {
        if let Some(found) = self.state().users.get_mut(&user) {
            found.seen = Instant::now();
        }
    }

    fn remember(&self, user: UserId, keys: &Arc<UserKeys>) {
        let mut state = self.state();
        if state.users.len() >= REMEMBERED {
            state.users.retain(|_, found| found.since.elapsed() < REMEMBERED_FOR);
        }
        if state.users.len() >= REMEMBERED {
            state.users.clear();
        }
        let now = Instant::now();
        state.users.insert(user, Remembered { keys: keys.clone(), since: now, seen: now });
    }

    /// Wipes a user's keys from memory, once nobody uses them any more.
    pub(super) fn forget(&self, user: UserId) {
        self.state().users.remove(&user);
    }

    /// The newest master key that we know.
    pub(super) fn newest(&self) -> Master {
        let id = self.state().newest.clone();
        id.and_then(|id| self.master(&id)).unwrap_or_else(|| self.own.clone())
    }

    pub(super) fn master(&self, id: &str) -> Option<Master> {
        if id == self.own.id {
            return Some(self.own.clone());
        }
        self.state().others.iter().find(|other| other.id == id).cloned()
    }

    /// From now on that one wraps.
    pub(super) fn take(&self, new: &Master) {
        let mut state = self.state();
        state.newest = Some(new.id.clone());
        state.others.push(new.clone());
    }

    /// Learns the other master keys that ours opens; an error when ours is not one of this database's.
    async fn meet(&self, write: &mut DbConnection) -> Result<(), Meet> {
        let rows = sqlx::query("SELECT id, known_by, wrapped FROM master_keys ORDER BY created_at, id");
        let rows = rows.fetch_all(write).await?;
        let (mut others, mut newest) = (vec![], None);
        let mut ours = rows.is_empty();
        for row in rows {
            let (id, known_by): (String, String) = (row.try_get("id")?, row.try_get("known_by")?);
            if id == known_by {
                newest = Some(id.clone());
            }
            if known_by != self.own.id {
                continue;
            }
            let key = self.own.key.unwrap(row.try_get("wrapped")?, self.own.place(&id)).map_err(|_| Meet::Stranger)?;
            if id == self.own.id {
                ours = true;
            } else {
                others.push(Master { id, key });
            }
        }
        // One that a gateway was started without again is still known to those that run.
        if !others.is_empty() {
            self.state().others = others;
        }
        self.state().newest = newest;
        if ours { Ok(()) } else { Err(Meet::Stranger) }
    }
}

/// Why a master key is not this database's.
enum Meet {
    Stranger,
    Store(sqlx::Error),
}

impl From<sqlx::Error> for Meet {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

impl Store {
    /// Whether the master key is this database's; of a new database it becomes that.
    pub(super) async fn check_master(&self) -> Result<(), OpenError> {
        match self.introduce().await {
            Ok(()) => Ok(()),
            Err(Meet::Stranger) => Err(OpenError::OtherMasterKey),
            Err(Meet::Store(source)) => Err(OpenError::Keys { source }),
        }
    }

    async fn introduce(&self) -> Result<(), Meet> {
        let mut write = self.writer.begin().await?;
        write.lock(Lock::Users).await?;
        self.keyring.meet(&mut write).await?;
        let own = &self.keyring.own;
        know(&mut write, own, own).await?;
        Ok(write.commit().await?)
    }

    /// What seals a user's words, and opens them; made when it is not there. Never while a transaction is open: there is
    /// one connection that writes to SQLite.
    pub(super) async fn sealing_keys(&self, user: UserId) -> Result<Arc<UserKeys>, StoreError> {
        let keys = self.keys_of(user).await?;
        if keys.generation() > 0 {
            return Ok(keys);
        }
        repeat(|| self.add_key(user, 0)).await?;
        self.keys_of(user).await
    }

    /// What opens a user's words: nothing where nothing was ever sealed.
    pub(super) async fn keys_of(&self, user: UserId) -> Result<Arc<UserKeys>, StoreError> {
        match self.keyring.remembered(user) {
            Some((keys, true)) => return Ok(keys),
            Some((keys, false)) if self.newest_generation(user).await? == keys.generation() => {
                self.keyring.seen(user);
                return Ok(keys);
            }
            _ => {}
        }
        let sql = "SELECT generation, master, wrapped FROM data_keys WHERE user_id = ? ORDER BY generation";
        let rows = sqlx::query(sql).bind(user.to_string()).fetch_all(&self.readers).await?;
        self.unwrapped(user, &rows).await
    }

    async fn newest_generation(&self, user: UserId) -> Result<u32, StoreError> {
        let sql = "SELECT COALESCE(MAX(generation), 0) AS newest FROM data_keys WHERE user_id = ?";
        let row = sqlx::query(sql).bind(user.to_string()).fetch_one(&self.readers).await?;
        Ok(rows::number(&row, "newest")?)
    }

    async fn unwrapped(&self, user: UserId, rows: &[super::DbRow]) -> Result<Arc<UserKeys>, StoreError> {
        let owner = user.to_string();
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let generation: u32 = rows::number(row, "generation")?;
            let master: &str = row.try_get("master")?;
            let master = match self.keyring.master(master) {
                Some(known) => known,
                None => self.met(master).await?,
            };
            let place = Place { table: "data_keys", row: &generation.to_string(), owner: &owner };
            let key = master.key.unwrap(row.try_get("wrapped")?, place).map_err(|_| rows::unreadable("wrapped"))?;
            keys.push((generation, key));
        }
        let keys = Arc::new(UserKeys::new(owner, self.keyring.cipher, keys));
        if keys.generation() > 0 {
            self.keyring.remember(user, &keys);
        }
        Ok(keys)
    }

    /// A master key that has come since we looked.
    async fn met(&self, id: &str) -> Result<Master, StoreError> {
        let mut write = self.write().await?;
        if let Err(Meet::Store(error)) = self.keyring.meet(&mut write).await {
            return Err(error.into());
        }
        self.keyring.master(id).ok_or_else(|| rows::unreadable("master").into())
    }

    /// A key for a user behind those up to `last`, if nobody else has made it: from now on it seals. Nothing when the user
    /// is gone.
    pub(super) async fn add_key(&self, user: UserId, last: u32) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        // Nobody wraps by an old master key behind the back of one who replaces it.
        write.lock(Lock::Users).await?;
        write.lock_user(user).await?;
        let known = self.keyring.meet(&mut write).await;
        if let Err(Meet::Store(error)) = known {
            return Err(error.into());
        }
        add(&mut write, user, i64::from(last), &self.keyring.newest()).await?;
        Ok(write.commit().await?)
    }
}

/// Whoever has `by` knows `one`.
pub(super) async fn know(write: &mut Write, one: &Master, by: &Master) -> Result<(), sqlx::Error> {
    let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM master_keys WHERE id = ? AND known_by = ?")
        .bind(&one.id)
        .bind(&by.id)
        .fetch_one(&mut **write)
        .await?;
    if there > 0 {
        return Ok(());
    }
    sqlx::query("INSERT INTO master_keys (id, known_by, wrapped, created_at) VALUES (?, ?, ?, ?)")
        .bind(&one.id)
        .bind(&by.id)
        .bind(one.key.wrapped_by(&by.key, by.place(&one.id)))
        .bind(Timestamp::now().0)
        .execute(&mut **write)
        .await
        .map(drop)
}

async fn add(write: &mut Write, user: UserId, last: i64, master: &Master) -> Result<(), sqlx::Error> {
    let owner = user.to_string();
    let there = "SELECT COUNT(*) FROM users WHERE id = ?";
    let there: i64 = sqlx::query_scalar(there).bind(&owner).fetch_one(&mut **write).await?;
    let newer = "SELECT COUNT(*) FROM data_keys WHERE user_id = ? AND generation > ?";
    let newer: i64 = sqlx::query_scalar(newer).bind(&owner).bind(last).fetch_one(&mut **write).await?;
    if there == 0 || newer > 0 {
        return Ok(());
    }
    let generation = (last + 1).to_string();
    let place = Place { table: "data_keys", row: &generation, owner: &owner };
    sqlx::query(
        "INSERT INTO data_keys (user_id, generation, master, wrapped, created_at, all_sealed) VALUES (?, ?, ?, ?, ?, 0)",
    )
    .bind(&owner)
    .bind(last + 1)
    .bind(&master.id)
    .bind(Key::generate().wrapped_by(&master.key, place))
    .bind(Timestamp::now().0)
    .execute(&mut **write)
    .await
    .map(drop)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", self.own.id)
    }
}
