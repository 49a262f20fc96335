//! Whose request it is when a proxy has passed it on.
//!
//! A proxy appends whom it has heard to `X-Forwarded-For` (or `Forwarded`, RFC 7239), behind what its client has
//! written there. So only what stands behind the last address that is not a proxy's own is believed, and nothing at
//! all unless the connection itself comes from a proxy that the operator trusts.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, header::FORWARDED},
    middleware::Next,
    response::Response,
};

use super::auth::ClientAddress;
use crate::{app::App, cidr::Cidr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Addresses that are looked at, from the last: more proxies than anybody has.
const MAX_HOPS: usize = 16;

/// Puts the client's address in the place of the proxy's.
pub(super) async fn resolve(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let trusted = &app.accounts.trusted_proxy;
    if let Some(ClientAddress(peer)) = request.extensions().get().copied()
        && !trusted.is_empty()
    {
        let client = client(peer, request.headers(), trusted);
        request.extensions_mut().insert(ClientAddress(client));
    }
    next.run(request).await
}

/// The rightmost address that is no trusted proxy's.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let by = |hops: Vec<Option<IpAddr>>| {
        let mut last = peer;
        for hop in hops.into_iter().take(MAX_HOPS) {
            // What is no address says nothing, and whatever stands before it neither.
            let Some(hop) = hop else { return last };
            last = hop;
            if !is_trusted(hop) {
                return last;
            }
        }
        last
    };
    let (plain, standard) = (by(plain(headers)), by(standard(headers)));
    match (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED)) {
        (true, false) => plain,
        (false, true) => standard,
        (true, true) if plain == standard => plain,
        // The proxy writes one of them, and the client has written the other: nobody knows which.
        _ => peer,
    }
}

/// From the last.
fn plain(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("?"));
    let all: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    all.into_iter().rev().take(MAX_HOPS).map(address).collect()
}

/// `for=192.0.2.60;proto=http;by=203.0.113.43, for="[2001:db8::1]:4711"`, from the last.
fn standard(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).iter().map(|line| line.to_str().unwrap_or("?"));
    let all: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    let origin = |hop: &str| {
        let mut pairs = hop.split(';').filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
        address(value.trim_matches('"'))
    };
    all.into_iter().rev().take(MAX_HOPS).map(origin).collect()
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok();
    bare().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, headers: &[(&'static str, &str)], expected: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        let found = client(peer.parse().unwrap(), &map, &trusted);
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {headers:?}");
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_its_own_words() {
        let xff = "x-forwarded-for";
        check("203.0.113.1", &[(xff, "1.2.3.4")], "203.0.113.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &[(xff, "1.2.3.4")], "1.2.3.4");
        check("10.0.0.1", &[(xff, "9.9.9.9, 1.2.3.4")], "1.2.3.4");
        check("10.0.0.1", &[(xff, "9.9.9.9, 1.2.3.4, 10.0.0.2")], "1.2.3.4");
        check("10.0.0.1", &[(xff, "9.9.9.9"), (xff, "1.2.3.4")], "1.2.3.4");
        check("::ffff:10.0.0.1", &[(xff, "1.2.3.4:55")], "1.2.3.4");
        check("::1", &[(xff, "[2001:db8::1]:80")], "2001:db8::1");
        check("10.0.0.1", &[(xff, "1.2.3.4, nonsense")], "10.0.0.1");
        check("10.0.0.1", &[(xff, "1.2.3.4, nonsense, 10.0.0.9")], "10.0.0.9");
        check("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3");
        check("10.0.0.1", &[(xff, "")], "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_too_and_not_beside_another() {
        let (standard, xff) = ("forwarded", "x-forwarded-for");
        check("10.0.0.1", &[(standard, "for=9.9.9.9, for=1.2.3.4;proto=https;by=10.0.0.1")], "1.2.3.4");
        check("10.0.0.1", &[(standard, "For=\"[2001:db8::1]:4711\"")], "2001:db8::1");
        check("10.0.0.1", &[(standard, "for=unknown")], "10.0.0.1");
        check("10.0.0.1", &[(standard, "for=1.2.3.4"), (xff, "5.6.7.8")], "10.0.0.1");
        check("10.0.0.1", &[(standard, "for=1.2.3.4"), (xff, "1.2.3.4")], "1.2.3.4");
    }
}
