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

use super::Path;

/// Between two pings on a connection.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// How long an answer may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the first answer over a relay may take. Now and then a new circuit carries nothing: one end
/// takes it for open while the other still negotiates, for as long as ten seconds.
const FIRST_TIMEOUT: Duration = Duration::from_secs(4);

/// By when each connection has to be heard of.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    deadlines: HashMap<ConnectionId, Instant>,
}

impl Pulse {
    pub(super) fn opened(&mut self, connection: ConnectionId, path: Path, now: Instant) {
        let patience = if path == Path::Relayed { FIRST_TIMEOUT } else { INTERVAL + TIMEOUT };
        self.deadlines.insert(connection, now + patience);
    }

    /// The peer has answered.
    pub(super) fn heard(&mut self, connection: ConnectionId, now: Instant) {
        self.deadlines.insert(connection, now + INTERVAL + TIMEOUT);
    }

    /// The connection is closed, or its peer does not speak ping.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.deadlines.remove(&connection);
    }

    /// The connections that have been silent for too long. Each is named once.
    pub(super) fn silent(&mut self, now: Instant) -> Vec<ConnectionId> {
        let silent = |_: &ConnectionId, deadline: &mut Instant| now >= *deadline;
        self.deadlines.extract_if(silent).map(|(connection, _)| connection).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_ends_a_connection_and_only_once() {
        let (mut pulse, now) = (Pulse::default(), Instant::now());
        let [silent, alive, mute] = [1, 2, 3].map(ConnectionId::new_unchecked);
        [silent, alive, mute].into_iter().for_each(|connection| pulse.opened(connection, Path::Direct, now));
        pulse.forget(mute);
        pulse.heard(alive, now + INTERVAL);
        assert_eq!(pulse.silent(now + TIMEOUT), vec![]);
        assert_eq!(pulse.silent(now + INTERVAL + TIMEOUT), vec![silent]);
        assert_eq!(pulse.silent(now + INTERVAL + TIMEOUT), vec![]);
    }

    #[test]
    fn a_circuit_that_carries_nothing_is_given_up_early() {
        let (mut pulse, now) = (Pulse::default(), Instant::now());
        let [hangs, works] = [1, 2].map(ConnectionId::new_unchecked);
        [hangs, works].into_iter().for_each(|connection| pulse.opened(connection, Path::Relayed, now));
        pulse.heard(works, now);
        assert_eq!(pulse.silent(now + FIRST_TIMEOUT), vec![hangs]);
    }
}
