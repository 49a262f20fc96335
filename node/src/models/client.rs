//! Asks servers for files: encrypted or on this machine, with the hub's token for the hub alone.

use std::time::Duration;

use reqwest::{
    Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect::{Attempt, Policy},
};
use starling_protocol::program::Exit;

use super::name::{self, may_be_asked};

/// Longest chain of redirects; the hub needs one or two.
const MAX_REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(20);

/// How patient a download is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Longest silence of a server.
    pub(crate) silence: Duration,
    /// First pause before asking again; each further one is twice as long.
    pub(crate) pause: Duration,
    /// How often in a row it may go wrong with nothing won.
    pub(crate) attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), pause: Duration::from_secs(1), attempts: 6 }
    }
}

/// Why an answer did not come, or not whole.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It may come when asked again.
    Passing(String),
    /// Asking again is no use.
    Final(Exit),
    /// Nor is what has come so far.
    Worthless(Exit),
}

impl From<Exit> for Fault {
    fn from(exit: Exit) -> Self {
        Self::Final(exit)
    }
}

impl Fault {
    pub(crate) fn last(what: impl std::fmt::Display, hint: impl std::fmt::Display) -> Self {
        Self::Final(Exit::usage(what, hint))
    }
}

/// Asks servers.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    hub: Url,
    /// `Bearer …`, marked as secret, so that no log shows it.
    token: Option<HeaderValue>,
    pub(crate) patience: Patience,
}

impl Client {
    /// For the hub and with the token that the environment names.
    pub(crate) fn from_environment() -> Result<Self, Exit> {
        let token = std::env::var("HF_TOKEN").ok().filter(|token| !token.trim().is_empty());
        Self::new(hub()?, token.as_deref(), Patience::default())
    }

    /// For one server, and without anybody's token.
    pub(crate) fn of(server: &Url) -> Result<Self, Exit> {
        Self::new(server.clone(), None, Patience::default())
    }

    pub(crate) fn new(hub: Url, token: Option<&str>, patience: Patience) -> Result<Self, Exit> {
        let token = token.map(bearer).transpose()?;
        let builder = reqwest::Client::builder()
            .user_agent(concat!("starling/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .redirect(Policy::custom(redirect));
        // A server on this machine is asked without encryption: no need for anybody's certificates.
        let builder = if name::is_loopback(&hub) { builder.tls_certs_only([]) } else { builder };
        let http = builder.build().map_err(|error| {
            let what = format!("cannot ask any server safely: {}", cause(&error));
            Exit::usage(what, "install the system's certificates (package ca-certificates)")
        })?;
        Ok(Self { http, hub, token, patience })
    }

    pub(crate) fn hub(&self) -> &Url {
        &self.hub
    }

    /// Asks for `url`; the answer has a status of success.
    pub(crate) async fn get(&self, url: &Url, mut headers: HeaderMap) -> Result<Response, Fault> {
        if url.origin() == self.hub.origin()
            && let Some(token) = &self.token
        {
            headers.insert(AUTHORIZATION, token.clone());
        }
        let request = self.http.get(url.clone()).headers(headers).send();
        let response = tokio::time::timeout(self.patience.silence, request)
            .await
            .map_err(|_| Fault::Passing(format!("{} does not answer", host(url))))?
            .map_err(|error| fault(url, error))?;
        self.judge(url, response)
    }

    fn judge(&self, url: &Url, response: Response) -> Result<Response, Fault> {
        let (status, host) = (response.status(), host(url));
        match status {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if url.origin() == self.hub.origin() => Err(Fault::last(
                format!("{host} does not give {} to {}: it is private or gated, or not there", url.path(), self.who()),
                "check the name; for a gated model accept its terms on its page, then set HF_TOKEN to a token of yours",
            )),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Fault::last(format!("{host} does not give {} to us ({status})", url.path()), "check the address"))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(Fault::last(format!("{host} has no {}", url.path()), "check the spelling of the name"))
            }
            // The caller knows what to do where its range is not there.
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Fault::Passing(format!("{host} says {status}")))
            }
            status if status.is_server_error() => Err(Fault::Passing(format!("{host} says {status}"))),
            status => Err(Fault::last(format!("{host} says {status}"), "check the address")),
        }
    }

    fn who(&self) -> &'static str {
        if self.token.is_some() { "the owner of this HF_TOKEN" } else { "strangers" }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Exit> {
    let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|_| Exit::usage("HF_TOKEN is no token", "copy it again from the hub"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The address of the hub: the environment may name a mirror, by the hub's own convention.
pub(crate) fn hub() -> Result<Url, Exit> {
    let text = std::env::var("HF_ENDPOINT").ok().filter(|text| !text.is_empty());
    let text = text.as_deref().unwrap_or(name::HUB);
    let hint = "set HF_ENDPOINT to an address such as https://huggingface.co, or leave it out";
    let url: Url =
        text.parse().map_err(|error| Exit::usage(format!("HF_ENDPOINT={text} is no address: {error}"), hint))?;
    if may_be_asked(&url) { Ok(url) } else { Err(Exit::usage(format!("HF_ENDPOINT={text} is not https://"), hint)) }
}

/// Only to where we would ask ourselves, and never from an encrypted address to one that is not. The library takes
/// the token off the request when the host changes.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("it sends us round in circles");
    }
    if !may_be_asked(attempt.url()) || (encrypted && attempt.url().scheme() != "https") {
        return attempt.error("it sends us to an address that is not encrypted");
    }
    attempt.follow()
}

/// An error of the library. Addresses stay out of it: what stands behind their ? may be a key.
pub(crate) fn fault(url: &Url, error: reqwest::Error) -> Fault {
    let (no_use, connects) = (error.is_redirect() || error.is_builder(), !error.is_connect());
    let what = cause(&error.without_url());
    let what = if connects { format!("{}: {what}", host(url)) } else { format!("cannot reach {}: {what}", host(url)) };
    if no_use { Fault::last(what, "check the address") } else { Fault::Passing(what) }
}

/// What lies at the bottom of an error of the library, on one line; above it stand layers that say nothing.
fn cause(error: &dyn std::error::Error) -> String {
    let last = std::iter::successors(Some(error), |error| error.source()).last();
    last.map(ToString::to_string).unwrap_or_default().replace('\n', " ")
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or("the server")
}

/// The text of a header, where it is there and plain.
pub(crate) fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}
