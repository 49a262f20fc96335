//! Many streams at once, timed token by token: against the scripted engine alone, in this process,
//! or through a gateway and a swarm. Prints one JSON object; `cargo xtask bench path` runs it.
//!
//! The path is driven over bare HTTP/1.0, where an answer ends with its connection: no client
//! library's buffers stand between the socket and the clock. Every answer is compared with what the
//! script says, so that a lost, doubled or swapped token counts as wrong.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod backend;
mod figures;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use starling_inference::{Handle, Message, Output, Request, Role, Sampling, Source, open, scripted};
use starling_tests::figures::Usage;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// A stream that says nothing for this long has failed.
const SILENCE: Duration = Duration::from_secs(60);
const PROMPT: &str = "How do starlings turn in the air all at once?";

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    target: Where,
    /// Streams at once.
    #[arg(long, global = true, default_value_t = 1)]
    streams: usize,
    /// How often that many streams are started, each time when all of the last have ended.
    #[arg(long, global = true, default_value_t = 1)]
    waves: usize,
    /// The scripted engine's options; for the path those that its node runs with.
    #[arg(long, global = true, default_value = "seed=1")]
    scripted: String,
    /// Most tokens of an answer; what the script says when it is not given.
    #[arg(long, global = true)]
    max_tokens: Option<u32>,
    /// Each stream is a chat of so many questions, one after the other; the figures are those of the first tokens.
    #[arg(long, global = true, default_value_t = 1)]
    turns: usize,
    /// Words in the first question of a chat.
    #[arg(long, global = true, default_value_t = 1_000)]
    words: usize,
}

#[derive(Subcommand)]
enum Where {
    /// The engine in this process.
    Engine,
    /// Nothing is asked: the engine is served over HTTP, as other gateways want their backends.
    Backend,
    /// A gateway. The API key comes from STARLING_API_KEY.
    Path {
        /// HOST:PORT
        #[arg(long)]
        gateway: String,
        #[arg(long, default_value = "scripted")]
        model: String,
    },
}

/// What is asked.
#[derive(Clone)]
enum Target {
    Engine(Handle, Option<u32>),
    Path { gateway: String, head: String, body: String },
}

/// One answer, as it came.
struct Answer {
    started: Instant,
    /// One for each piece of text; the scripted engine gives a token in each.
    arrivals: Vec<Instant>,
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let script: scripted::Options = options.scripted.parse()?;
    if matches!(options.target, Where::Backend) {
        return backend::serve(engine(script)?).await;
    }
    if options.turns > 1 {
        println!("{}", turns::run(&options, script).await?);
        return Ok(());
    }
    let expected = script.expected_text(&request(question(), options.max_tokens));
    let target = Target::of(&options, script)?;
    let before = Instant::now();
    let mut answers = Vec::new();
    let mut failures = Vec::new();
    for _ in 0..options.waves {
        for answer in wave(&target, options.streams).await {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
    }
    let wrong = answers.iter().filter(|answer| answer.text != expected).count();
    let mut report = figures::times(&answers, before.elapsed());
    report["failed"] = failures.len().into();
    report["failures"] = failures.into_iter().take(3).collect();
    report["wrong"] = wrong.into();
    report["cpu_seconds"] = Usage::own().cpu_seconds.into();
    println!("{report}");
    Ok(())
}

/// Starts that many streams at the same moment and waits for all of them.
async fn wave(target: &Target, streams: usize) -> Vec<Result<Answer>> {
    let start = Arc::new(Barrier::new(streams));
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        tasks.spawn(ask(target.clone(), Arc::clone(&start)));
    }
    let joined = tasks.join_all().await;
    joined.into_iter().collect()
}

async fn ask(target: Target, start: Arc<Barrier>) -> Result<Answer> {
    match target {
        Target::Engine(handle, max_tokens) => {
            start.wait().await;
            ask_engine(&handle, request(question(), max_tokens)).await
        }
        Target::Path { gateway, head, body } => {
            // Connected before the clock runs, as a browser or a client with a pool would be.
            let socket = TcpStream::connect(&gateway).await;
            start.wait().await;
            ask_path(socket?, &head, &body).await
        }
    }
}

async fn ask_engine(handle: &Handle, request: Request) -> Result<Answer> {
    let mut answer = Answer::begin();
    let mut generation = handle.generate(request).await?;
    loop {
        let output = tokio::time::timeout(SILENCE, generation.next()).await.context("the engine is silent")?;
        match output.context("the engine ended without an end")? {
            Output::Started { .. } | Output::Vector { .. } => {}
            Output::Piece { text, .. } => answer.take(&text),
            Output::Done { .. } => return Ok(answer),
            Output::Failed(failure) => bail!("the engine failed: {failure}"),
        }
    }
}

