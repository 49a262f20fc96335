//! Lets peers in that bring an invite.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::AsyncWriteExt;
use starling_protocol::{
    frame::{self, FrameError},
    limits::{FIRST_FRAME_TIMEOUT, MAX_LABEL_BYTES, MAX_MEMBER_FRAME},
    membership::{Clock, JoinRefusal, JoinReply, JoinRequest, MAX_CLOCK_SKEW, Seconds},
    swarm::{InboundStream, PeerId},
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Network;
use crate::{
    clock::Timestamp,
    limiter::{Limiter, Rate},
    store::{Store, invites::Bearer},
};

/// Peers with an invite at one time. Whoever finds no room tries again by itself.
const MAX_JOINING: usize = 64;
/// Of all peers together: each try costs a write to the disk.
const RATE: Rate = Rate { burst: 100, refill: Duration::from_millis(50) };

/// What it takes to let somebody in.
pub struct Joining {
    store: Store,
    network: Network,
    clock: Clock,
    rate: Mutex<Limiter<()>>,
}

impl Joining {
    #[must_use]
    pub fn new(store: Store, network: Network, clock: Clock) -> Self {
        Self { store, network, clock, rate: Mutex::new(Limiter::new(RATE)) }
    }

    /// Takes join streams until `cancel`.
    pub async fn run(self, mut streams: mpsc::Receiver<InboundStream>, cancel: CancellationToken) {
        let (door, mut tasks) = (Arc::new(self), JoinSet::new());
        while let Some(Some(inbound)) = cancel.run_until_cancelled(streams.recv()).await {
            while tasks.try_join_next().is_some() {}
            if tasks.len() >= MAX_JOINING {
                debug!(peer = %inbound.peer, "too many want to join at once: one was sent away");
                continue;
            }
            let door = door.clone();
            tasks.spawn(async move {
                let peer = inbound.peer;
                if let Err(error) = door.serve(inbound).await {
                    debug!(%peer, %error, "somebody who wanted to join has left");
                }
            });
        }
        cancel.cancelled().await;
    }

    async fn serve(&self, InboundStream { peer, mut stream }: InboundStream) -> io::Result<()> {
        let read = frame::read::<JoinRequest>(&mut stream, MAX_MEMBER_FRAME);
        let request = match timeout(FIRST_FRAME_TIMEOUT, read).await {
            Ok(Ok(request)) if is_label(&request.name) => request,
            Ok(Err(FrameError::Io(error))) => return Err(error),
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        let reply = self.judge(peer, &request).await;
        match &reply {
            JoinReply::Granted { .. } => info!(%peer, name = request.name, "has joined the swarm"),
            JoinReply::Refused(refusal) => info!(%peer, name = request.name, %refusal, "may not join"),
        }
        frame::write(&mut stream, &reply).await?;
        stream.close().await
    }

    async fn judge(&self, peer: PeerId, request: &JoinRequest) -> JoinReply {
        match self.admit(peer, request).await {
            Ok(granted) => granted,
            Err(refusal) => JoinReply::Refused(refusal),
        }
    }

    /// The clock first: with a wrong one the certificate would be of no use, and the invite spent.
    async fn admit(&self, peer: PeerId, request: &JoinRequest) -> Result<JoinReply, JoinRefusal> {
        check_clock(request.now, self.clock.now())?;
        if !self.network.members.is_authority() {
            return Err(JoinRefusal::NotAuthority);
        }
        let allowed = self.rate.lock().unwrap_or_else(PoisonError::into_inner).take((), Instant::now());
        allowed.map_err(|_| JoinRefusal::Busy)?;
        let bearer = Bearer { digest: request.secret.digest(), peer, name: &request.name, role: request.role };
        let redeemed = self.store.redeem(&bearer, Timestamp::now()).await.map_err(|error| {
            warn!(%error, "an invite could not be redeemed");
            JoinRefusal::Busy
        })?;
        let certificate = self.network.members.certify(peer, redeemed?).ok_or(JoinRefusal::NotAuthority)?;
        Ok(JoinReply::Granted { certificate, addresses: self.network.places.now() })
    }
}

fn check_clock(theirs: Seconds, ours: Seconds) -> Result<(), JoinRefusal> {
    if theirs.abs_diff(ours) <= MAX_CLOCK_SKEW.as_secs() {
        return Ok(());
    }
    let apart = i64::try_from(theirs.abs_diff(ours)).unwrap_or(i64::MAX);
    Err(JoinRefusal::ClockOff { seconds: if theirs > ours { apart } else { -apart } })
}

fn is_label(name: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_by_how_much() {
        assert_eq!(check_clock(1_000, 1_300), Ok(()));
        assert_eq!(check_clock(1_000, 1_301), Err(JoinRefusal::ClockOff { seconds: -301 }));
        assert_eq!(check_clock(1_600, 1_000), Err(JoinRefusal::ClockOff { seconds: 600 }));
        assert_eq!(check_clock(u64::MAX, 0), Err(JoinRefusal::ClockOff { seconds: i64::MAX }));
        assert_eq!(check_clock(0, u64::MAX), Err(JoinRefusal::ClockOff { seconds: -i64::MAX }));
    }

    #[test]
    fn names_are_short_and_on_one_line() {
        for (name, good) in [("a", true), ("Küche", true), ("", false), ("a\nb", false), ("\u{1b}[0m", false)] {
            assert_eq!(is_label(name), good, "{name:?}");
        }
        assert!(!is_label(&"x".repeat(MAX_LABEL_BYTES + 1)));
    }
}
