//! Where a gateway is found: the addresses that go into invites.

use std::time::Duration;

use starling_protocol::{
    limits::MAX_INVITE_ADDRESSES,
    swarm::{self, Multiaddr, PeerId},
};
use tokio::{sync::watch, time::timeout};

/// The gateway's addresses as they are now. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places {
    peer: PeerId,
    /// As the operator has named them.
    external: Vec<Multiaddr>,
    /// First peers of the gateway itself.
    bootstrap: Vec<Multiaddr>,
    listen: watch::Receiver<Vec<Multiaddr>>,
}

impl Places {
    /// Of a gateway that is started with this configuration.
    #[must_use]
    pub fn new(handle: &swarm::Handle, external: Vec<Multiaddr>, bootstrap: Vec<Multiaddr>) -> Self {
        Self { peer: handle.local_peer(), external, bootstrap, listen: handle.addresses() }
    }

    /// Where somebody begins who wants to come to this gateway.
    #[must_use]
    pub fn now(&self) -> Vec<Multiaddr> {
        let external = self.external.iter().cloned().map(|address| address_of(self.peer, address)).collect();
        pick(external, &self.bootstrap, &self.listen.borrow())
    }

    /// Whom it begins with.
    #[must_use]
    pub fn bootstrap_peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<PeerId> = vec![];
        for address in &self.bootstrap {
            let text = address.to_string();
            let peer = text.rsplit_once("/p2p/").and_then(|(_, peer)| peer.parse().ok());
            peers.extend(peer.filter(|peer| *peer != self.peer && !peers.contains(peer)));
        }
        peers
    }

    /// Waits for a change; for ever once the swarm has ended.
    pub async fn changed(&mut self) {
        if self.listen.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it listens and no further address has come for `quiet`.
    pub async fn settled(&mut self, quiet: Duration) {
        let _ = self.listen.wait_for(|addresses| !addresses.is_empty()).await;
        while let Ok(Ok(())) = timeout(quiet, self.listen.changed()).await {}
    }
}

/// What the operator has named comes first, then those that the gateway begins with itself, then where it listens.
/// Loopback is left out unless there is nothing else.
fn pick(external: Vec<Multiaddr>, bootstrap: &[Multiaddr], listen: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut addresses: Vec<Multiaddr> = vec![];
    for address in external.iter().chain(bootstrap).chain(listen) {
        if !addresses.contains(address) {
            addresses.push(address.clone());
        }
    }
    if !addresses.iter().all(swarm::is_loopback) {
        addresses.retain(|address| !swarm::is_loopback(address));
    }
    addresses.truncate(MAX_INVITE_ADDRESSES);
    addresses
}

/// An address that says whose it is.
fn address_of(peer: PeerId, address: Multiaddr) -> Multiaddr {
    address.clone().with_p2p(peer).unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(external: &[&str], bootstrap: &[&str], listen: &[&str], expected: &[&str]) {
        assert_eq!(pick(addresses(external), &addresses(bootstrap), &addresses(listen)), addresses(expected));
    }

    #[test]
    fn loopback_is_for_those_who_have_nothing_else() {
        let (here, there) = ("/ip4/127.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1");
        check(&[], &[], &[here], &[here]);
        check(&[], &[here], &["/ip6/::1/tcp/1"], &[here, "/ip6/::1/tcp/1"]);
        check(&[], &[], &[here, there], &[there]);
        check(&[there], &[], &[here], &[there]);
        check(&[], &[there], &[here, there], &[there]);
    }

    #[test]
    fn what_the_operator_says_comes_first_and_there_are_only_so_many() {
        let many: Vec<String> = (1..=40).map(|port| format!("/ip4/192.0.2.1/tcp/{port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (named, first) = ("/dns4/gateway.example/tcp/1", "/dns4/first.example/tcp/1");
        let picked = pick(addresses(&[named]), &addresses(&[first]), &addresses(&many));
        assert_eq!(picked.len(), MAX_INVITE_ADDRESSES);
        assert_eq!(picked[..2], addresses(&[named, first])[..]);
    }

    #[test]
    fn first_peers_are_named_once_and_never_ourselves() {
        let [me, first, second] = [PeerId::random(), PeerId::random(), PeerId::random()];
        let at = |peer: PeerId, port: u16| format!("/ip4/192.0.2.1/tcp/{port}/p2p/{peer}").parse().unwrap();
        let (_, listen) = watch::channel(vec![]);
        let bootstrap = vec![at(first, 1), at(me, 2), at(second, 3), at(first, 4)];
        let places = Places { peer: me, external: vec![], bootstrap, listen };
        assert_eq!(places.bootstrap_peers(), [first, second]);
    }

    #[test]
    fn an_address_says_whose_it_is() {
        let peer = PeerId::random();
        let bare: Multiaddr = "/dns4/gateway.example/tcp/1".parse().unwrap();
        let whole = address_of(peer, bare);
        assert!(whole.to_string().ends_with(&format!("/p2p/{peer}")));
        assert_eq!(address_of(peer, whole.clone()), whole);
    }
}
