//! The chat socket, `GET /api/chat`: one task a socket, made of a reader and a writer.
//!
//! The reader understands what the page says and hands orders to the writer through a short queue.
//! The writer follows the turns: it takes from them what is new when the socket has taken what was
//! before, so a slow page costs one frame of memory. Turns go on without it.

mod reader;
mod writer;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use futures::StreamExt;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{auth::SignedIn, error::ApiError, sockets::Place, wire::frames::ServerFrame};
use crate::{
    app::App,
    id::{ConversationId, TurnId},
    turn,
};

/// The longest frame that a page may send, in bytes.
const MAX_FRAME: usize = 256 << 10;
/// What is still read to say that a frame was too long; beyond it the socket is closed.
const MAX_READ: usize = 1 << 20;
/// Orders from the reader that may wait for the writer.
const ORDERS: usize = 16;

/// What the writer is to do.
enum Order {
    Say(Box<ServerFrame>),
    Follow { turn: TurnId, conversation: ConversationId, reader: turn::Reader },
    Ping,
    Close { code: u16, reason: &'static str },
}

/// `GET /api/chat`
pub(super) async fn connect(
    State(app): State<App>,
    by: SignedIn,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| ApiError::NotAWebSocket)?;
    if app.life.drain.is_cancelled() {
        return Err(turn::TurnRefused::Stopping.into());
    }
    let place = app.sockets.enter(by.user.id)?;
    // A token must not wait for the next: nothing is kept back in the write buffer.
    let upgrade = upgrade.max_message_size(MAX_READ).max_frame_size(MAX_READ).write_buffer_size(0);
    let tasks = app.life.tasks.clone();
    let span = tracing::info_span!("socket", user = ?by.user.id);
    Ok(upgrade.on_upgrade(move |socket| tasks.track_future(serve(app, by, place, socket).instrument(span))))
}

async fn serve(app: App, by: SignedIn, _place: Place, socket: WebSocket) {
    let (outgoing, incoming) = socket.split();
    let (orders, queue) = mpsc::channel(ORDERS);
    let writer = writer::Writer::new(outgoing, app.dispatch.view(), app.life.clone());
    let reader = reader::Reader::new(app, by, orders);
    tracing::debug!("open");
    tokio::select! {
        () = reader.run(incoming) => {}
        () = writer.run(queue) => {}
    }
    tracing::debug!("closed");
}
