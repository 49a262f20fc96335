//! The twin in this process: all there is without a Redis, and what goes on while one is away. Bounded; who asks for
//! more pushes out what expires first.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::gcra::{self, Rate, Taken};

/// Buckets, about 150 bytes each.
const MAX_BUCKETS: usize = 20_000;
/// Values of at most 64 KiB; a few hundred bytes in fact.
const MAX_VALUES: usize = 2_000;

pub(super) struct Local {
    began: Instant,
    /// When each bucket will be full, in microseconds since the beginning.
    buckets: Mutex<HashMap<String, u64>>,
    values: Mutex<HashMap<String, (Instant, Vec<u8>)>>,
}

impl Default for Local {
    fn default() -> Self {
        Self { began: Instant::now(), buckets: Mutex::default(), values: Mutex::default() }
    }
}

impl Local {
    pub(super) fn change(&self, bucket: &str, rate: Rate, cost: i64) -> Taken {
        let now = gcra::micros(self.began.elapsed());
        let mut buckets = lock(&self.buckets);
        let (allowed, full_at) = gcra::step(buckets.get(bucket).copied().unwrap_or_default(), now, rate, cost);
        if buckets.len() >= MAX_BUCKETS {
            make_room(&mut buckets, MAX_BUCKETS, |full_at| *full_at > now, |full_at| *full_at);
        }
        buckets.insert(bucket.to_owned(), full_at);
        gcra::taken(allowed, full_at.saturating_sub(now), rate, cost)
    }

    pub(super) fn put(&self, name: &str, value: &[u8], lifetime: Duration) {
        let now = Instant::now();
        let mut values = lock(&self.values);
        if values.len() >= MAX_VALUES {
            make_room(&mut values, MAX_VALUES, |(until, _)| *until > now, |(until, _)| *until);
        }
        values.insert(name.to_owned(), (now + lifetime, value.to_vec()));
    }

    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        let values = lock(&self.values);
        values.get(name).filter(|(until, _)| *until > Instant::now()).map(|(_, value)| value.clone())
    }
}

/// What has expired goes; else what expires first.
fn make_room<V, E: Ord>(map: &mut HashMap<String, V>, most: usize, lives: impl Fn(&V) -> bool, ends: impl Fn(&V) -> E) {
    map.retain(|_, value| lives(value));
    if map.len() >= most
        && let Some(first) = map.iter().min_by_key(|(_, value)| ends(value)).map(|(name, _)| name.clone())
    {
        map.remove(&first);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under the lock cannot leave a map half changed: each use is one insert or remove.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_expires_and_is_bounded() {
        let local = Local::default();
        let rate = Rate { burst: 1, refill: Duration::from_secs(60) };
        assert!(local.change("a", rate, 1).allowed);
        assert!(!local.change("a", rate, 1).allowed);
        local.put("v", b"value", Duration::from_secs(5));
        assert_eq!(local.get("v").as_deref(), Some(&b"value"[..]));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(local.get("v"), None);
        for number in 0..MAX_BUCKETS + 10 {
            local.change(&number.to_string(), rate, 1);
        }
        for number in 0..MAX_VALUES + 10 {
            local.put(&number.to_string(), b"", rate.refill);
        }
        assert_eq!((lock(&local.buckets).len(), lock(&local.values).len()), (MAX_BUCKETS, MAX_VALUES));
    }
}
