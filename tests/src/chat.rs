//! A chat socket as the page has one, with waiting in place of guessing.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::PATIENCE;

/// One open socket.
pub struct Chat(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Chat {
    /// Opens the socket with a session cookie.
    pub async fn connect(url: &str, cookie: &str) -> Self {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Self(socket)
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

    /// The next frame of one of these types; others are passed over.
    pub async fn wait_for(&mut self, types: &[&str]) -> Value {
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
        timeout(PATIENCE, next).await.unwrap_or_else(|_| panic!("none of {types:?} came"))
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
