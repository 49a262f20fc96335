//! Which connections have gone silent: a state machine without clock or socket.
//!
//! libp2p's ping only reports, and keeps a first failure to itself. TCP notices a cut after many
//! minutes. So a connection whose peer has answered no ping for a while is closed here, and the redial
//! finds another way.
//!
//! A machine that has no time for us for a while has none for the answers either. That is no silence: if it
//! were taken for one, an overloaded gateway would lose all of its nodes, and their return would be one more load.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::swarm::ConnectionId;

/// Between two pings on a connection.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// How long an answer may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(4);

/// Between two looks no more than this goes by, unless we have been away.
const AWAY: Duration = Duration::from_secs(1);

/// When each connection was last heard of.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    heard: HashMap<ConnectionId, Instant>,
    looked: Option<Instant>,
}

impl Pulse {
    /// The connection is new, or its peer has answered.
    pub(super) fn heard(&mut self, connection: ConnectionId, now: Instant) {
        self.heard.insert(connection, now);
    }

    /// The connection is closed, or its peer does not speak ping.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.heard.remove(&connection);
    }

    /// The connections that have been silent for too long. Each is named once.
    pub(super) fn silent(&mut self, now: Instant) -> Vec<ConnectionId> {
        let since = self.looked.replace(now).map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        if since > AWAY {
            self.heard.values_mut().for_each(|heard| *heard = (*heard + since).min(now));
        }
        let silent = |_: &ConnectionId, heard: &mut Instant| now >= *heard + INTERVAL + TIMEOUT;
        self.heard.extract_if(silent).map(|(connection, _)| connection).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_ends_a_connection_and_only_once() {
        let (mut pulse, now) = (Pulse::default(), Instant::now());
        let [silent, alive, mute] = [1, 2, 3].map(ConnectionId::new_unchecked);
        [silent, alive, mute].into_iter().for_each(|connection| pulse.heard(connection, now));
        pulse.forget(mute);
        pulse.heard(alive, now + INTERVAL);
        let mut look = |from: Duration, to: Duration| -> Vec<_> {
            let looks =
                (from.as_secs()..=to.as_secs()).flat_map(|second| pulse.silent(now + Duration::from_secs(second)));
            looks.collect()
        };
        assert_eq!(look(Duration::ZERO, INTERVAL + TIMEOUT - Duration::from_secs(1)), vec![]);
        assert_eq!(look(INTERVAL + TIMEOUT, INTERVAL + TIMEOUT), vec![silent]);
        assert_eq!(look(INTERVAL + TIMEOUT, INTERVAL + TIMEOUT), vec![]);
    }

    #[test]
    fn when_we_were_away_nobody_was_silent() {
        let (mut pulse, now, connection) = (Pulse::default(), Instant::now(), ConnectionId::new_unchecked(1));
        pulse.heard(connection, now);
        assert_eq!(pulse.silent(now), vec![]);
        let back = now + (INTERVAL + TIMEOUT) * 4;
        assert_eq!(pulse.silent(back), vec![]);
        let seconds = (INTERVAL + TIMEOUT).as_secs();
        let mut looks = (1..=seconds).map(|second| pulse.silent(back + Duration::from_secs(second)));
        assert!(looks.by_ref().take(seconds as usize - 1).all(|silent| silent.is_empty()));
        assert_eq!(looks.next(), Some(vec![connection]), "and then it counts");
    }
}
