//! The twin in this process: all there is without a Redis, and what goes on while one is away. Bounded; who asks for
//! more pushes out what is full first.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::gcra::{self, Rate, Taken};

/// Buckets, about 150 bytes each.
const MAX_BUCKETS: usize = 20_000;

pub(super) struct Local {
    began: Instant,
    /// When each bucket will be full, in microseconds since the beginning.
    buckets: Mutex<HashMap<String, u64>>,
}

impl Default for Local {
    fn default() -> Self {
        Self { began: Instant::now(), buckets: Mutex::default() }
    }
}

impl Local {
    pub(super) fn change(&self, bucket: &str, rate: Rate, cost: i64) -> Taken {
        let now = gcra::micros(self.began.elapsed());
        let mut buckets = lock(&self.buckets);
        let (allowed, full_at) = gcra::step(buckets.get(bucket).copied().unwrap_or_default(), now, rate, cost);
        if buckets.len() >= MAX_BUCKETS {
            make_room(&mut buckets, now);
        }
        buckets.insert(bucket.to_owned(), full_at);
        gcra::taken(allowed, full_at.saturating_sub(now), rate, cost)
    }
}

/// What is full again goes; else what will be first.
fn make_room(buckets: &mut HashMap<String, u64>, now: u64) {
    buckets.retain(|_, full_at| *full_at > now);
    if buckets.len() >= MAX_BUCKETS
        && let Some(first) = buckets.iter().min_by_key(|(_, full_at)| **full_at).map(|(name, _)| name.clone())
    {
        buckets.remove(&first);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under the lock cannot leave a map half changed: each use is one insert or remove.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded_and_full_buckets_go_first() {
        let local = Local::default();
        let rate = Rate { burst: 1, refill: Duration::from_secs(60) };
        assert!(local.change("a", rate, 1).allowed);
        assert!(!local.change("a", rate, 1).allowed);
        for number in 0..MAX_BUCKETS + 10 {
            local.change(&number.to_string(), rate, 1);
        }
        assert_eq!(lock(&local.buckets).len(), MAX_BUCKETS);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(local.change("a", rate, 1).allowed);
        assert_eq!(lock(&local.buckets).len(), 1);
    }
}
