//! Where the Redis is. The address may hold a password, so it is shown nowhere.

use std::{convert::Infallible, fmt, str::FromStr};

use redis::Client;
use thiserror::Error;
use zeroize::Zeroizing;

/// The address of a Redis: `redis://[user:password@]host[:port][/number]`, or `rediss://` for TLS.
///
/// Parsing one never fails, so that a wrong one is in no message; [`check`](Self::check) says what is wrong.
#[derive(Clone)]
pub struct RedisUrl(Zeroizing<String>);

/// Why an address is none. Says nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the address of the Redis must be redis://HOST or rediss://HOST, with a port, a user and a password if needed")]
pub struct UrlError;

impl RedisUrl {
    /// Whether it can be an address.
    ///
    /// # Errors
    /// When it is none.
    pub fn check(&self) -> Result<(), UrlError> {
        self.client().map(drop)
    }

    /// Whether there is something in it that others must not read.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.0.contains('@')
    }

    /// Whether it can be read in this text.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        text.contains(self.0.as_str())
    }

    pub(super) fn client(&self) -> Result<Client, UrlError> {
        let known = ["redis://", "rediss://"].iter().any(|scheme| self.0.starts_with(scheme));
        if known { Client::open(self.0.as_str()).map_err(|_| UrlError) } else { Err(UrlError) }
    }
}

impl FromStr for RedisUrl {
    type Err = Infallible;

    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(url.trim().to_owned())))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_not_shown() {
        let url = |text: &str| text.parse::<RedisUrl>().unwrap();
        for good in ["redis://127.0.0.1", "redis://:secret@host:7000/2", "rediss://user:secret@host"] {
            assert_eq!(url(good).check(), Ok(()), "{good}");
        }
        for bad in ["", "host", "http://host", "unix:///run/redis", "redis://", "redis://host:x", "redis://:a@b:99999"]
        {
            assert_eq!(url(bad).check(), Err(UrlError), "{bad}");
        }
        let shown = format!("{:?} {}", url("redis://:secret@host"), UrlError);
        assert!(!shown.contains("secret"), "{shown}");
    }
}
