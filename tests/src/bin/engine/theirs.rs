//! llama-server, over HTTP.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::Options;
use crate::asked::{Answered, Asked, Engine};

/// Longest time that it may take to load.
const LOAD_LIMIT: Duration = Duration::from_secs(180);

pub(crate) struct Theirs {
    child: Child,
    url: String,
    http: reqwest::Client,
    pub(crate) load_seconds: f64,
}

impl Theirs {
    pub(crate) async fn start(program: &Path, options: &Options) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let started = Instant::now();
        let child = Command::new(program)
            .arg("--model")
            .arg(&options.model)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--parallel", &options.slots.to_string()])
            .args(["--ctx-size", &(options.context * options.slots).to_string()])
            .args(["--threads", &options.threads.to_string(), "--jinja", "--no-webui"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        // It closes connections that were idle for a while, and that while is our turn.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self { child, url, http, load_seconds: 0.0 };
        while !server.is_ready().await {
            if let Some(status) = server.child.try_wait()? {
                bail!("llama-server ended while it loaded ({status})");
            }
            ensure!(started.elapsed() < LOAD_LIMIT, "llama-server did not load within {LOAD_LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.load_seconds = started.elapsed().as_secs_f64();
        Ok(server)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/health", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

impl Engine for Theirs {
    async fn ask(&self, asked: Asked) -> Result<Answered> {
        let roles = ["user", "assistant"].into_iter().cycle();
        let messages: Vec<Value> =
            asked.turns.iter().zip(roles).map(|(text, role)| json!({"role": role, "content": text})).collect();
        let body = json!({
            "messages": messages, "max_tokens": asked.max_tokens, "temperature": 0, "stream": true,
            "stream_options": {"include_usage": true}, "cache_prompt": true, "timings_per_token": false,
        });
        let started = Instant::now();
        let answer = self.http.post(format!("{}/v1/chat/completions", self.url)).json(&body).send().await?;
        ensure!(answer.status().is_success(), "llama-server answered {}", answer.status());
        let mut bytes = answer.bytes_stream();
        let (mut rest, mut arrivals, mut text) = (Vec::new(), Vec::new(), String::new());
        let mut last = Value::Null;
        while let Some(chunk) = bytes.next().await {
            rest.extend_from_slice(&chunk?);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let Some(data) = line.strip_prefix(b"data: {") else { continue };
                let event: Value = serde_json::from_slice(&[b"{", data].concat())?;
                if let Some(more) = event["choices"][0]["delta"]["content"].as_str() {
                    arrivals.push(Instant::now());
                    text += more;
                }
                if event["usage"].is_object() {
                    last = event;
                }
            }
        }
        let number = |value: &Value| u32::try_from(value.as_u64().unwrap_or_default()).unwrap_or(u32::MAX);
        let usage = &last["usage"];
        Ok(Answered {
            started,
            arrivals,
            text,
            prompt_tokens: number(&usage["prompt_tokens"]),
            completion_tokens: number(&usage["completion_tokens"]),
            cached_tokens: number(&usage["prompt_tokens_details"]["cached_tokens"]),
        })
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
