//! The little of the gateway's HTTP API that the commands use.

use std::io::{BufRead, BufReader};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::blocked::Blocked;

/// argon2 on a busy computer is the slowest thing asked for here.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// An access token counts for ten minutes; after half of them it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(300);

/// Somebody signed in at a gateway.
pub(crate) struct Session {
    agent: Agent,
    url: String,
    access: Mutex<Access>,
}

/// What opens the gateway's doors, and what is exchanged for the next.
#[derive(Clone)]
struct Access {
    token: String,
    cookie: String,
    since: Instant,
}

/// A user's name and password, as given to `--setup`.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl std::str::FromStr for Login {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                Ok(Self { username: name.to_owned(), password: password.to_owned() })
            }
            _ => Err("write it as USER:PASSWORD".into()),
        }
    }
}

impl Session {
    /// Makes the first administrator.
    pub(crate) fn set_up(url: &str, code: &str, login: &Login) -> Result<Self> {
        let body = json!({"code": code, "username": login.username, "password": login.password});
        Self::open(url, "/api/setup", &body)
    }

    pub(crate) fn sign_in(url: &str, login: &Login) -> Result<Self> {
        let body = json!({"username": login.username, "password": login.password});
        Self::open(url, "/api/session", &body)
    }

    fn open(url: &str, path: &str, body: &Value) -> Result<Self> {
        let agent = agent(ANSWER_LIMIT);
        let response = agent.post(format!("{url}{path}")).send_json(body)?;
        Ok(Self { agent, url: url.to_owned(), access: Mutex::new(Access::of(response)?) })
    }

    /// The access token, for other programs too. Where it cannot be renewed just now, it is the one there is.
    pub(crate) fn access(&self) -> String {
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if access.since.elapsed() > RENEW_AFTER {
            let request = self.agent.post(format!("{}/api/session/refresh", self.url)).header("cookie", &access.cookie);
            if let Ok(next) = request.send_json(json!({})).map_err(anyhow::Error::from).and_then(Access::of) {
                *access = next;
            }
        }
        access.token.clone()
    }

    /// What a GET answers.
    pub(crate) fn get(&self, path: &str) -> Result<Response<Body>> {
        let mut response =
            self.agent.get(format!("{}{path}", self.url)).header("authorization", self.bearer()).call()?;
        if response.status() != 200 {
            return Err(refusal(&mut response));
        }
        Ok(response)
    }

    /// A new API key.
    pub(crate) fn make_key(&self, label: &str) -> Result<String> {
        let request = self.agent.post(format!("{}/api/keys", self.url)).header("authorization", self.bearer());
        let mut response = request.send_json(json!({"label": label}))?;
        if response.status() != 201 {
            return Err(refusal(&mut response));
        }
        let answer: Value = response.body_mut().read_json()?;
        Ok(answer["secret"].as_str().context("no secret in the answer")?.to_owned())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.access())
    }
}

impl Access {
    /// Of an answer that lets somebody in.
    fn of(mut response: Response<Body>) -> Result<Self> {
        let cookie = cookie_of(&response);
        match response.status().as_u16() {
            200 | 201 => {}
            _ => return Err(refusal(&mut response)),
        }
        let cookie = cookie.context("the gateway sent no session cookie")?;
        let answer: Value = response.body_mut().read_json()?;
        let token = answer["access_token"].as_str().context("no access token in the answer")?.to_owned();
        Ok(Self { token, cookie, since: Instant::now() })
    }
}

/// Asks for an answer that comes piece by piece: the lines of an event stream, as they come.
pub(crate) fn stream(url: &str, key: &str, body: &Value, limit: Duration) -> Result<impl BufRead + use<>> {
    let mut response = open_stream(url, key, body, limit)?;
    if response.status() != 200 {
        return Err(refusal(&mut response));
    }
    Ok(BufReader::new(response.into_body().into_reader()))
}

/// The same, whatever the gateway says to it.
pub(crate) fn open_stream(url: &str, key: &str, body: &Value, limit: Duration) -> Result<Response<Body>> {
    let request =
        agent(limit).post(format!("{url}/v1/chat/completions")).header("authorization", format!("Bearer {key}"));
    Ok(request.send_json(body)?)
}

/// What anybody may read there.
#[cfg(target_os = "linux")]
pub(crate) fn get_text(url: &str) -> Result<String> {
    let mut response = agent(ANSWER_LIMIT).get(url).call()?;
    if response.status() != 200 {
        return Err(refusal(&mut response));
    }
    Ok(response.body_mut().read_to_string()?)
}

fn agent(limit: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        // Loopback only: a proxy that is meant for the internet would not find us.
        .proxy(None);
    config.build().into()
}

/// `name=value` of the session's cookie.
fn cookie_of(response: &Response<Body>) -> Option<String> {
    let header = response.headers().get("set-cookie")?.to_str().ok()?;
    header.split(';').next().map(|pair| pair.trim().to_owned())
}

/// The gateway's own words for why not.
fn refusal(response: &mut Response<Body>) -> anyhow::Error {
    let status = response.status();
    let answer: Value = response.body_mut().read_json().unwrap_or_default();
    let message = answer["error"]["message"].as_str().unwrap_or("no message").to_owned();
    match answer["error"]["code"].as_str() {
        Some("wrong_credentials") => Blocked::error(
            format!("the data is there already, and this is not its administrator: {message}"),
            "give the name and password of the first run to --setup, or another folder to --data",
        ),
        _ => anyhow::anyhow!("the gateway answered {status}: {message}"),
    }
}

#[cfg(test)]
mod tests;
