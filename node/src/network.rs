//! How this machine is seen by the others, in words its owner can act on. Pure: facts in, words out.

use serde::{Deserialize, Serialize};
use starling_protocol::{
    message,
    swarm::{NatKind, Peer, Peers, Reachability},
};

/// How this machine is seen by the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// What stands between.
    pub nat: Nat,
    /// Whether UDP gets out; none until it was tried.
    pub udp: Option<bool>,
    /// Whether it is reached over IPv6; none until it was tried.
    pub ipv6: Option<bool>,
    /// As which addresses others have seen it.
    pub seen_as: Vec<String>,
    /// Where others can dial it.
    pub reachable_at: Vec<String>,
    /// What the router has opened.
    pub mapped: Vec<String>,
    /// Relays where it can be met.
    pub relays: Vec<String>,
    /// The gateways it is connected to.
    pub gateways: Vec<Gateway>,
    /// Other peers it is connected to, such as bootstrap peers.
    pub other_peers: usize,
    /// It looked as a stranger, to whom no gateway shows a certificate.
    #[serde(skip)]
    pub as_stranger: bool,
}

/// A gateway that the node is connected to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its id.
    pub peer: String,
    /// Reached through a relay only.
    pub relayed: bool,
    /// The last ping's round trip.
    pub rtt_ms: Option<f64>,
    /// It has shown a certificate of our swarm.
    pub member: bool,
}

/// What stands between this machine and the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    /// Not known.
    #[default]
    Unknown,
    /// Nothing.
    Open,
    /// Anyone may answer.
    FullCone,
    /// One public port; whom it has called may answer.
    Cone,
    /// Another public port for everyone.
    Symmetric,
}

impl Network {
    /// What the swarm's actor has found out.
    #[must_use]
    pub fn of(seen: &Reachability, peers: &Peers) -> Self {
        let texts = |addresses: &[_]| {
            addresses.iter().map(|address: &starling_protocol::swarm::Multiaddr| address.to_string()).collect()
        };
        let gateways: Vec<Gateway> = peers
            .iter()
            .filter(|(_, peer)| peer.takes_status)
            .map(|(id, peer)| gateway(id.to_string(), peer))
            .collect();
        // Several have seen the same.
        let mut seen_as: Vec<String> = texts(&seen.seen_as);
        seen_as.sort();
        seen_as.dedup();
        Self {
            nat: seen.nat.into(),
            udp: seen.udp,
            ipv6: seen.ipv6,
            seen_as,
            reachable_at: texts(&seen.confirmed),
            mapped: seen.mapped.iter().map(ToString::to_string).collect(),
            relays: seen.relays.iter().map(ToString::to_string).collect(),
            other_peers: peers.len() - gateways.len(),
            gateways,
            as_stranger: false,
        }
    }

    /// The facts, one a line.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let list =
            |entries: &[String], none: &str| if entries.is_empty() { none.to_owned() } else { entries.join(" ") };
        let mut lines = vec![
            ("network", self.words().to_owned()),
            ("seen as", list(&self.seen_as, "nobody has said yet")),
            ("dialled at", list(&self.reachable_at, "nowhere: this machine dials the others, which is enough")),
            ("UDP", yes_no(self.udp, "gets out: QUIC is used", "blocked: TCP is used")),
            ("IPv6", yes_no(self.ipv6, "in use", "none")),
            ("router", list(&self.mapped, "has opened no port by UPnP, PCP or NAT-PMP")),
            ("relays", list(&self.relays, "none")),
        ];
        if self.gateways.is_empty() {
            let peers = self.other_peers;
            lines.push(("gateways", format!("none yet; {peers} other peers")));
        }
        lines.extend(self.gateways.iter().map(|gateway| ("gateway", gateway.words(self))));
        lines
    }

    fn words(&self) -> &'static str {
        if !self.mapped.is_empty() && !self.reachable_at.is_empty() {
            "a router that has opened a port for this machine: direct connections"
        } else {
            self.nat.words()
        }
    }

    /// What stands in the way, and what to do about it.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        let mut advice = vec![];
        if self.gateways.is_empty() && self.other_peers == 0 {
            advice.push(
                "nobody answers: check that this machine is online and that a firewall lets this program out"
                    .to_owned(),
            );
        }
        if self.udp == Some(false) {
            advice.push(
                "UDP does not get out, so TCP is used, which reaches fewer peers directly: let outgoing UDP through"
                    .to_owned(),
            );
        }
        let strangers = self.gateways.iter().filter(|gateway| !gateway.member).count();
        if !self.as_stranger && strangers > 0 && strangers == self.gateways.len() {
            advice.push("no gateway has shown that it is of this swarm: is the membership still good?".to_owned());
        }
        if self.gateways.iter().any(|gateway| gateway.relayed) && self.nat == Nat::Symmetric {
            advice.push(
                "the router gives every connection another port, so a gateway behind a router like it is only met over a \
                relay: switch UPnP or PCP on in the router, or forward a port and name it with --listen and --external"
                    .to_owned(),
            );
        }
        if !self.gateways.is_empty() && self.relays.is_empty() && !matches!(self.nat, Nat::Open) {
            advice.push("no relay has a place for this machine: gateways behind a router cannot meet it".to_owned());
        }
        advice
    }
}

