//! How often somebody may knock: the limiters of sign-in and set-up, with the clock.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::limiter::{Limiter, Rate, network};

/// Wrong passwords for one name from one address: ten at once, then one each half minute.
const FOR_A_NAME: Rate = Rate { burst: 10, refill: Duration::from_secs(30) };
/// Wrong passwords for any name from one address; an office may share it.
const FROM_AN_ADDRESS: Rate = Rate { burst: 50, refill: Duration::from_secs(6) };
/// Wrong set-up codes from one address: three codes' worth at once.
const SETUP: Rate = Rate { burst: 30, refill: Duration::from_secs(10) };

/// The limiters. Each lock is held for a look and never while anything is awaited.
#[derive(Debug)]
pub struct Doors {
    names: Mutex<Limiter<(IpAddr, String)>>,
    addresses: Mutex<Limiter<IpAddr>>,
    setup: Mutex<Limiter<IpAddr>>,
}

/// Too many tries; the time until the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed(pub Duration);

impl Default for Doors {
    fn default() -> Self {
        Self {
            names: Mutex::new(Limiter::new(FOR_A_NAME)),
            addresses: Mutex::new(Limiter::new(FROM_AN_ADDRESS)),
            setup: Mutex::new(Limiter::new(SETUP)),
        }
    }
}

impl Doors {
    /// Counts a try to sign in as wrong, until [`was_good`](Self::was_good) says otherwise.
    ///
    /// # Errors
    /// When there were too many.
    pub fn sign_in(&self, from: IpAddr, name: &str) -> Result<(), Closed> {
        let (from, now) = (network(from), Instant::now());
        with(&self.addresses, |limiter| limiter.take(from, now)).map_err(Closed)?;
        with(&self.names, |limiter| limiter.take((from, name.to_owned()), now)).map_err(Closed)
    }

    /// That try was a good one.
    pub fn was_good(&self, from: IpAddr, name: &str) {
        let from = network(from);
        with(&self.addresses, |limiter| limiter.give_back(&from));
        with(&self.names, |limiter| limiter.give_back(&(from, name.to_owned())));
    }

    /// Counts a try at the set-up code.
    ///
    /// # Errors
    /// When there were too many.
    pub fn setup(&self, from: IpAddr) -> Result<(), Closed> {
        with(&self.setup, |limiter| limiter.take(network(from), Instant::now())).map_err(Closed)
    }
}

fn with<L, T>(limiter: &Mutex<L>, look: impl FnOnce(&mut L) -> T) -> T {
    look(&mut limiter.lock().unwrap_or_else(PoisonError::into_inner))
}
