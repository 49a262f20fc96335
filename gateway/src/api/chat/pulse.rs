//! Whether a page is still there, and still somebody: when to ask, and when to give it up. Knows no clock and no socket.

use std::time::Duration;

use tokio::time::Instant;

/// How often a page is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// How long it may take to answer; whatever it says is an answer.
const PONG: Duration = Duration::from_secs(10);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask the page whether it is there.
    Ping,
    /// It has not answered.
    Silent,
    /// Its token has run out.
    Expired,
    Nothing,
}

#[derive(Debug)]
pub(super) struct Pulse {
    ping_at: Instant,
    pong_by: Option<Instant>,
    expires_at: Instant,
}

impl Pulse {
    pub(super) fn new(now: Instant, token: Duration) -> Self {
        Self { ping_at: now + PING, pong_by: None, expires_at: now + token }
    }

    /// The page has said something.
    pub(super) fn heard(&mut self) {
        self.pong_by = None;
    }

    /// It has shown another token, that counts for so long.
    pub(super) fn renewed(&mut self, now: Instant, token: Duration) {
        self.expires_at = now + token;
    }

    /// When to look again.
    pub(super) fn next(&self) -> Instant {
        let next = self.ping_at.min(self.expires_at);
        self.pong_by.map_or(next, |by| by.min(next))
    }

    /// What is due now.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        if now >= self.expires_at {
            return Due::Expired;
        }
        if self.pong_by.is_some_and(|by| now >= by) {
            return Due::Silent;
        }
        if now < self.ping_at {
            return Due::Nothing;
        }
        self.ping_at = now + PING;
        self.pong_by = Some(now + PONG);
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_page_that_does_not_answer_is_gone() {
        let begin = Instant::now();
        let mut pulse = Pulse::new(begin, seconds(600));
        assert_eq!((pulse.next(), pulse.due(begin + seconds(19))), (begin + seconds(20), Due::Nothing));
        assert_eq!(pulse.due(begin + seconds(20)), Due::Ping);
        assert_eq!(pulse.next(), begin + seconds(30));
        pulse.heard();
        assert_eq!((pulse.next(), pulse.due(begin + seconds(30))), (begin + seconds(40), Due::Nothing));
        assert_eq!(pulse.due(begin + seconds(40)), Due::Ping);
        assert_eq!(pulse.due(begin + seconds(50)), Due::Silent);
    }

    #[test]
    fn a_token_that_runs_out_is_renewed_or_the_end() {
        let begin = Instant::now();
        let mut pulse = Pulse::new(begin, seconds(15));
        assert_eq!((pulse.next(), pulse.due(begin + seconds(14))), (begin + seconds(15), Due::Nothing));
        pulse.renewed(begin + seconds(14), seconds(15));
        assert_eq!(pulse.due(begin + seconds(15)), Due::Nothing);
        assert_eq!(pulse.due(begin + seconds(29)), Due::Expired);
    }
}