impl Gateway {
    fn words(&self, network: &Network) -> String {
        let rtt = self.rtt_ms.map_or_else(String::new, |ms| format!(", {ms:.0} ms"));
        let path = match (self.relayed, network.nat, network.udp) {
            (false, ..) => "direct",
            (true, Nat::Symmetric, _) => "relayed, because the router gives every connection another port",
            (true, _, Some(false)) => "relayed, because UDP is blocked",
            (true, ..) => "relayed, until a direct path is found",
        };
        let member = if self.member || network.as_stranger { "" } else { ", not of this swarm" };
        format!("{} {path}{rtt}{member}", self.peer)
    }
}

impl Nat {
    fn words(self) -> &'static str {
        match self {
            Self::Unknown => "not known yet: it takes two peers that see this machine from outside",
            Self::Open => "open: others can dial this machine",
            Self::FullCone => "a router that lets everyone in to a port that is in use: direct connections",
            Self::Cone => "a router with one port for all: direct connections with nearly everyone",
            Self::Symmetric => {
                "a router with another port for every connection: direct to public gateways, relayed to peers behind strict \
                routers"
            }
        }
    }
}

impl From<NatKind> for Nat {
    fn from(kind: NatKind) -> Self {
        match kind {
            NatKind::Unknown => Self::Unknown,
            NatKind::Open => Self::Open,
            NatKind::FullCone => Self::FullCone,
            NatKind::Cone => Self::Cone,
            NatKind::Symmetric => Self::Symmetric,
        }
    }
}

/// For the gateways, which see the addresses that they need.
pub(crate) fn to_wire(seen: &Reachability) -> message::Network {
    message::Network {
        nat: match seen.nat {
            NatKind::Unknown => message::Nat::Unknown,
            NatKind::Open => message::Nat::Open,
            NatKind::FullCone => message::Nat::FullCone,
            NatKind::Cone => message::Nat::Cone,
            NatKind::Symmetric => message::Nat::Symmetric,
        },
        udp: seen.udp,
        ipv6: seen.ipv6,
        relays: u32::try_from(seen.relays.len()).unwrap_or(u32::MAX),
        mapped: !seen.mapped.is_empty(),
    }
}

fn gateway(peer: String, seen: &Peer) -> Gateway {
    let rtt_ms = seen.rtt.map(|rtt| rtt.as_secs_f64() * 1e3);
    Gateway { peer, relayed: seen.is_relayed(), rtt_ms, member: seen.member.is_some() }
}

fn yes_no(fact: Option<bool>, yes: &str, no: &str) -> String {
    fact.map_or("not tried", |fact| if fact { yes } else { no }).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(relayed: bool) -> Network {
        let gateway = Gateway { peer: "G".into(), relayed, rtt_ms: Some(12.3), member: true };
        Network {
            gateways: vec![gateway],
            relays: vec!["R".into()],
            udp: Some(true),
            nat: Nat::Cone,
            ..Network::default()
        }
    }

    #[track_caller]
    fn advises(network: &Network, word: Option<&str>) {
        let advice = network.advice();
        match word {
            None => assert_eq!(advice, Vec::<String>::new()),
            Some(word) => assert!(advice.iter().any(|line| line.contains(word)), "{advice:?}"),
        }
    }

    #[test]
    fn advice_only_where_something_is_in_the_way() {
        advises(&met(false), None);
        advises(&met(true), None);
        advises(&Network::default(), Some("nobody answers"));
        advises(&Network { udp: Some(false), ..met(false) }, Some("outgoing UDP"));
        advises(&Network { nat: Nat::Symmetric, ..met(false) }, None);
        advises(&Network { nat: Nat::Symmetric, ..met(true) }, Some("forward a port"));
        advises(&Network { relays: vec![], ..met(false) }, Some("no relay"));
        let mut stranger = met(false);
        stranger.gateways.iter_mut().for_each(|gateway| gateway.member = false);
        advises(&stranger, Some("of this swarm"));
        advises(&Network { as_stranger: true, ..stranger }, None);
        advises(&Network { relays: vec![], nat: Nat::Open, ..met(false) }, None);
        let mut strangers = met(false);
        strangers.gateways[0].member = false;
        advises(&strangers, Some("membership"));
    }

    #[test]
    fn a_gateway_is_direct_or_relayed_with_the_reason() {
        let line = |network: &Network| network.lines().pop().unwrap().1;
        assert_eq!(line(&met(false)), "G direct, 12 ms");
        assert!(line(&Network { nat: Nat::Symmetric, ..met(true) }).starts_with("G relayed, because the router"));
        assert!(line(&Network { udp: Some(false), ..met(true) }).contains("because UDP is blocked"));
    }

    #[test]
    fn a_port_that_the_router_has_opened_counts_for_more_than_its_kind() {
        let words = |network: &Network| network.lines().remove(0).1;
        let mapped = Network { nat: Nat::Symmetric, mapped: vec!["M".into()], ..met(false) };
        assert!(words(&mapped).contains("another port"), "nobody has got through to it");
        assert!(words(&Network { reachable_at: vec!["M".into()], ..mapped }).contains("has opened a port"));
    }

    #[test]
    fn what_is_said_as_json_reads_back() {
        let text = serde_json::to_string(&met(true)).unwrap();
        assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), met(true));
    }
}
