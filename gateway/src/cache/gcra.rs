//! Token buckets as the generic cell rate algorithm has them (ITU-T I.371): a bucket is one number, the time at which
//! it will be full again. Has no clock; times are microseconds.

use std::time::Duration;

pub use crate::limiter::Rate;

/// The same step as [`step`], where all gateways see it, by the clock of the Redis.
pub(super) const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local refill, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = math.max(full_at + refill * cost, now)
local allowed = 0
if cost <= 0 or after <= now + refill * burst then
    allowed = 1
    full_at = after
    redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
end
return {allowed, full_at - now}";

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether it may be made.
    pub allowed: bool,
    /// Tries that the bucket still holds.
    pub remaining: u32,
    /// Until the bucket is full again.
    pub reset: Duration,
    /// Until this try may be made; zero when it may now.
    pub retry_after: Duration,
}

/// Takes `cost` tries, or gives them back; and when the bucket will be full then.
pub(super) fn step(full_at: u64, now: u64, rate: Rate, cost: i64) -> (bool, u64) {
    let refill = micros(rate.refill);
    let full_at = full_at.max(now);
    let change = refill.saturating_mul(cost.unsigned_abs());
    if cost <= 0 {
        return (true, full_at.saturating_sub(change).max(now));
    }
    let after = full_at.saturating_add(change);
    let allowed = after <= now.saturating_add(refill.saturating_mul(u64::from(rate.burst)));
    (allowed, if allowed { after } else { full_at })
}

/// As a caller sees it; `full_in` is the time until the bucket is full.
pub(super) fn taken(allowed: bool, full_in: u64, rate: Rate, cost: i64) -> Taken {
    let refill = micros(rate.refill).max(1);
    let most = refill.saturating_mul(u64::from(rate.burst));
    let lacking = full_in.saturating_add(refill.saturating_mul(cost.unsigned_abs())).saturating_sub(most);
    Taken {
        allowed,
        remaining: u32::try_from(most.saturating_sub(full_in) / refill).unwrap_or(u32::MAX),
        reset: Duration::from_micros(full_in),
        retry_after: Duration::from_micros(if allowed { 0 } else { lacking }),
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill: Duration::from_secs(10) };
    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_bucket_empties_and_refills() {
        let (mut full_at, now) = (0, 100 * SECOND);
        for left in [2, 1, 0] {
            let (allowed, after) = step(full_at, now, RATE, 1);
            full_at = after;
            let seen = taken(allowed, full_at - now, RATE, 1);
            assert_eq!((seen.allowed, seen.remaining, seen.retry_after), (true, left, Duration::ZERO));
        }
        let (allowed, after) = step(full_at, now + 4 * SECOND, RATE, 1);
        assert_eq!((allowed, after), (false, full_at), "a refused try costs nothing");
        let seen = taken(allowed, after - now - 4 * SECOND, RATE, 1);
        assert_eq!(
            (seen.remaining, seen.retry_after, seen.reset),
            (0, Duration::from_secs(6), Duration::from_secs(26))
        );
        assert!(step(full_at, now + 10 * SECOND, RATE, 1).0);
        assert!(!step(full_at, now + 10 * SECOND, RATE, 2).0, "two cost more");
        assert!(!step(0, now, RATE, 4).0, "more than a bucket holds is never there");
        let (_, after) = step(full_at, now, RATE, -1);
        assert!(step(after, now, RATE, 1).0, "what was given back is there");
        assert_eq!(step(0, now, RATE, -9).1, now, "and no more than that");
    }
}
