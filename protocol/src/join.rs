//! Redeeming an invite: from a string to a [`Membership`].
//!
//! A swarm of its own is started for it, which knows the invite's addresses and nothing else and is gone
//! before the member begins. The same peer may redeem the same invite again without using it up, so whatever
//! breaks on the way is just tried again.

use std::{fmt, time::Duration};

use libp2p::multiaddr::Protocol;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    frame::{self, FrameError},
    limits::{MAX_LABEL_BYTES, MAX_MEMBER_FRAME},
    membership::{Clock, Invite, JoinRefusal, JoinReply, JoinRequest, MemberRole, Membership, NotMember},
    swarm::{self, Handle, Multiaddr, OpenError, Peers, StartError},
};

/// How long joining may take in all.
pub const LIMIT: Duration = Duration::from_secs(30);
/// After this time whoever waits is told what for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the gateway may take to answer one request: it writes to its disk meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// How long saying good-bye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an invite bought nothing.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The network could not be used at all.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The gateway does not take the invite.
    #[error("{0}")]
    Refused(JoinRefusal),
    /// Nobody is there.
    #[error("nobody answers at the invite's addresses: {0}")]
    NoAnswer(List),
    /// Others are there, and the gateway is not.
    #[error("the swarm's gateway cannot be reached, though others of its addresses answer; it should be at {0}")]
    NoGateway(List),
    /// The gateway is there and does not answer.
    #[error("the gateway is there and gives no answer to the invite")]
    Silent,
    /// It does not speak of invites.
    #[error("the peer that the invite names is not a gateway that takes invites")]
    NotGateway,
    /// The gateway's answer does not make us a member.
    #[error("the gateway's answer is of no use: {0}")]
    Certificate(NotMember),
}

impl JoinError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Start(error) => error.hint(),
            Self::Refused(refusal) => refusal.hint(),
            Self::NoAnswer(_) => {
                "check that this machine is online and that the gateway runs; if it has moved, ask for a new invite"
            }
            Self::NoGateway(_) => "check that the gateway runs; if it has moved, ask its operator for a new invite",
            Self::Silent => "try again in a minute: the invite is still good",
            Self::NotGateway => "ask the swarm's operator for a new invite",
            Self::Certificate(why) => why.hint(),
        }
        .to_owned()
    }
}

/// A few addresses, without the long ids at their ends.
#[derive(Debug)]
pub struct List(Vec<Multiaddr>);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |address: &Multiaddr| {
            address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect::<Multiaddr>().to_string()
        };
        let texts: Vec<String> = self.0.iter().map(short).collect();
        f.write_str(&texts.join(", "))
    }
}

/// Redeems `invite` for a peer called `name`. Of `config` its identity, role and bootstrap addresses count.
///
/// # Errors
/// Within [`LIMIT`]; each has a [`hint`](JoinError::hint).
pub async fn join(config: swarm::Config, invite: &Invite, name: &str, clock: Clock) -> Result<Membership, JoinError> {
    let bootstrap = ways(invite).into_iter().chain(config.bootstrap).collect();
    let config = swarm::Config {
        swarm: None,
        listen: vec![],
        external: vec![],
        bootstrap,
        serve_relay: false,
        port_mapping: false,
        address_book: None,
        passing: true,
        ..config
    };
    let role = match config.role {
        swarm::Role::Node => Some(MemberRole::Node),
        swarm::Role::Gateway => Some(MemberRole::Gateway),
        swarm::Role::Bootstrap => None,
    };
    let (handle, _inbound, actor) = swarm::new(config)?;
    let stop = CancellationToken::new();
    let (running, _guard) = (tokio::spawn(actor.run(stop.clone())), stop.clone().drop_guard());
    let asking = Asking { invite, name: label(name), role, clock, swarm: handle };
    let result = asking.run().await;
    stop.cancel();
    // Its connections are gone before the member's begin.
    let _ = timeout(CLOSE_TIMEOUT, running).await;
    result
}

/// The invite's addresses, and the ways over each of its other peers: the gateway may stand behind a NAT and hold
/// a place there.
fn ways(invite: &Invite) -> Vec<Multiaddr> {
    let over = |address: &Multiaddr| {
        let elsewhere = address.iter().last() != Some(Protocol::P2p(invite.gateway));
        let direct = !address.iter().any(|part| part == Protocol::P2pCircuit);
        let circuit = || address.clone().with(Protocol::P2pCircuit).with(Protocol::P2p(invite.gateway));
        (elsewhere && direct).then(circuit)
    };
    invite.addresses.iter().cloned().chain(invite.addresses.iter().filter_map(over)).collect()
}

struct Asking<'a> {
    invite: &'a Invite,
    name: String,
    role: Option<MemberRole>,
    clock: Clock,
    swarm: Handle,
}

