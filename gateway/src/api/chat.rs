//! The chat socket, `GET /api/chat`: one task a socket, made of a reader and a writer. `docs/websocket.md` has what is
//! said on it.
//!
//! The socket opens for anybody; who it is for is said by its first frame. Then the reader understands what the page
//! says and hands orders to the writer through a short queue. The writer follows the turns: it takes from them what is
//! new when the socket has taken what was before, so a slow page costs one frame of memory. Turns go on without it.

mod door;
mod pulse;
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
use starling_protocol::swarm::PeerId;
use std::net::IpAddr;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{
    auth::{Address, SignedIn},
    error::ApiError,
    sockets::Place,
    wire::frames::ServerFrame,
};
use crate::{
    access::Claims,
    app::App,
    id::{ConversationId, TurnId},
    turn,
};

/// The longest frame that a page may send, in bytes.
const MAX_FRAME: usize = 256 << 10;
/// What is kept ready to read into, for each socket: pages say little. It grows with a longer frame.
const READ_BUFFER: usize = 4 << 10;
/// What is still read to say that a frame was too long; beyond it the socket is closed.
const MAX_READ: usize = 512 << 10;
/// Orders from the reader that may wait for the writer.
const ORDERS: usize = 16;

/// Why a socket was closed, beside the codes of RFC 6455. The page looks at them.
mod code {
    /// The token is none, has run out, or its session has ended: renew it and come again.
    pub(super) const UNAUTHENTICATED: u16 = 4401;
    /// The first frame did not come.
    pub(super) const NO_TOKEN: u16 = 4408;
    /// This person has too many sockets.
    pub(super) const TOO_MANY: u16 = 4429;
}

/// What the writer is to do.
enum Order {
    Say(Box<ServerFrame>),
    Follow { turn: TurnId, conversation: ConversationId, follower: Box<turn::Follower> },
    Watch { node: Option<PeerId> },
    Unwatch,
    Ping,
    Close { code: u16, reason: &'static str },
}

/// Who a socket is for, and what its token says.
struct Guest {
    by: SignedIn,
    claims: Claims,
}

/// `GET /api/chat`
#[utoipa::path(
    get,
    path = "/api/chat",
    summary = "The chat socket",
    responses((status = 101, description = "A WebSocket, on which the first frame says who it is")),
    security(()),
)]
pub(super) async fn connect(
    State(app): State<App>,
    address: Address,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| ApiError::NotAWebSocket)?;
    if app.life.drain.is_cancelled() {
        return Err(turn::TurnRefused::Stopping.into());
    }
    let place = app.sockets.knock(address.0)?;
    // A token must not wait for the next: nothing is kept back in the write buffer.
    let upgrade = upgrade.max_message_size(MAX_READ).max_frame_size(MAX_READ).write_buffer_size(0);
    let upgrade = upgrade.read_buffer_size(READ_BUFFER);
    let tasks = app.life.tasks.clone();
    Ok(upgrade.on_upgrade(move |socket| tasks.track_future(admit(app, place, socket))))
}

async fn admit(app: App, stranger: Place<IpAddr>, socket: WebSocket) {
    let Some((guest, place, socket)) = door::enter(&app, socket).await else { return };
    drop(stranger);
    let span = tracing::info_span!("socket", user = ?guest.by.user.id);
    serve(app, guest, socket).instrument(span).await;
    drop(place);
}

async fn serve(app: App, guest: Guest, socket: WebSocket) {
    let (outgoing, incoming) = socket.split();
    let (orders, queue) = mpsc::channel(ORDERS);
    let writer = writer::Writer::new(outgoing, &app);
    let reader = reader::Reader::new(app, guest, orders);
    tracing::debug!("open");
    tokio::select! {
        () = reader.run(incoming) => {}
        () = writer.run(queue) => {}
    }
    tracing::debug!("closed");
}
