//! The gateway, from outside: what it has in sight, what it has carried, what it answers.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// Longer than any answer here may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const PROMPT: &str = "How do starlings turn in the air all at once?";

#[derive(Clone)]
pub(crate) struct Gateway {
    http: reqwest::Client,
    url: String,
    key: String,
    access: String,
}

/// What came.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) first_token: Option<Duration>,
}

impl Answer {
    /// Takes a line of the stream; true when it was the last.
    fn take(&mut self, line: &str, begin: Instant) -> Result<bool> {
        let Some(data) = line.trim_end().strip_prefix("data: ") else { return Ok(false) };
        if data == "[DONE]" {
            return Ok(true);
        }
        let event: Value = serde_json::from_str(data).context("an event is no JSON")?;
        if let Some(error) = event.get("error") {
            bail!("the stream broke off: {}", error["code"]);
        }
        let piece = event["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        if !piece.is_empty() {
            self.first_token.get_or_insert_with(|| begin.elapsed());
            self.text.push_str(piece);
        }
        Ok(false)
    }
}

impl Gateway {
    pub(crate) fn new(address: &str) -> Result<Self> {
        let secret = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        let http = reqwest::Client::builder().timeout(ANSWER_LIMIT).no_proxy().build()?;
        let (key, access) = (secret("STARLING_API_KEY")?, secret("STARLING_ACCESS_TOKEN")?);
        Ok(Self { http, url: format!("http://{address}"), key, access })
    }

    /// The nodes with a model, by id.
    pub(crate) async fn in_sight(&self) -> Result<HashSet<String>> {
        let view: Value = self.get("/api/swarm").await?.json().await?;
        let nodes = view["nodes"].as_array().context("no nodes in the answer")?;
        let serving = nodes.iter().filter(|node| node["models"].as_array().is_some_and(|models| !models.is_empty()));
        Ok(serving.filter_map(|node| Some(node["peer"].as_str()?.to_owned())).collect())
    }

    /// Bytes of all streams of ours so far, both ways together.
    pub(crate) async fn stream_bytes(&self) -> Result<f64> {
        let page = self.get("/metrics").await?.text().await?;
        let samples = page.lines().filter(|line| line.starts_with("starling_stream_bytes_total"));
        Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// One whole answer, as it comes.
    pub(crate) async fn ask(&self) -> Result<Answer> {
        let begin = Instant::now();
        let body = json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": PROMPT}]});
        let request = self.http.post(format!("{}/v1/chat/completions", self.url)).bearer_auth(&self.key);
        let mut response = request.json(&body).send().await?;
        let status = response.status();
        if status != 200 {
            let answer: Value = response.json().await?;
            bail!("{status}: {}", answer["error"]["code"]);
        }
        let (mut answer, mut unread) = (Answer::default(), Vec::new());
        while let Some(bytes) = response.chunk().await? {
            unread.extend_from_slice(&bytes);
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                if answer.take(&String::from_utf8_lossy(&line), begin)? {
                    return Ok(answer);
                }
            }
        }
        bail!("the stream ended without [DONE]")
    }

    /// What a whole answer is, from a node with these options.
    pub(crate) fn expected(scripted: &str) -> String {
        starling_tests::expected_text(scripted, PROMPT, None)
    }

    async fn get(&self, path: &str) -> Result<reqwest::Response> {
        let response = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.access).send().await?;
        ensure!(response.status() == 200, "{path}: {}", response.status());
        Ok(response)
    }
}
