//! Many open sockets, and answers on some of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::person::{Gateway, Person};
use crate::socket::{Answer, PROMPT, Socket};
use crate::tally::spread;

/// Sockets that are being opened at one time: a gateway lets few strangers wait.
const OPENING: usize = 24;
/// Sockets of one person, below what a gateway allows.
const OF_ONE: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Sockets that are open all the time.
    #[arg(long, default_value_t = 1_000)]
    sockets: usize,
    /// Of these, sockets with an answer on them at the same time.
    #[arg(long, default_value_t = 200)]
    streams: usize,
    /// How often each of them asks, one answer after another.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Tokens a second of the scripted engine, for each answer.
    #[arg(long, default_value_t = 20)]
    pace: u32,
}

pub(crate) async fn run(options: &Options, gateway: &Gateway, script: &str) -> Result<Value> {
    let expected = starling_tests::expected_text(script, PROMPT, None);
    let people = gateway.people(options.sockets.div_ceil(OF_ONE), "socket").await.context("nobody could sign up")?;
    let mut sockets = open(options.sockets, gateway, &people).await?;
    let quiet = sockets.split_off(options.streams.min(sockets.len()));
    // Those without an answer answer pings, and nothing else.
    let mut quiet: JoinSet<Socket> = quiet.into_iter().map(|socket| async move { wait(socket).await }).collect();
    let began = Instant::now();
    let mut busy: JoinSet<(Option<Socket>, Vec<Result<Answer>>)> =
        sockets.into_iter().map(|socket| ask(socket, options.rounds)).collect();
    let mut answers = vec![];
    let mut left = vec![];
    while let Some(one) = busy.join_next().await {
        let (socket, heard) = one?;
        left.extend(socket);
        answers.extend(heard);
    }
    let seconds = began.elapsed().as_secs_f64();
    let gone = std::iter::from_fn(|| quiet.try_join_next()).count();
    quiet.abort_all();
    let alive = alive(left).await;
    report(options, &answers, &expected, (gone, options.streams - alive), seconds)
}

async fn open(count: usize, gateway: &Gateway, people: &[Person]) -> Result<Vec<Socket>> {
    let opened = stream::iter(0..count).map(|number| Socket::open(gateway, &people[number % people.len()]));
    opened.buffer_unordered(OPENING).try_collect().await.context("not all sockets could be opened")
}

/// Comes back only when the gateway has closed it.
async fn wait(mut socket: Socket) -> Socket {
    socket.idle().await;
    socket
}

async fn ask(mut socket: Socket, rounds: usize) -> (Option<Socket>, Vec<Result<Answer>>) {
    let mut heard = vec![];
    for _ in 0..rounds {
        let answer = socket.ask().await;
        let broken = answer.is_err();
        heard.push(answer);
        if broken {
            return (None, heard);
        }
    }
    (Some(socket), heard)
}

async fn alive(sockets: Vec<Socket>) -> usize {
    let asked = stream::iter(sockets).map(|mut socket| async move { socket.is_alive().await.is_ok() });
    asked.buffer_unordered(OPENING).filter(|alive| std::future::ready(*alive)).count().await
}

fn report(
    options: &Options,
    answers: &[Result<Answer>],
    expected: &str,
    (closed, silent): (usize, usize),
    seconds: f64,
) -> Result<Value> {
    let pace = Duration::from_secs(1) / options.pace;
    let good: Vec<&Answer> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    let first = good.iter().filter_map(|answer| Some((*answer.arrivals.first()? - answer.asked).as_secs_f64() * 1e3));
    let failures = answers.iter().filter_map(|answer| answer.as_ref().err().map(|error| format!("{error:#}")));
    Ok(json!({
        "sockets": options.sockets,
        "dropped": closed + silent,
        "answers": good.len(),
        "wrong": good.iter().filter(|answer| answer.text != expected).count(),
        "failed": answers.len() - good.len(),
        "failures": failures.take(3).collect::<Vec<_>>(),
        "first_token_ms": spread(first.collect()),
        "delay_ms": spread(good.iter().flat_map(|answer| answer.delays(pace)).collect()),
        "tokens_per_second": good.iter().map(|answer| answer.arrivals.len()).sum::<usize>() as f64 / seconds,
    }))
}
