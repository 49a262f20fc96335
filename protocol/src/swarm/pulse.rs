//! Which connections have gone silent: a state machine without clock or socket.
//!
//! libp2p's ping only reports, and keeps a first failure to itself. TCP notices a cut after many
//! minutes. So a connection whose peer has answered no ping for a while is closed here, and the redial
//! finds another way.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::swarm::ConnectionId;

/// Between two pings on a connection.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// How long an answer may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// When each connection was last heard of.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    heard: HashMap<ConnectionId, Instant>,
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
        assert_eq!(pulse.silent(now + TIMEOUT), vec![]);
        assert_eq!(pulse.silent(now + INTERVAL + TIMEOUT), vec![silent]);
        assert_eq!(pulse.silent(now + INTERVAL + TIMEOUT), vec![]);
    }
}
