//! Keys that take the place of others, while gateways run: a user's own, and the master key. What is killed in the middle
//! has lost nothing, and goes on when it is called again.

use std::time::Duration;

use sqlx::Row;

use super::{
    Lock, Store, StoreError,
    keyring::{Master, REMEMBERED_FOR, TAKEN_FOR, know},
    repeat, rows,
};
use crate::{clock::Timestamp, id::UserId, master::MasterKey, vault::Place};

/// How long a key that was replaced stays: longer than any gateway may still seal with it.
const RETIRED_FOR: Duration = Duration::from_secs(6 * REMEMBERED_FOR.as_secs());
/// Keys that are wrapped anew in one transaction.
const BATCH: i64 = 100;

impl Store {
    /// Gives a user a new key and seals everything with it. Others go on reading and writing meanwhile; killed, it goes
    /// on when it is called again. Keys that nothing is sealed with any more are destroyed.
    pub async fn rotate_key(&self, user: UserId) -> Result<(), StoreError> {
        let last = self.sealing_keys(user).await?.generation();
        repeat(|| self.add_key(user, last)).await?;
        self.keyring.forget(user);
        // Who does not know the key yet could not read what is sealed with it.
        tokio::time::sleep(2 * TAKEN_FOR).await;
        self.reseal(user).await?;
        let newest = self.keys_of(user).await?.generation();
        let replaced = Timestamp::now().before(RETIRED_FOR);
        let sql =
            "SELECT generation FROM data_keys WHERE user_id = ? AND created_at < ? ORDER BY generation DESC LIMIT 1";
        let in_use: Option<i64> =
            sqlx::query_scalar(sql).bind(user.to_string()).bind(replaced.0).fetch_optional(&self.readers).await?;
        // What one is older than has been replaced for so long that no gateway seals with it.
        let before = in_use.unwrap_or(0).min(i64::from(newest));
        let delete = sqlx::query("DELETE FROM data_keys WHERE user_id = ? AND generation < ?");
        delete.bind(user.to_string()).bind(before).execute(&self.writer).await?;
        self.keyring.forget(user);
        Ok(())
    }

    /// Wraps every key by another master key; how many it were. Gateways may run: from the first moment on either master
    /// key opens everything. Killed, it goes on when it is called again.
    pub async fn rotate_master(&self, new: &MasterKey) -> Result<u64, StoreError> {
        let new = Master::of(new);
        let mut write = self.write().await?;
        write.lock(Lock::Users).await?;
        let own = &self.keyring.own;
        for (one, by) in [(&new, &new), (&new, own), (own, &new)] {
            know(&mut write, one, by).await?;
        }
        write.commit().await?;
        self.keyring.take(&new);
        let mut done = 0;
        loop {
            match repeat(|| self.wrap_some(&new)).await? {
                0 => return Ok(done),
                more => done += more,
            }
        }
    }

    async fn wrap_some(&self, new: &Master) -> Result<u64, StoreError> {
        let mut write = self.write().await?;
        write.lock(Lock::Users).await?;
        let sql = "SELECT user_id, generation, master, wrapped FROM data_keys WHERE master <> ? LIMIT ?";
        let rows = sqlx::query(sql).bind(&new.id).bind(BATCH).fetch_all(&mut *write).await?;
        for row in &rows {
            let (owner, generation): (&str, i64) = (row.try_get("user_id")?, row.try_get("generation")?);
            let number = generation.to_string();
            let place = Place { table: "data_keys", row: &number, owner };
            let by = self.keyring.master(row.try_get("master")?).ok_or_else(|| rows::unreadable("master"))?;
            let key = by.key.unwrap(row.try_get("wrapped")?, place).map_err(|_| rows::unreadable("wrapped"))?;
            sqlx::query("UPDATE data_keys SET master = ?, wrapped = ? WHERE user_id = ? AND generation = ?")
                .bind(&new.id)
                .bind(key.wrapped_by(&new.key, place))
                .bind(owner)
                .bind(generation)
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }

    /// Forgets the master keys that ours has replaced, when nothing is wrapped by them any more.
    pub(super) async fn retire_masters(&self) -> Result<(), StoreError> {
        let own = &self.keyring.own.id;
        if self.keyring.newest().id != *own {
            return Ok(());
        }
        let mut write = self.write().await?;
        write.lock(Lock::Users).await?;
        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM data_keys WHERE master <> ?")
            .bind(own)
            .fetch_one(&mut *write)
            .await?;
        if left == 0 {
            let delete = sqlx::query("DELETE FROM master_keys WHERE id <> ? OR known_by <> ?");
            delete.bind(own).bind(own).execute(&mut *write).await?;
        }
        Ok(write.commit().await?)
    }
}