async fn ask_path(mut socket: TcpStream, head: &str, body: &str) -> Result<Answer> {
    socket.set_nodelay(true)?;
    let mut answer = Answer::begin();
    socket.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        if next_line(&mut reader, &mut line).await? == 0 {
            bail!("the gateway closed the connection before it answered");
        }
        if line.starts_with("HTTP/") && !line.contains(" 200 ") {
            let mut rest = String::new();
            reader.read_to_string(&mut rest).await?;
            bail!("the gateway answered {}: {}", line.trim(), rest.lines().last().unwrap_or_default());
        }
    }
    loop {
        match line.trim_end().strip_prefix("data: ") {
            Some("[DONE]") => return Ok(answer),
            Some(event) => answer.take_event(event)?,
            None => {}
        }
        line.clear();
        if next_line(&mut reader, &mut line).await? == 0 {
            bail!("the stream ended without [DONE]");
        }
    }
}

async fn next_line(reader: &mut BufReader<TcpStream>, line: &mut String) -> Result<usize> {
    let read = tokio::time::timeout(SILENCE, reader.read_line(line)).await;
    Ok(read.context("the gateway is silent")??)
}

fn question() -> Vec<Message> {
    vec![Message::new(Role::User, PROMPT)]
}

fn request(messages: Vec<Message>, max_tokens: Option<u32>) -> Request {
    Request { max_tokens, messages, sampling: Sampling { seed: Some(1), ..Sampling::default() }, ..Request::default() }
}

impl Target {
    fn of(options: &Options, script: scripted::Options) -> Result<Self> {
        let Where::Path { gateway, model } = &options.target else {
            return Ok(Self::Engine(engine(script)?, options.max_tokens));
        };
        let (head, body) = http(gateway, model, &question(), options.max_tokens)?;
        Ok(Self::Path { gateway: gateway.clone(), head, body })
    }
}

/// The head and the body of a question to a gateway.
fn http(gateway: &str, model: &str, messages: &[Message], max_tokens: Option<u32>) -> Result<(String, String)> {
    let key = std::env::var("STARLING_API_KEY").context("STARLING_API_KEY is not set")?;
    let said = |message: &Message| json!({"role": message.role.as_str(), "content": message.content});
    let messages: Vec<Value> = messages.iter().map(said).collect();
    let mut body = json!({"model": model, "messages": messages, "seed": 1, "stream": true});
    if let Some(most) = max_tokens {
        body["max_tokens"] = most.into();
    }
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.0\r\nhost: {gateway}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    Ok((head, body))
}

/// The engine on a thread of its own, as in a node.
fn engine(script: scripted::Options) -> Result<Handle> {
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || match open(&Source::Scripted(script)) {
        Ok((handle, runner)) => {
            let _ = send.send(Ok(handle));
            runner.run();
        }
        Err(error) => drop(send.send(Err(error))),
    });
    Ok(receive.recv()??)
}

impl Answer {
    fn begin() -> Self {
        Self { started: Instant::now(), arrivals: Vec::new(), text: String::new() }
    }

    fn take(&mut self, text: &str) {
        if !text.is_empty() {
            self.arrivals.push(Instant::now());
            self.text.push_str(text);
        }
    }

    fn take_event(&mut self, event: &str) -> Result<()> {
        let event: Value = serde_json::from_str(event).context("an event is no JSON")?;
        if let Some(error) = event.get("error") {
            bail!("the stream broke off: {error}");
        }
        self.take(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        Ok(())
    }

    fn gaps(&self) -> impl Iterator<Item = Duration> {
        self.arrivals.windows(2).map(|pair| pair[1] - pair[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_counts_as_a_token() {
        let mut answer = Answer::begin();
        answer.take_event(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#).unwrap();
        answer.take_event(r#"{"choices":[{"delta":{"content":"ab "}}]}"#).unwrap();
        answer.take_event(r#"{"choices":[],"usage":{"completion_tokens":1}}"#).unwrap();
        assert_eq!((answer.arrivals.len(), answer.text.as_str()), (1, "ab "));
        assert!(answer.take_event(r#"{"error":{"message":"gone"}}"#).is_err());
        assert!(answer.take_event("half an ev").is_err());
    }
}
