//! What is said on the channel of all gateways, and who is heard there. Has no socket; is told the time.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// A gateway that was silent for so long is not there; and when it is we ourselves, the channel is broken.
const SILENCE: Duration = Duration::from_secs(4);
/// Gateways that are remembered: nobody has as many.
const MAX_OTHERS: usize = 64;

/// A gateway's process, by a number that it has drawn.
pub(super) type Name = [u8; 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// I am here.
    Here = 0,
    /// I am going.
    Gone = 1,
    /// Something for those above.
    Event = 2,
}

/// Who is on the channel.
pub(super) struct Company {
    me: Name,
    heard_me: Instant,
    others: HashMap<Name, Instant>,
}

pub(super) fn pack(kind: Kind, from: &Name, content: &[u8]) -> Vec<u8> {
    [&[kind as u8][..], from, content].concat()
}

fn unpack(bytes: &[u8]) -> Option<(Kind, Name, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (from, content) = rest.split_first_chunk()?;
    let kind = [Kind::Here, Kind::Gone, Kind::Event].into_iter().find(|known| *known as u8 == *kind)?;
    Some((kind, *from, content))
}

impl Company {
    /// Nobody but us, from now on.
    pub(super) fn new(me: Name, now: Instant) -> Self {
        Self { me, heard_me: now, others: HashMap::new() }
    }

    /// Somebody says something; an event of another gateway is given back.
    pub(super) fn hear<'a>(&mut self, message: &'a [u8], now: Instant) -> Option<&'a [u8]> {
        let (kind, from, content) = unpack(message)?;
        if from == self.me {
            self.heard_me = now;
            return None;
        }
        if kind == Kind::Gone {
            self.others.remove(&from);
        } else if self.others.len() < MAX_OTHERS || self.others.contains_key(&from) {
            self.others.insert(from, now);
        }
        (kind == Kind::Event).then_some(content)
    }

    /// How many others are there.
    pub(super) fn others(&mut self, now: Instant) -> usize {
        self.others.retain(|_, heard| now.duration_since(*heard) < SILENCE);
        self.others.len()
    }

    /// Whether what is said arrives, ours too.
    pub(super) fn works(&self, now: Instant) -> bool {
        now.duration_since(self.heard_me) < SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_heard_is_there_until_it_is_silent_or_goes() {
        let (me, a, b, start) = ([0; 16], [1; 16], [2; 16], Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut company = Company::new(me, start);
        assert_eq!(company.hear(&pack(Kind::Here, &a, b""), at(0)), None);
        assert_eq!(company.hear(&pack(Kind::Event, &b, b"x"), at(1_000)), Some(&b"x"[..]));
        assert_eq!(company.hear(&pack(Kind::Event, &me, b"x"), at(1_000)), None, "our own word");
        assert_eq!(company.others(at(3_000)), 2);
        assert!(company.works(at(4_900)) && !company.works(at(5_000)));
        assert_eq!(company.others(at(4_500)), 1, "a was silent");
        company.hear(&pack(Kind::Gone, &b, b""), at(4_600));
        assert_eq!(company.others(at(4_600)), 0);
        for bad in [&b""[..], &[0], &[9; 40], &[2; 16]] {
            assert_eq!(company.hear(bad, at(5_000)), None);
        }
        for number in 0..=255 {
            company.hear(&pack(Kind::Here, &[number; 16], b""), at(5_000));
        }
        assert_eq!(company.others(at(5_000)), MAX_OTHERS);
    }
}
