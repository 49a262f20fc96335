//! Whether the new program serves: what it says of itself, until a minute is over.

use std::time::{Duration, Instant};

/// How long a new program gets; models may have to be loaded first.
const LIMIT: Duration = Duration::from_secs(60);

/// The wait for one version.
pub(super) struct Trial {
    version: String,
    until: Instant,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is there.
    Serves,
    /// Another version is, to the end.
    Other(String),
    /// Nobody is.
    Silent,
}

impl Trial {
    /// Begins now.
    pub(super) fn new(version: String, now: Instant) -> Self {
        Self { version, until: now + LIMIT }
    }

    /// Takes note of which version answers; the verdict, once there is one. The old program may answer while it ends.
    pub(super) fn look(&mut self, seen: Option<&str>, now: Instant) -> Option<Verdict> {
        match seen {
            Some(seen) if seen == self.version => Some(Verdict::Serves),
            _ if now < self.until => None,
            Some(other) => Some(Verdict::Other(other.to_owned())),
            None => Some(Verdict::Silent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_a_minute_for_the_new_one_alone() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut trial = Trial::new("1.2.3".to_owned(), start);
        assert_eq!(trial.look(Some("1.2.2"), at(0)), None, "the old one ends");
        assert_eq!(trial.look(None, at(59)), None);
        assert_eq!(trial.look(Some("1.2.3"), at(59)), Some(Verdict::Serves));
        assert_eq!(trial.look(None, at(60)), Some(Verdict::Silent));
        assert_eq!(trial.look(Some("1.2.2"), at(60)), Some(Verdict::Other("1.2.2".to_owned())));
    }
}
