//! A chat socket as the page has one, with waiting in place of guessing.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use crate::PATIENCE;

/// An answer as a page has it.
#[derive(Debug, Default)]
pub struct Answer {
    /// Its turn, once it was accepted.
    pub turn: Value,
    /// All of it so far.
    pub text: String,
    /// Of the last piece.
    pub seq: u64,
}

impl Answer {
    /// One more piece: it has to follow on the one before it, or to stand for all of them.
    pub fn take(&mut self, piece: &Value) {
        let (from, seq) = (piece["from"].as_u64().unwrap(), piece["seq"].as_u64().unwrap());
        if from == 0 {
            self.text.clear();
        } else {
            assert_eq!(from, self.seq, "a gap, or a double");
        }
        self.text.push_str(piece["text"].as_str().unwrap());
        self.seq = seq;
        assert_eq!(self.text.len() as u64, seq);
    }
}

/// One open socket.
pub struct Chat(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Chat {
    /// Asks in a new conversation and reads that many bytes of the answer. Gives the conversation's id too.
    pub async fn begin(&mut self, question: &str, bytes: usize) -> (Value, Answer) {
        self.ask(None, question).await;
        let accepted = self.wait_for(&["accepted"]).await;
        let mut answer = Answer { turn: accepted["turn"].clone(), ..Answer::default() };
        self.read(&mut answer, bytes).await;
        (accepted["conversation"]["id"].clone(), answer)
    }

    /// Opens the socket with an access token.
    pub async fn connect(url: &str, access: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self::enter(socket, access).await
    }

    async fn enter(socket: WebSocketStream<MaybeTlsStream<TcpStream>>, access: &str) -> Self {
        let mut chat = Self(socket);
        chat.send(&json!({"type": "authenticate", "token": access})).await;
        chat
    }

    /// Sends one frame.
    pub async fn send(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Asks in a new conversation, or in the one given.
    pub async fn ask(&mut self, conversation: Option<&str>, text: &str) {
        self.send(&json!({"type": "ask", "request": "r1", "conversation": conversation, "text": text, "model": null}))
            .await;
    }

    /// The next frame; `None` when the gateway has closed the socket.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("nothing came")? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame of one of these types; others are passed over.
    pub async fn wait_for(&mut self, types: &[&str]) -> Value {
        self.wait_for_within(types, PATIENCE).await
    }

    /// As [`wait_for`](Self::wait_for), with another limit.
    pub async fn wait_for_within(&mut self, types: &[&str], limit: Duration) -> Value {
        let next = async {
            loop {
                let message = self.0.next().await.expect("the socket closed").unwrap();
                let Message::Text(text) = message else { continue };
                let frame: Value = serde_json::from_str(&text).unwrap();
                if types.contains(&frame["type"].as_str().unwrap()) {
                    return frame;
                }
            }
        };
        timeout(limit, next).await.unwrap_or_else(|_| panic!("none of {types:?} came"))
    }

    /// As [`connect`](Self::connect), when the gateway is there again.
    pub async fn connect_again(url: &str, access: &str) -> Self {
        let tries = async {
            loop {
                match tokio_tungstenite::connect_async(url).await {
                    Ok((socket, _)) => return Self::enter(socket, access).await,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        timeout(PATIENCE, tries).await.expect("the gateway never came back")
    }

    /// Follows a conversation's turn behind what is there of it.
    pub async fn join(&mut self, conversation: &Value, answer: &Answer) {
        let Answer { turn, seq, .. } = answer;
        self.send(&json!({"type": "join", "conversation": conversation, "turn": turn, "last_seq": seq})).await;
    }

    /// Reads pieces until the answer has so many bytes, or to its end; the frame that ended it.
    pub async fn read(&mut self, answer: &mut Answer, bytes: usize) -> Option<Value> {
        while answer.text.len() < bytes {
            let frame = self.wait_for(&["accepted", "piece", "done", "failed"]).await;
            match frame["type"].as_str().unwrap() {
                "accepted" => answer.turn = frame["turn"].clone(),
                "piece" => answer.take(&frame),
                _ => return Some(frame),
            }
        }
        None
    }

    /// Every piece until the turn ends, put together, and the frame that ended it.
    pub async fn read_answer(&mut self) -> (String, Value) {
        let mut text = String::new();
        loop {
            let frame = self.wait_for(&["piece", "done", "failed"]).await;
            match frame["text"].as_str() {
                Some(piece) => text.push_str(piece),
                None => return (text, frame),
            }
        }
    }
}
