//! Which cells there are, and what is expected of each. Nothing runs here.

use serde_json::{Value, json};

/// What stands between a host and the public segment: a name, natlab's word for it, how hard it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nat {
    pub(super) name: &'static str,
    /// From the host outwards; empty is a public address.
    kinds: &'static [&'static str],
    ease: Ease,
    /// Beside it there is IPv6, without NAT, behind a firewall.
    ipv6: bool,
    /// Its router opens ports when it is asked to.
    upnp: bool,
}

/// What a NAT allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ease {
    /// Others get in without knowing its port towards them.
    Easy,
    /// Others get in when both call at once: it has one public port for all.
    Fair,
    /// Nobody can know the port it will have towards them.
    Hard,
}

/// A gateway that everybody can dial is a kind of its own: it is first address and relay too.
pub(super) const PUBLIC: &str = "public";

#[rustfmt::skip]
pub(super) const NATS: [Nat; 9] = [
    Nat { name: "open", kinds: &[], ease: Ease::Easy, ipv6: false, upnp: false },
    Nat { name: "fullcone", kinds: &["fullcone"], ease: Ease::Easy, ipv6: false, upnp: false },
    Nat { name: "addrrestricted", kinds: &["addrrestricted"], ease: Ease::Easy, ipv6: false, upnp: false },
    Nat { name: "portrestricted", kinds: &["portrestricted"], ease: Ease::Fair, ipv6: false, upnp: false },
    Nat { name: "portremap", kinds: &["portremap"], ease: Ease::Fair, ipv6: false, upnp: false },
    Nat { name: "cgnat", kinds: &["portrestricted", "portrestricted"], ease: Ease::Fair, ipv6: false, upnp: false },
    Nat { name: "symmetric", kinds: &["symmetric"], ease: Ease::Hard, ipv6: false, upnp: false },
    Nat { name: "nested", kinds: &["portrestricted", "symmetric"], ease: Ease::Hard, ipv6: false, upnp: false },
    Nat { name: "udpblocked", kinds: &["udpblocked"], ease: Ease::Fair, ipv6: false, upnp: false },
];

/// What many homes have by now: nobody gets in over IPv4, both can call at once over IPv6.
const SIX: Nat = Nat { name: "symmetric6", kinds: &["symmetric"], ease: Ease::Hard, ipv6: true, upnp: false };

/// As hard as they come, and its router can be asked.
const UPNP: Nat = Nat { name: "upnp", kinds: &["symmetric"], ease: Ease::Easy, ipv6: false, upnp: true };

/// What the peers are told to listen on and to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Transport {
    Quic,
    Tcp,
    /// As they are without a word about it.
    Both,
}

/// What the way between the two is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Clean,
    /// 30 ms and one packet in a hundred lost, each way.
    Rough,
}

/// Where the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gateway {
    /// On the public segment; nobody else is there.
    Public,
    /// Behind a NAT, with two bootstraps on the public segment.
    Behind(Nat),
    /// Behind the node's own NAT, likewise.
    BesideNode,
}

/// One arrangement of hosts to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) gateway: Gateway,
    pub(super) node: Nat,
    pub(super) transport: Transport,
    pub(super) link: Link,
}

/// The names of the hosts.
pub(super) const GATEWAY: &str = "gw";
pub(super) const NODE: &str = "node";
pub(super) const BOOTSTRAPS: [&str; 2] = ["boot1", "boot2"];

