//! The cookie with the refresh token. Only `/api/session` reads it: nothing else can be done with a cookie.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::{
    secret::{self, Digest, Token},
    store::sessions,
};

/// Over TLS. A browser takes a cookie of this prefix only when it is secure and of this very host.
const OVER_TLS: &str = "__Host-starling";
/// On a loopback address, where there is no TLS.
const PLAIN: &str = "starling";

/// The digest of the refresh token that a request brings.
#[must_use]
pub(super) fn refresh_token(headers: &HeaderMap, https: bool) -> Option<Digest> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut values = pairs.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    values.find(|(found, _)| *found == name(https)).map(|(_, token)| secret::digest(token))
}

/// The cookie for a refresh token.
#[must_use]
pub(super) fn set(token: &Token, https: bool) -> HeaderValue {
    cookie(token.reveal(), sessions::LIFE.as_secs(), https)
}

/// Takes the cookie back.
#[must_use]
pub(super) fn remove(https: bool) -> HeaderValue {
    cookie("", 0, https)
}

/// What it is called.
pub(super) fn name(https: bool) -> &'static str {
    if https { OVER_TLS } else { PLAIN }
}

fn cookie(token: &str, seconds: u64, https: bool) -> HeaderValue {
    let (name, secure) = (name(https), if https { "; Secure" } else { "" });
    let text = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let mut value = HeaderValue::try_from(text).expect("a token is hexadecimal digits");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert!(refresh_token(&headers, false).is_none());
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; starling=t;c=d"));
        assert_eq!(refresh_token(&headers, false), Some(secret::digest("t")));
        assert_eq!(refresh_token(&headers, true), None, "over TLS a plain one is anybody's");
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-starling=u"));
        assert_eq!(refresh_token(&headers, true), Some(secret::digest("u")));
        let (plain, tls) = (remove(false), set(&Token::generate(""), true));
        assert!(!plain.to_str().unwrap().contains("Secure"));
        let tls = tls.to_str().unwrap();
        assert!(tls.starts_with("__Host-starling=") && tls.ends_with("; Secure") && tls.contains("Path=/;"), "{tls}");
        assert!(!tls.contains("Domain"));
    }
}
