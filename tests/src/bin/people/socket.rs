//! A chat socket as a page has one, and one answer read from it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::person::{Gateway, Person};

/// A socket that says nothing for so long, where something has to come, has failed.
const SILENCE: Duration = Duration::from_secs(60);
pub(crate) const PROMPT: &str = "How do starlings turn in the air all at once?";

pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// An answer and when each of its tokens came.
pub(crate) struct Answer {
    pub(crate) asked: Instant,
    /// One for each token; those that came together came at the same time.
    pub(crate) arrivals: Vec<Instant>,
    pub(crate) text: String,
}

impl Socket {
    /// Opens it and says whose it is.
    pub(crate) async fn open(gateway: &Gateway, person: &Person) -> Result<Self> {
        let (socket, _) = timeout(SILENCE, tokio_tungstenite::connect_async(gateway.socket())).await??;
        let mut socket = Self(socket);
        socket.say(&json!({"type": "authenticate", "token": person.token})).await?;
        socket.wait_for(&["hello"]).await?;
        Ok(socket)
    }

    /// Asks in a new conversation and reads to the end.
    pub(crate) async fn ask(&mut self) -> Result<Answer> {
        let asked = Instant::now();
        let question = json!({"type": "ask", "request": "r", "conversation": null, "text": PROMPT, "model": null});
        self.say(&question).await?;
        let mut answer = Answer { asked, arrivals: vec![], text: String::new() };
        // What is meant for other windows of the same person comes here too.
        let turn = loop {
            let frame = self.wait_for(&["accepted", "failed"]).await?;
            match frame["type"].as_str() {
                Some("accepted") if frame["request"] == "r" => break frame["turn"].clone(),
                Some("failed") => bail!("refused: {}", frame["error"]["code"]),
                _ => {}
            }
        };
        loop {
            let frame = self.wait_for(&["piece", "done", "failed"]).await?;
            if frame["turn"] != turn {
                continue;
            }
            match frame["type"].as_str() {
                Some("piece") => answer.take(&frame)?,
                Some("done") => return Ok(answer),
                _ => bail!("broke off: {}", frame["error"]["code"]),
            }
        }
    }

    /// Whether the gateway still answers here.
    pub(crate) async fn is_alive(&mut self) -> Result<()> {
        let nowhere = "00000000-0000-7000-8000-000000000000";
        self.say(&json!({"type": "join", "conversation": nowhere, "turn": null, "last_seq": 0})).await?;
        self.wait_for(&["idle"]).await.map(drop)
    }

    async fn say(&mut self, frame: &Value) -> Result<()> {
        Ok(self.0.send(Message::text(frame.to_string())).await?)
    }

    async fn wait_for(&mut self, types: &[&str]) -> Result<Value> {
        let next = async {
            loop {
                let message = self.0.next().await.context("the socket was closed")??;
                let Message::Text(text) = message else { continue };
                let frame: Value = serde_json::from_str(&text)?;
                if frame["type"].as_str().is_some_and(|kind| types.contains(&kind)) {
                    return anyhow::Ok(frame);
                }
            }
        };
        timeout(SILENCE, next).await.with_context(|| format!("none of {types:?} came"))?
    }

    /// Reads what comes, so that pings are answered, until it is closed.
    pub(crate) async fn idle(&mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

impl Answer {
    fn take(&mut self, piece: &Value) -> Result<()> {
        let (from, text) = (piece["from"].as_u64(), piece["text"].as_str().unwrap_or_default());
        if from != Some(self.text.len() as u64) {
            bail!("a gap, or a double: {from:?} behind {} bytes", self.text.len());
        }
        self.text.push_str(text);
        // The scripted engine's tokens end in a blank each.
        let tokens = text.matches(' ').count();
        self.arrivals.extend(std::iter::repeat_n(Instant::now(), tokens));
        Ok(())
    }

    /// How much later than at its own pace each token came, in milliseconds; the earliest came at no delay.
    pub(crate) fn delays(&self, pace: Duration) -> Vec<f64> {
        let Some(first) = self.arrivals.first() else { return vec![] };
        let late = |(index, at): (usize, &Instant)| {
            (*at - *first).as_secs_f64() * 1e3 - pace.as_secs_f64() * 1e3 * index as f64
        };
        let late: Vec<f64> = self.arrivals.iter().enumerate().map(late).collect();
        let least = late.iter().copied().fold(f64::INFINITY, f64::min);
        late.into_iter().map(|late| late - least).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_over_the_engines_own_pace() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let answer = Answer { asked: now, arrivals: vec![at(10), at(60), at(130), at(160)], text: String::new() };
        let delays: Vec<u64> = answer.delays(Duration::from_millis(50)).iter().map(|ms| ms.round() as u64).collect();
        assert_eq!(delays, [0, 0, 20, 0]);
    }
}