/// Every cell there is, in the order of the table.
pub(super) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for link in [Link::Clean, Link::Rough] {
        for node in NATS {
            for transport in [Transport::Quic, Transport::Tcp, Transport::Both] {
                cells.push(Cell { gateway: Gateway::Public, node, transport, link });
            }
        }
        let homes = NATS.iter().filter(|nat| !nat.kinds.is_empty());
        for (gateway, node) in homes.flat_map(|gateway| NATS.map(|node| (*gateway, node))) {
            for transport in [Transport::Quic, Transport::Tcp] {
                cells.push(Cell { gateway: Gateway::Behind(gateway), node, transport, link });
            }
        }
        for transport in [Transport::Quic, Transport::Tcp] {
            cells.push(Cell { gateway: Gateway::BesideNode, node: nat("portrestricted"), transport, link });
            cells.push(Cell { gateway: Gateway::Public, node: SIX, transport, link });
            cells.push(Cell { gateway: Gateway::Behind(SIX), node: SIX, transport, link });
            cells.push(Cell { gateway: Gateway::Behind(nat("symmetric")), node: UPNP, transport, link });
        }
    }
    cells.retain(Cell::makes_sense);
    cells
}

/// A few that tell much: for every run of the tests.
pub(super) fn short() -> Vec<Cell> {
    const NAMES: [&str; 10] = [
        "public-portrestricted-both",
        "public-symmetric-quic",
        "public-udpblocked-both",
        "public-cgnat-quic-rough",
        "fullcone-portrestricted-quic",
        "portrestricted-portrestricted-quic",
        "portrestricted-portrestricted-tcp",
        "symmetric-symmetric-quic",
        "portremap-portremap-quic",
        "portrestricted-cgnat-quic-rough",
    ];
    let all = all();
    NAMES.iter().filter_map(|name| all.iter().find(|cell| cell.name() == *name)).copied().collect()
}

pub(super) fn nat(name: &str) -> Nat {
    NATS.into_iter().find(|nat| nat.name == name).expect("a name of the table above")
}

impl Cell {
    /// `GATEWAY-NODE-TRANSPORT`, and `-rough`.
    pub(super) fn name(&self) -> String {
        let rough = if self.link == Link::Rough { "-rough" } else { "" };
        format!("{}-{}-{}{rough}", self.gateway_name(), self.node.name, self.transport.name())
    }

    pub(super) fn gateway_name(&self) -> &'static str {
        match self.gateway {
            Gateway::Public => PUBLIC,
            Gateway::Behind(nat) => nat.name,
            Gateway::BesideNode => "samenat",
        }
    }

    pub(super) fn has_bootstraps(&self) -> bool {
        self.gateway != Gateway::Public
    }

    /// Whether the pair should end up with a direct connection.
    pub(super) fn direct_is_expected(&self) -> bool {
        let Gateway::Behind(gateway) = self.gateway else { return true };
        let eases = [gateway.ease, self.node.ease];
        (gateway.ipv6 && self.node.ipv6) || eases.contains(&Ease::Easy) || eases == [Ease::Fair, Ease::Fair]
    }

    pub(super) fn has_ipv6(&self) -> bool {
        self.node.ipv6
    }

    /// QUIC is UDP.
    fn makes_sense(&self) -> bool {
        let blocked = |nat: Nat| nat.name == "udpblocked";
        let any_blocked = blocked(self.node) || matches!(self.gateway, Gateway::Behind(nat) if blocked(nat));
        !(any_blocked && self.transport == Transport::Quic)
    }

    /// For natlab.
    pub(super) fn topology(&self) -> Value {
        let mut hosts = serde_json::Map::new();
        if self.has_bootstraps() {
            hosts.extend(BOOTSTRAPS.map(|name| (name.to_owned(), self.public_host())));
        }
        // Together 30 ms and 1 % each way, on one link or on two.
        let (alone, shared) = (Shape { delay_ms: 30, loss_pct: 1.0 }, Shape { delay_ms: 15, loss_pct: 0.5 });
        let rough = |shape: Shape| (self.link == Link::Rough).then_some(shape);
        match self.gateway {
            Gateway::Public => {
                hosts.insert(GATEWAY.into(), self.public_host());
                hosts.insert(NODE.into(), self.node.host(rough(alone)));
            }
            Gateway::Behind(nat) => {
                hosts.insert(GATEWAY.into(), nat.host(rough(shared)));
                hosts.insert(NODE.into(), self.node.host(rough(shared)));
            }
            Gateway::BesideNode => {
                hosts.insert(NODE.into(), self.node.host(rough(alone)));
                hosts.insert(GATEWAY.into(), json!({"behind": NODE}));
            }
        }
        // A router opens no ports where it has an address for documentation only.
        let public = if self.node.upnp { "45.4.4.0/24" } else { "203.0.113.0/24" };
        json!({"public": public, "hosts": hosts})
    }

    fn public_host(&self) -> Value {
        if self.has_ipv6() { json!({"nat": "open", "ipv6": "open"}) } else { json!({"nat": "open"}) }
    }
}