impl Asking<'_> {
    async fn run(&self) -> Result<Membership, JoinError> {
        info!(gateway = %self.invite.gateway, "joining swarm {:?}", self.invite.swarm);
        let deadline = Instant::now() + LIMIT;
        let mut last = None;
        let tries = async {
            loop {
                self.meet_gateway().await;
                match self.try_once().await {
                    Err(Try::Again(error)) => last = Some(error),
                    Err(Try::Never(error)) => return Err(error),
                    Ok(membership) => return Ok(membership),
                }
                sleep(RETRY_DELAY).await;
            }
        };
        let result = timeout_at(deadline, tries).await;
        result.unwrap_or_else(|_| Err(self.why_not(&self.swarm.peers().borrow(), last)))
    }

    async fn meet_gateway(&self) {
        let mut peers = self.swarm.peers();
        let met = peers.wait_for(|peers| peers.get(&self.invite.gateway).is_some());
        let mut met = std::pin::pin!(met);
        if timeout(PATIENCE, &mut met).await.is_err() {
            warn!("the gateway does not answer yet at {}; still trying", List(self.invite.addresses.clone()));
            // The swarm ends only after us.
            let _ = met.await;
        }
    }

    async fn try_once(&self) -> Result<Membership, Try> {
        let mut stream = self.swarm.open_join(self.invite.gateway).await.map_err(|error| match error {
            OpenError::Unsupported => Try::Never(JoinError::NotGateway),
            _ => Try::Again(JoinError::Silent),
        })?;
        let request = JoinRequest {
            secret: self.invite.secret.clone(),
            name: self.name.clone(),
            now: self.clock.now(),
            role: self.role,
        };
        let talk = async {
            frame::write(&mut stream, &request).await?;
            frame::read::<JoinReply>(&mut stream, MAX_MEMBER_FRAME).await
        };
        let reply: Result<JoinReply, FrameError> =
            timeout(ANSWER_TIMEOUT, talk).await.map_err(|_| Try::Again(JoinError::Silent))?;
        match reply {
            Ok(JoinReply::Granted { certificate, addresses }) => {
                let me = self.swarm.local_peer();
                let believed = certificate.verify(&self.invite.swarm, &me, self.clock.now());
                believed.map_err(|why| Try::Never(JoinError::Certificate(why)))?;
                let addresses = if addresses.is_empty() { self.invite.addresses.clone() } else { addresses };
                Ok(Membership { certificate, addresses })
            }
            Ok(JoinReply::Refused(busy @ JoinRefusal::Busy)) => Err(Try::Again(JoinError::Refused(busy))),
            Ok(JoinReply::Refused(refusal)) => Err(Try::Never(JoinError::Refused(refusal))),
            Err(error) => {
                debug!(%error, "no answer");
                Err(Try::Again(JoinError::Silent))
            }
        }
    }

    /// What stood in the way for all that time.
    fn why_not(&self, peers: &Peers, last: Option<JoinError>) -> JoinError {
        let addresses = || List(self.invite.addresses.clone());
        match last {
            Some(error) => error,
            None if peers.is_empty() => JoinError::NoAnswer(addresses()),
            None if peers.get(&self.invite.gateway).is_none() => JoinError::NoGateway(addresses()),
            None => JoinError::Silent,
        }
    }
}

enum Try {
    Again(JoinError),
    Never(JoinError),
}

/// What a gateway takes for a name: on one line, and not too long.
fn label(name: &str) -> String {
    let mut label = String::new();
    for letter in name.trim().chars().filter(|letter| !letter.is_control()) {
        if label.len() + letter.len_utf8() > MAX_LABEL_BYTES {
            break;
        }
        label.push(letter);
    }
    if label.is_empty() { "unnamed".to_owned() } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_to_fit() {
        assert_eq!(label(" my\nnode\t"), "mynode");
        assert_eq!(label(&"ä".repeat(100)), "ä".repeat(MAX_LABEL_BYTES / 2));
        assert_eq!(label("\n"), "unnamed");
    }

    #[test]
    fn a_gateway_at_home_is_reached_over_the_others() {
        let (gateway, relay) = (libp2p::PeerId::random(), libp2p::PeerId::random());
        let address = |text: String| text.parse::<Multiaddr>().unwrap();
        let direct = address(format!("/ip4/192.0.2.1/tcp/1/p2p/{gateway}"));
        let other = address(format!("/ip4/192.0.2.2/tcp/1/p2p/{relay}"));
        let circuit = address(format!("/ip4/192.0.2.2/tcp/1/p2p/{relay}/p2p-circuit/p2p/{gateway}"));
        let secret = crate::membership::Secret::generate().unwrap();
        let swarm = crate::membership::SwarmKey::generate().unwrap().id();
        let invite = Invite { swarm, gateway, addresses: vec![direct.clone(), other.clone()], secret };
        assert_eq!(ways(&invite), [direct, other, circuit]);
    }

    #[test]
    fn addresses_are_shown_without_ids() {
        let id = libp2p::PeerId::random();
        let list = List(vec![
            format!("/ip4/192.0.2.1/tcp/4001/p2p/{id}").parse().unwrap(),
            format!("/dns4/a.example/udp/1/quic-v1/p2p/{id}").parse().unwrap(),
        ]);
        assert_eq!(list.to_string(), "/ip4/192.0.2.1/tcp/4001, /dns4/a.example/udp/1/quic-v1");
    }
}
