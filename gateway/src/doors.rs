//! How often somebody may knock: wrong passwords and set-up codes, counted by all gateways of a database together where
//! they share a Redis.

use std::{net::IpAddr, time::Duration};

use crate::{
    cache::{Cache, Rate},
    limiter::network,
};

/// Wrong passwords for one name from one address: ten at once, then one each half minute.
const FOR_A_NAME: Rate = Rate { burst: 10, refill: Duration::from_secs(30) };
/// Wrong passwords for any name from one address; an office may share it.
const FROM_AN_ADDRESS: Rate = Rate { burst: 50, refill: Duration::from_secs(6) };
/// Wrong set-up codes from one address: three codes' worth at once.
const SETUP: Rate = Rate { burst: 30, refill: Duration::from_secs(10) };

/// The doors.
pub struct Doors {
    cache: Cache,
}

/// Too many tries; the time until the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed(pub Duration);

impl Doors {
    /// Nobody has knocked.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self { cache }
    }

    /// Counts a try to sign in as wrong, until [`was_good`](Self::was_good) says otherwise.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn sign_in(&self, from: IpAddr, name: &str) -> Result<(), Closed> {
        let from = network(from);
        self.take(&of_address(from), FROM_AN_ADDRESS).await?;
        self.take(&of_name(from, name), FOR_A_NAME).await
    }

    /// That try was a good one.
    pub async fn was_good(&self, from: IpAddr, name: &str) {
        let from = network(from);
        self.cache.give_back(&of_address(from), FROM_AN_ADDRESS, 1).await;
        self.cache.give_back(&of_name(from, name), FOR_A_NAME, 1).await;
    }

    /// Counts a try at the set-up code.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn setup(&self, from: IpAddr) -> Result<(), Closed> {
        self.take(&format!("setup {}", network(from)), SETUP).await
    }

    async fn take(&self, bucket: &str, rate: Rate) -> Result<(), Closed> {
        let taken = self.cache.take(bucket, rate, 1).await;
        if taken.allowed { Ok(()) } else { Err(Closed(taken.retry_after)) }
    }
}

fn of_address(from: IpAddr) -> String {
    format!("password {from}")
}

fn of_name(from: IpAddr, name: &str) -> String {
    format!("password {from} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wrong_tries_are_counted_and_good_ones_cost_nothing() {
        let (doors, from) = (Doors::new(Cache::in_process()), IpAddr::from([192, 0, 2, 1]));
        for _ in 0..30 {
            assert_eq!(doors.sign_in(from, "anna").await, Ok(()));
            doors.was_good(from, "anna").await;
        }
        for _ in 0..FOR_A_NAME.burst {
            assert_eq!(doors.sign_in(from, "anna").await, Ok(()));
        }
        let Err(Closed(wait)) = doors.sign_in(from, "anna").await else { panic!("one too many") };
        assert!(wait <= FOR_A_NAME.refill && wait > FOR_A_NAME.refill / 2, "{wait:?}");
        assert_eq!(doors.sign_in(from, "ben").await, Ok(()), "another name");
        assert_eq!(doors.sign_in(IpAddr::from([192, 0, 2, 2]), "anna").await, Ok(()), "another address");
        for _ in 0..SETUP.burst {
            assert_eq!(doors.setup(from).await, Ok(()));
        }
        assert!(doors.setup(from).await.is_err());
    }
}