#[derive(Clone, Copy)]
struct Shape {
    delay_ms: u32,
    loss_pct: f64,
}

impl Nat {
    fn host(&self, shape: Option<Shape>) -> Value {
        let mut host = json!({"nat": if self.kinds.is_empty() { json!("open") } else { json!(self.kinds) }});
        if self.ipv6 {
            host["ipv6"] = json!(true);
        }
        if self.upnp {
            host["upnp"] = json!(true);
        }
        if let Some(Shape { delay_ms, loss_pct }) = shape {
            host["delay_ms"] = json!(delay_ms);
            host["loss_pct"] = json!(loss_pct);
        }
        host
    }
}

impl Transport {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
            Self::Both => "both",
        }
    }

    /// What to listen on, on that port of an address such as `ip4/0.0.0.0`.
    pub(super) fn listen(self, address: &str, port: u16) -> Vec<String> {
        let (tcp, quic) = (format!("/{address}/tcp/{port}"), format!("/{address}/udp/{port}/quic-v1"));
        match self {
            Self::Quic => vec![quic],
            Self::Tcp => vec![tcp],
            Self::Both => vec![quic, tcp],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn cell(name: &str) -> Cell {
        all().into_iter().find(|cell| cell.name() == name).unwrap_or_else(|| panic!("no cell {name}"))
    }

    #[test]
    fn every_pair_is_there_once() {
        let names: Vec<String> = all().iter().map(Cell::name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        // For each kind of link: with a public gateway 9 kinds x 3, with one behind a NAT 8 x 9 x 2,
        // twice beside the node, four times with IPv6, twice with UPnP; without QUIC where UDP is blocked (1, and 8 + 9 - 1).
        assert_eq!(names.len(), 2 * (9 * 3 + 8 * 9 * 2 + 8 - 1 - 16));
        assert_eq!(short().len(), 10, "a name of the short form is wrong");
    }

    #[test]
    fn direct_is_expected_unless_a_hard_side_meets_no_easy_one() {
        for (name, direct) in [
            ("public-nested-tcp", true),
            ("fullcone-symmetric-quic", true),
            ("symmetric-open-tcp", true),
            ("portremap-cgnat-tcp", true),
            ("portrestricted-symmetric-quic", false),
            ("symmetric-udpblocked-tcp", false),
            ("samenat-portrestricted-quic", true),
            ("symmetric6-symmetric6-tcp", true),
            ("symmetric-upnp-tcp", true),
        ] {
            assert_eq!(cell(name).direct_is_expected(), direct, "{name}");
        }
    }

    #[test]
    fn a_topology_is_what_natlab_reads() {
        let wanted = json!({"public": "203.0.113.0/24", "hosts": {
            "boot1": {"nat": "open"}, "boot2": {"nat": "open"},
            "gw": {"nat": ["symmetric"], "delay_ms": 15, "loss_pct": 0.5},
            "node": {"nat": ["portrestricted", "symmetric"], "delay_ms": 15, "loss_pct": 0.5},
        }});
        assert_eq!(cell("symmetric-nested-quic-rough").topology(), wanted);
        let wanted = json!({"public": "203.0.113.0/24", "hosts": {"gw": {"nat": "open"}, "node": {"nat": "open"}}});
        assert_eq!(cell("public-open-tcp").topology(), wanted);
    }
}
