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
        let Rate { burst, refill } = self.rate;
        let full_at = self.buckets.get(&key).map_or(now, |bucket| bucket.full_at.max(now));
        let (after, most) = (full_at + refill, now + refill * burst);
        if after > most {
            return Err(after - most);
        }
        self.make_room(now);
        self.buckets.insert(key, Bucket { full_at: after });
        Ok(())
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
