//! How often somebody may try: token buckets, without a clock of their own.
//!
//! The number of buckets is bounded; the one that was used longest ago makes room. One who owns
//! enough addresses to push his own buckets out has, by that, as many tries as addresses anyway.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// About 100 bytes each.
const MAX_BUCKETS: usize = 10_000;

/// So many at once, and one more after each span.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Tries that a full bucket holds.
    pub burst: u32,
    /// The time until one try comes back.
    pub refill: Duration,
}

/// The buckets of one kind of try.
#[derive(Debug)]
pub struct Limiter<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
}

/// A bucket is stored as the time at which it will be full again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Instant,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// No bucket yet, which is the same as full ones.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new() }
    }

    /// Takes a try, or says how long there will be none.
    ///
    /// # Errors
    /// The time until the next try.
    pub fn take(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        self.take_many(key, 1, now)
    }

    /// Takes several tries, or none of them.
    ///
    /// # Errors
    /// The time until there are so many; where there never will be, the time that so many take.
    pub fn take_many(&mut self, key: K, tries: u32, now: Instant) -> Result<(), Duration> {
        let Rate { burst, refill } = self.rate;
        let full_at = self.full_at(&key, now);
        let after = full_at + refill * tries;
        let most = now + refill * burst;
        if after > most {
            return Err(after - most);
        }
        self.make_room(now);
        self.buckets.insert(key, Bucket { full_at: after });
        Ok(())
    }

    /// How many tries are left, and the time until there are as many as there can be.
    #[must_use]
    pub fn left(&self, key: &K, now: Instant) -> (u32, Duration) {
        let Rate { burst, refill } = self.rate;
        let full_in = self.full_at(key, now) - now;
        let used = full_in.as_nanos().div_ceil(refill.as_nanos().max(1));
        (burst.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX)), full_in)
    }

    fn full_at(&self, key: &K, now: Instant) -> Instant {
        self.buckets.get(key).map_or(now, |bucket| bucket.full_at.max(now))
    }

    /// Gives a try back that turned out to be a good one.
    pub fn give_back(&mut self, key: &K) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.full_at -= self.rate.refill;
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.buckets.len() < MAX_BUCKETS {
            return;
        }
        self.buckets.retain(|_, bucket| bucket.full_at > now);
        if self.buckets.len() < MAX_BUCKETS {
            return;
        }
        let fullest = self.buckets.iter().min_by_key(|(_, bucket)| bucket.full_at).map(|(key, _)| key.clone());
        if let Some(key) = fullest {
            self.buckets.remove(&key);
        }
    }
}

/// What counts as one address: an IPv6 customer owns a whole /64.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill: Duration::from_secs(10) };

    #[test]
    fn a_bucket_empties_and_refills() {
        let (mut limiter, now) = (Limiter::new(RATE), Instant::now());
        for _ in 0..3 {
            assert_eq!(limiter.take("a", now), Ok(()));
        }
        assert_eq!(limiter.take("a", now), Err(Duration::from_secs(10)));
        assert_eq!(limiter.take("a", now + Duration::from_secs(9)), Err(Duration::from_secs(1)));
        assert_eq!(limiter.take("b", now), Ok(()), "others are not held up");
        assert_eq!(limiter.take("a", now + Duration::from_secs(10)), Ok(()));
        assert!(limiter.take("a", now + Duration::from_secs(10)).is_err());
    }

    #[test]
    fn what_is_left_is_known() {
        let (mut limiter, now) = (Limiter::new(RATE), Instant::now());
        assert_eq!(limiter.left(&"a", now), (3, Duration::ZERO));
        limiter.take_many("a", 2, now).unwrap();
        assert_eq!(limiter.left(&"a", now), (1, Duration::from_secs(20)));
        assert_eq!(limiter.left(&"a", now + Duration::from_secs(9)), (1, Duration::from_secs(11)));
        assert_eq!(limiter.left(&"a", now + Duration::from_secs(10)), (2, Duration::from_secs(10)));
        assert_eq!(limiter.take_many("a", 2, now), Err(Duration::from_secs(10)));
        assert_eq!(limiter.left(&"a", now), (1, Duration::from_secs(20)), "a refusal takes nothing");
        assert!(limiter.take_many("b", 4, now).is_err());
    }

    #[test]
    fn a_good_try_costs_nothing() {
        let (mut limiter, now) = (Limiter::new(RATE), Instant::now());
        for _ in 0..10 {
            assert_eq!(limiter.take("a", now), Ok(()));
            limiter.give_back(&"a");
        }
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let (mut limiter, now) = (Limiter::new(RATE), Instant::now());
        for key in 0..MAX_BUCKETS + 100 {
            limiter.take(key, now + Duration::from_millis(1)).unwrap();
        }
        assert_eq!(limiter.buckets.len(), MAX_BUCKETS);
        limiter.take(0, now + Duration::from_secs(60)).unwrap();
        assert_eq!(limiter.buckets.len(), 1, "full buckets are forgotten");
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
