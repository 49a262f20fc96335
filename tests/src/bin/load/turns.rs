//! Chats of several questions: how long the first token of each lets one wait. A node that has read a chat before has
//! only the new question to read; whoever asks another one waits for all of it.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use starling_inference::{Handle, Message, Role, scripted};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::{Answer, Options, Where, ask_engine, ask_path, engine, figures, http, request};

/// Words of the questions after the first.
const NEXT_WORDS: usize = 100;

/// Who is asked.
#[derive(Clone)]
enum Asked {
    Engine(Handle),
    Path { gateway: String, model: String },
}

/// All chats at the same time.
pub(crate) async fn run(options: &Options, script: scripted::Options) -> Result<Value> {
    let asked = match &options.target {
        Where::Path { gateway, model } => Asked::Path { gateway: gateway.clone(), model: model.clone() },
        Where::Engine | Where::Backend => Asked::Engine(engine(script.clone())?),
    };
    let mut chats = JoinSet::new();
    for chat in 0..options.streams {
        chats.spawn(hold(asked.clone(), script.clone(), chat, options.turns, options.words));
    }
    let (mut waits, mut failures) = (vec![Vec::new(); options.turns], Vec::new());
    for chat in chats.join_all().await {
        match chat {
            Ok(chat) => waits.iter_mut().zip(chat).for_each(|(turn, wait)| turn.push(wait)),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    let turns: Vec<Value> = waits.into_iter().map(|turn| figures::spread(&figures::sorted(turn.into_iter()))).collect();
    Ok(json!({"first_token_ms": turns, "failed": failures.len(), "failures": failures}))
}

/// The waits for the first tokens of one chat's answers, turn by turn.
async fn hold(
    asked: Asked,
    script: scripted::Options,
    chat: usize,
    turns: usize,
    words: usize,
) -> Result<Vec<Duration>> {
    let mut messages = Vec::new();
    let mut waits = Vec::new();
    for turn in 0..turns {
        let length = if turn == 0 { words } else { NEXT_WORDS };
        messages.push(Message::new(Role::User, text(chat, turn, length)));
        let answer = asked.ask(&messages).await?;
        anyhow::ensure!(answer.text == script.expected_text(&request(messages.clone(), None)), "a wrong answer");
        waits.push(*answer.arrivals.first().context("an answer without a token")? - answer.started);
        messages.push(Message::new(Role::Assistant, answer.text));
    }
    Ok(waits)
}

impl Asked {
    async fn ask(&self, messages: &[Message]) -> Result<Answer> {
        match self {
            Self::Engine(handle) => ask_engine(handle, request(messages.to_vec(), None)).await,
            Self::Path { gateway, model } => {
                let (head, body) = http(gateway, model, messages, None)?;
                ask_path(TcpStream::connect(gateway).await?, &head, &body).await
            }
        }
    }
}

/// Words that are another chat's from the first one on.
fn text(chat: usize, turn: usize, words: usize) -> String {
    (0..words).map(|word| format!("{chat}-{turn}-{word}")).collect::<Vec<_>>().join(" ")
}
