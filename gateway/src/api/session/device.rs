//! Where a session is, in words that its owner knows it again by, and no more than that.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

use crate::{api::auth::Address, limiter::network, store::sessions::Device};

/// Browsers, and what they call themselves; those that pretend to be another one come first.
const BROWSERS: [(&str, &str); 7] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
];
const SYSTEMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// Of a request.
pub(in crate::api) fn device(headers: &HeaderMap, Address(from): Address) -> Device {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    Device { agent: in_short(agent), network: network_of(from) }
}

/// Only words of ours: what a client calls itself is not shown.
fn in_short(agent: &str) -> String {
    match (find(agent, &BROWSERS), find(agent, &SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "a program".to_owned(),
    }
}

fn find<'a>(agent: &str, names: &[(&str, &'a str)]) -> Option<&'a str> {
    names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
}

/// Enough to tell home from elsewhere, and not a person from a neighbour.
fn network_of(address: IpAddr) -> String {
    match network(address) {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        v6 @ IpAddr::V6(_) => format!("{v6}/64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_few_words() {
        let check = |agent: &str, short: &str| assert_eq!(in_short(agent), short);
        check("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux");
        check("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140", "Edge on Windows");
        check("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", "Safari on iPhone");
        check("curl/8.1", "curl");
        check("<script>", "a program");
        check("", "a program");
    }

    #[test]
    fn an_address_is_its_network() {
        let check = |address: &str, network: &str| assert_eq!(network_of(address.parse().unwrap()), network);
        check("203.0.113.9", "203.0.113.0/24");
        check("::ffff:203.0.113.9", "203.0.113.0/24");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
    }
}
