//! Passwords, hashed with argon2id. Those of imported users may be bcrypt, until their first sign-in.
//!
//! One hash costs tens of milliseconds of a core on purpose. It runs on the blocking pool, two at a
//! time, so that a crowd at the door does not slow down answers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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
/// Rounds of bcrypt, as a power of two: 14 take about a second, and a hash that asks for more would hold a core for
/// whoever has brought it here.
const MAX_BCRYPT_COST: u32 = 14;
/// What the password of a user who does not exist is compared with, so that it takes as long.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RhcmxpbmctZHVtbXktMQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE";

/// Hashes passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    queue: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    hashes: Arc<AtomicU64>,
}

/// What a password is, beside the hash that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another one.
    Wrong,
    /// The one that was hashed.
    Right,
    /// That one, and its hash is of a kind that is not made any more: here is one that is.
    RightButOld(String),
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
        Self {
            queue: Arc::new(Semaphore::new(MAX_WAITING + CONCURRENT)),
            cores: Arc::new(Semaphore::new(CONCURRENT)),
            hashes: Arc::default(),
        }
    }
}

impl Passwords {
    /// A hash to store.
    ///
    /// # Errors
    /// When too many wait, or the hash function fails.
    pub async fn hash(&self, password: Private) -> Result<String, PasswordError> {
        self.work(move || hash(&password)).await
    }

    /// What the password is beside this hash; without one it is wrong, after the same time.
    ///
    /// # Errors
    /// When too many wait, or the hash cannot be read.
    pub async fn verify(&self, password: Private, hash: Option<String>) -> Result<Verdict, PasswordError> {
        self.work(move || match hash {
            Some(hash) => verify(&password, &hash),
            None => verify(&password, NOBODYS).map(|_| Verdict::Wrong),
        })
        .await
    }

    /// How often something was hashed: what takes the time, for tests that must not look at a clock.
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    async fn work<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.queue.try_acquire().map_err(|_| PasswordError::Busy)?;
        let core = Arc::clone(&self.cores).acquire_owned().await.expect("the semaphore is never closed");
        self.hashes.fetch_add(1, Ordering::Relaxed);
        // The permit goes along: a caller who leaves does not make room for one more hash.
        let work = spawn_blocking(move || {
            let _core = core;
            hash()
        });
        work.await.map_err(broken)?
    }
}

fn hash(password: &Private) -> Result<String, PasswordError> {
    argon2()?.hash_password(password.0.as_bytes()).map(|hash| hash.to_string()).map_err(broken)
}

fn verify(password: &Private, hash: &str) -> Result<Verdict, PasswordError> {
    if is_bcrypt(hash) {
        return verify_bcrypt(password, hash);
    }
    let hash = PasswordHash::new(hash).map_err(broken)?;
    let fits = argon2()?.verify_password(password.0.as_bytes(), &hash).is_ok();
    Ok(if fits { Verdict::Right } else { Verdict::Wrong })
}

/// The kinds there are: `$2y$` is PHP's name for `$2b$`, and `$2a$` the same for passwords of less than 256 bytes.
fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind))
}

fn verify_bcrypt(password: &Private, hash: &str) -> Result<Verdict, PasswordError> {
    let cost = hash.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    if cost.is_none_or(|cost| cost > MAX_BCRYPT_COST) {
        return Err(PasswordError::Broken(format!("bcrypt with a cost over {MAX_BCRYPT_COST}")));
    }
    match bcrypt::verify(password.0.as_bytes(), hash).map_err(broken)? {
        true => self::hash(password).map(Verdict::RightButOld),
        false => Ok(Verdict::Wrong),
    }
}

fn broken(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Broken(error.to_string())
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(broken)?;
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
        let right = passwords.verify(private("correct horse"), Some(hash.clone())).await.unwrap();
        assert_eq!(right, Verdict::Right);
        assert_eq!(passwords.verify(private("wrong horse"), Some(hash)).await.unwrap(), Verdict::Wrong);
        assert_eq!(passwords.verify(private("correct horse"), None).await.unwrap(), Verdict::Wrong);
        assert_eq!(passwords.verify(private("0123456789012345678901"), None).await.unwrap(), Verdict::Wrong);
        assert!(passwords.verify(private("x"), Some("garbage".into())).await.is_err());
    }

    #[tokio::test]
    async fn bcrypt_is_read_and_replaced() {
        let passwords = Passwords::default();
        let old = bcrypt::hash("correct horse", 4).unwrap();
        for kind in ["$2a$", "$2b$", "$2y$"] {
            let hash = format!("{kind}{}", &old[4..]);
            let Verdict::RightButOld(new) =
                passwords.verify(private("correct horse"), Some(hash.clone())).await.unwrap()
            else {
                panic!("{kind}")
            };
            assert_eq!(passwords.verify(private("correct horse"), Some(new)).await.unwrap(), Verdict::Right);
            assert_eq!(passwords.verify(private("wrong horse"), Some(hash)).await.unwrap(), Verdict::Wrong);
        }
        for bad in ["$2b$15$", "$2b$99$", "$2b$", "$2b$04$short"] {
            let hash = format!("{bad}{}", if bad.ends_with("$") { &old[7..] } else { "" });
            assert!(passwords.verify(private("correct horse"), Some(hash)).await.is_err(), "{bad}");
        }
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
