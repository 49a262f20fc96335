//! How much each may ask for in a minute: rates by address, person and key, counted in this process, or for several
//! gateways at once where they share a Redis and it answers.
//!
//! [`Limits::take`] is all that the rest of the gateway knows of it.

mod rule;

use std::{net::IpAddr, time::Duration};

pub use rule::Rule;

use crate::{
    cache::Cache,
    id::{KeyId, UserId},
    limiter::network,
};

/// Whose requests are counted, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// All requests from a network.
    Address(IpAddr),
    /// All requests of a person.
    User(UserId),
    /// All requests with an API key.
    Key(KeyId),
    /// Sign-ins from a network, good and bad.
    SignIn(IpAddr),
    /// Accounts made from a network.
    SignUp(IpAddr),
}

/// The rules by kind of bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub address: Rule,
    pub user: Rule,
    pub key: Rule,
    pub sign_in: Rule,
    pub sign_up: Rule,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether the request may go on.
    pub allowed: bool,
    /// How many such requests are left just now.
    pub remaining: u32,
    /// When all of them will be there again; after a refusal, when the next one will be.
    pub reset: Duration,
    /// The rule that it was held against; none where there is no limit.
    pub rule: Option<Rule>,
    /// What is counted, in one word.
    pub name: &'static str,
}

/// The rules, and where it is counted.
pub struct Limits {
    rules: Rules,
    cache: Cache,
}

impl Default for Rules {
    /// Generous: a person with several windows, an office behind one address, a program that asks twenty times a second.
    fn default() -> Self {
        Self {
            address: Rule { per_minute: 6_000, burst: 1_500 },
            user: Rule { per_minute: 1_200, burst: 300 },
            key: Rule { per_minute: 1_200, burst: 300 },
            sign_in: Rule { per_minute: 30, burst: 60 },
            sign_up: Rule { per_minute: 2, burst: 10 },
        }
    }
}

impl Rules {
    /// No limits at all.
    pub const NONE: Self =
        Self { address: Rule::NONE, user: Rule::NONE, key: Rule::NONE, sign_in: Rule::NONE, sign_up: Rule::NONE };
}

impl Limits {
    /// Full buckets.
    #[must_use]
    pub fn new(rules: Rules, cache: Cache) -> Self {
        Self { rules, cache }
    }

    /// Takes so many requests out of a bucket, or none when there are not so many.
    pub async fn take(&self, bucket: Bucket, cost: u32) -> Taken {
        let (name, rule, whose) = match bucket {
            Bucket::Address(from) => ("address", self.rules.address, network(from).to_string()),
            Bucket::User(user) => ("user", self.rules.user, user.to_string()),
            Bucket::Key(key) => ("key", self.rules.key, key.to_string()),
            Bucket::SignIn(from) => ("sign-in", self.rules.sign_in, network(from).to_string()),
            Bucket::SignUp(from) => ("sign-up", self.rules.sign_up, network(from).to_string()),
        };
        if rule == Rule::NONE {
            return Taken { allowed: true, remaining: u32::MAX, reset: Duration::ZERO, rule: None, name };
        }
        let taken = self.cache.take(&format!("{name} {whose}"), rule.rate(), cost).await;
        let reset = if taken.allowed { taken.reset } else { taken.retry_after };
        Taken { allowed: taken.allowed, remaining: taken.remaining, reset, rule: Some(rule), name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_is_counted_alone_and_told_what_is_left() {
        let rule = Rule { per_minute: 60, burst: 2 };
        let limits = Limits::new(Rules { user: rule, ..Rules::NONE }, Cache::in_process());
        let (a, b) = (Bucket::User(UserId::generate()), Bucket::User(UserId::generate()));
        let first = limits.take(a, 1).await;
        assert_eq!((first.allowed, first.remaining, first.rule), (true, 1, Some(rule)));
        assert!(limits.take(a, 1).await.allowed);
        let refused = limits.take(a, 1).await;
        assert_eq!((refused.allowed, refused.remaining), (false, 0));
        assert!(refused.reset <= Duration::from_secs(1) && refused.reset > Duration::from_millis(900), "{refused:?}");
        assert!(!limits.take(b, 3).await.allowed, "more than the bucket holds");
        assert!(limits.take(b, 2).await.allowed);
        let free = limits.take(Bucket::SignIn(IpAddr::from([1, 2, 3, 4])), 1_000).await;
        assert_eq!((free.allowed, free.rule), (true, None));
    }

    #[tokio::test]
    async fn a_network_is_one() {
        let limits =
            Limits::new(Rules { address: Rule { per_minute: 1, burst: 1 }, ..Rules::NONE }, Cache::in_process());
        let from = |text: &str| Bucket::Address(text.parse().unwrap());
        assert!(limits.take(from("2001:db8::1"), 1).await.allowed);
        assert!(!limits.take(from("2001:db8::ffff:1"), 1).await.allowed);
        assert!(limits.take(from("2001:db8:0:1::1"), 1).await.allowed);
    }
}
