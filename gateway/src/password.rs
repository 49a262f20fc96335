//! Passwords, hashed with argon2id.
//!
//! One hash costs tens of milliseconds of a core on purpose. It runs on the blocking pool, two at a
//! time, so that a crowd at the door does not slow down answers.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use starling_protocol::message::Private;
use thiserror::Error;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// OWASP's smallest recommended setting: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes at once.
const CONCURRENT: usize = 2;
/// Hashes that may wait; with 50 ms each, two at a time, the last one waits for about three seconds.
const MAX_WAITING: usize = 128;
/// What the password of a user who does not exist is compared with, so that it takes as long.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RhcmxpbmctZHVtbXktMQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE";

/// Hashes passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    queue: Arc<Semaphore>,
    cores: Arc<Semaphore>,
}

/// Why a password was not hashed.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// Too many people are at the door.
    #[error("too many sign-ins at once")]
    Busy,
    /// A stored hash cannot be read, or the hash function failed: a bug or a damaged database.
    #[error("password hash: {0}")]
    Broken(String),
}

impl Default for Passwords {
    fn default() -> Self {
        Self { queue: Arc::new(Semaphore::new(MAX_WAITING + CONCURRENT)), cores: Arc::new(Semaphore::new(CONCURRENT)) }
    }
}

impl Passwords {
    /// A hash to store.
    pub async fn hash(&self, password: Private) -> Result<String, PasswordError> {
        self.work(move || match argon2()?.hash_password(password.0.as_bytes()) {
            Ok(hash) => Ok(hash.to_string()),
            Err(error) => Err(PasswordError::Broken(error.to_string())),
        })
        .await
    }

    /// Whether the password is the one that was hashed; without a hash it is not, after the same time.
    pub async fn verify(&self, password: Private, hash: Option<String>) -> Result<bool, PasswordError> {
        self.work(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
            let hash = PasswordHash::new(&hash).map_err(|error| PasswordError::Broken(error.to_string()))?;
            let fits = argon2()?.verify_password(password.0.as_bytes(), &hash).is_ok();
            Ok(known && fits)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.queue.try_acquire().map_err(|_| PasswordError::Busy)?;
        let core = Arc::clone(&self.cores).acquire_owned().await.expect("the semaphore is never closed");
        // The permit goes along: a caller who leaves does not make room for one more hash.
        let work = spawn_blocking(move || {
            let _core = core;
            hash()
        });
        work.await.map_err(|error| PasswordError::Broken(error.to_string()))?
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|error| PasswordError::Broken(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(text: &str) -> Private {
        Private(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_same_password_fits() {
        let passwords = Passwords::default();
        let hash = passwords.hash(private("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify(private("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(private("wrong horse"), Some(hash)).await.unwrap());
        assert!(!passwords.verify(private("correct horse"), None).await.unwrap());
        assert!(passwords.verify(private("x"), Some("garbage".into())).await.is_err());
    }

    #[test]
    fn nobodys_hash_costs_what_others_cost() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let real = argon2().unwrap().hash_password(b"x").unwrap();
        assert_eq!(nobodys.params, real.params);
        assert_eq!(nobodys.hash.unwrap().len(), real.hash.unwrap().len());
    }

    #[tokio::test]
    async fn a_crowd_is_sent_away() {
        let passwords = Passwords::default();
        let _all = passwords.queue.acquire_many(130).await.unwrap();
        assert!(matches!(passwords.hash(private("x")).await, Err(PasswordError::Busy)));
    }
}
