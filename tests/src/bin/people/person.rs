//! Somebody with an account, and what they do over HTTP.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// Sign-ups that are under way at one time: each takes the gateway some CPU.
const AT_ONCE: usize = 4;
const LIMIT: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a long enough password";

/// A gateway's HTTP.
#[derive(Clone)]
pub(crate) struct Gateway {
    address: String,
    client: Client,
}

/// Somebody who has signed in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) token: String,
}

impl Gateway {
    pub(crate) fn new(address: &str) -> Result<Self> {
        // A connection for each request that is under way, kept for the next.
        let client = Client::builder().timeout(LIMIT).no_proxy().build()?;
        Ok(Self { address: address.to_owned(), client })
    }

    pub(crate) fn socket(&self) -> String {
        format!("ws://{}/api/chat", self.address)
    }

    /// So many people with names of their own.
    pub(crate) async fn people(&self, count: usize, prefix: &str) -> Result<Vec<Person>> {
        let names = (0..count).map(|number| format!("{prefix}-{number}"));
        let people = stream::iter(names).map(|name| async move { self.sign_up(&name).await });
        people.buffer_unordered(AT_ONCE).try_collect().await
    }

    pub(crate) async fn sign_up(&self, name: &str) -> Result<Person> {
        self.enter("/api/account", name).await
    }

    pub(crate) async fn sign_in(&self, name: &str) -> Result<Person> {
        self.enter("/api/session", name).await
    }

    async fn enter(&self, path: &str, name: &str) -> Result<Person> {
        let asked = self.request(Method::POST, path).json(&json!({"username": name, "password": PASSWORD}));
        let answer = said(asked).await?;
        let token = answer["access_token"].as_str().context("no access token")?.to_owned();
        Ok(Person { token })
    }

    /// What a person gets.
    pub(crate) async fn get(&self, person: &Person, path: &str) -> Result<Value> {
        said(self.request(Method::GET, path).bearer_auth(&person.token)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }
}

async fn said(request: RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    Ok(serde_json::from_str(&text)?)
}
