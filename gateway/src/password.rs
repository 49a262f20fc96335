//! Passwords, hashed with argon2id. Those of imported users may be bcrypt, until their first sign-in.
//!
//! One hash costs tens of milliseconds of a core on purpose. It runs on the blocking pool, two at a
//! time, so that a crowd at the door does not slow down answers.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use starling_protocol::message::Private;
use thiserror::Error;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::secret::random;

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
    memory: Arc<Mutex<Vec<Memory>>>,
    hashes: Arc<AtomicU64>,
}

/// What a hash is computed in: of the size of [`MEMORY_KIB`] after the first. It is kept for the next one, because
/// what an allocator is given back on many threads it keeps on each.
#[derive(Default)]
struct Memory(Vec<Block>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
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
            memory: Arc::default(),
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
        self.work(move |memory| hash(&password, memory)).await
    }

    /// What the password is beside this hash; without one it is wrong, after the same time.
    ///
    /// # Errors
    /// When too many wait, or the hash cannot be read.
    pub async fn verify(&self, password: Private, hash: Option<String>) -> Result<Verdict, PasswordError> {
        self.work(move |memory| match hash {
            Some(hash) => verify(&password, &hash, memory),
            None => verify(&password, NOBODYS, memory).map(|_| Verdict::Wrong),
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
        hash: impl FnOnce(&mut Memory) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.queue.try_acquire().map_err(|_| PasswordError::Busy)?;
        let core = Arc::clone(&self.cores).acquire_owned().await.expect("the semaphore is never closed");
        self.hashes.fetch_add(1, Ordering::Relaxed);
        let kept = Arc::clone(&self.memory);
        // The permit goes along: a caller who leaves does not make room for one more hash.
        let work = spawn_blocking(move || {
            let _core = core;
            let mut memory = kept.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            let hashed = hash(&mut memory);
            // One of an imported hash that asks for more is not kept.
            if memory.0.capacity() <= MEMORY_KIB as usize {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            }
            hashed
        });
        work.await.map_err(broken)?
    }
}

fn hash(password: &Private, memory: &mut Memory) -> Result<String, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(broken)?;
    let written = ParamsString::try_from(&params).map_err(broken)?;
    let salt = Salt::new(&random::<{ Salt::RECOMMENDED_LENGTH }>()).map_err(broken)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: written,
        salt: Some(salt),
        hash: Some(output(password, &salt, Algorithm::Argon2id, Version::V0x13, params, memory)?),
    };
    Ok(hash.to_string())
}

fn verify(password: &Private, hash: &str, memory: &mut Memory) -> Result<Verdict, PasswordError> {
    if is_bcrypt(hash) {
        return verify_bcrypt(password, hash, memory);
    }
    let hash = PasswordHash::new(hash).map_err(broken)?;
    let (Some(salt), Some(stored)) = (hash.salt, hash.hash) else { return Err(broken("without a salt or an end")) };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(broken)?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).map_err(broken)?;
    let params = Params::try_from(&hash).map_err(broken)?;
    // Compared in constant time.
    let fits = output(password, &salt, algorithm, version, params, memory)? == stored;
    Ok(if fits { Verdict::Right } else { Verdict::Wrong })
}

fn output(
    password: &Private,
    salt: &Salt,
    algorithm: Algorithm,
    version: Version,
    params: Params,
    memory: &mut Memory,
) -> Result<Output, PasswordError> {
    memory.0.resize(params.block_count(), Block::default());
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut buffer = [0; Output::MAX_LENGTH];
    let out = buffer.get_mut(..length).ok_or_else(|| broken("its end is too long"))?;
    let argon2 = Argon2::new(algorithm, version, params);
    argon2.hash_password_into_with_memory(password.0.as_bytes(), salt, out, &mut memory.0).map_err(broken)?;
    Output::new(out).map_err(broken)
}

/// The kinds there are: `$2y$` is PHP's name for `$2b$`, and `$2a$` the same for passwords of less than 256 bytes.
fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind))
}

fn verify_bcrypt(password: &Private, hash: &str, memory: &mut Memory) -> Result<Verdict, PasswordError> {
    let cost = hash.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    if cost.is_none_or(|cost| cost > MAX_BCRYPT_COST) {
        return Err(PasswordError::Broken(format!("bcrypt with a cost over {MAX_BCRYPT_COST}")));
    }
    match bcrypt::verify(password.0.as_bytes(), hash).map_err(broken)? {
        true => self::hash(password, memory).map(Verdict::RightButOld),
        false => Ok(Verdict::Wrong),
    }
}

fn broken(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Broken(error.to_string())
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
        let real = hash(&private("x"), &mut Memory::default()).unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(nobodys.params, real.params);
        assert_eq!(nobodys.hash.unwrap().len(), real.hash.unwrap().len());
    }

    /// Of another program: the same function, another salt, another cost.
    #[test]
    fn what_another_program_has_hashed_is_read() {
        let hash = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$";
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, Some(24)).unwrap());
        let mut end = [0; 24];
        argon2.hash_password_into(b"correct horse", b"somesalt", &mut end).unwrap();
        let hash = format!("{hash}{}", Output::new(&end).unwrap());
        let mut memory = Memory::default();
        assert_eq!(verify(&private("correct horse"), &hash, &mut memory).unwrap(), Verdict::Right);
        assert_eq!(verify(&private("wrong horse"), &hash, &mut memory).unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn what_hashes_are_computed_in_is_used_again() {
        let passwords = Passwords::default();
        let all: Vec<_> = (0..6).map(|_| passwords.hash(private("x"))).collect();
        assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
        let kept = passwords.memory.lock().unwrap();
        assert!((1..=CONCURRENT).contains(&kept.len()), "{}", kept.len());
        assert!(kept.iter().all(|memory| memory.0.len() == MEMORY_KIB as usize));
    }

    #[tokio::test]
    async fn a_crowd_is_sent_away() {
        let passwords = Passwords::default();
        let _all = passwords.queue.acquire_many(130).await.unwrap();
        assert!(matches!(passwords.hash(private("x")).await, Err(PasswordError::Busy)));
    }
}
