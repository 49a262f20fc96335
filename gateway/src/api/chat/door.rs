//! The first frame of a socket: who it is for. Until then nothing is said but a refusal.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::time::timeout;

use super::{Guest, code};
use crate::{
    api::{auth, extract, sockets::Place, wire::frames::ClientFrame},
    app::App,
    id::UserId,
};

/// How long the first frame may take.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// The longest first frame, in bytes: a token and what is around it.
const MAX_FIRST_FRAME: usize = 4 << 10;
/// How long a page may take to accept that it is refused.
const LAST_WORD: Duration = Duration::from_secs(2);

type Refused = (u16, &'static str);

/// Whoever shows a token that counts. Others are told why not, by the code that their socket is closed with.
pub(super) async fn enter(app: &App, mut socket: WebSocket) -> Option<(Guest, Place<UserId>, WebSocket)> {
    let asked = tokio::select! {
        asked = timeout(FIRST_FRAME, ask(app, &mut socket)) => asked.unwrap_or(Err((code::NO_TOKEN, "no token came"))),
        () = app.life.drain.cancelled() => Err((close_code::AWAY, "stopping")),
    };
    match asked {
        Ok((guest, place)) => Some((guest, place, socket)),
        Err((code, reason)) => {
            let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
            let _ = timeout(LAST_WORD, socket.send(close)).await;
            None
        }
    }
}

async fn ask(app: &App, socket: &mut WebSocket) -> Result<(Guest, Place<UserId>), Refused> {
    let token = first_frame(socket).await?;
    let guest = check(app, &token).await?;
    let place = app.sockets.enter(guest.by.user.id).map_err(|_| (code::TOO_MANY, "too many sockets are open"))?;
    Ok((guest, place))
}

async fn first_frame(socket: &mut WebSocket) -> Result<String, Refused> {
    loop {
        let message = socket.recv().await.and_then(Result::ok).ok_or((close_code::PROTOCOL, "it broke"))?;
        return match message {
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Text(text) if text.len() <= MAX_FIRST_FRAME => match extract::parse(text.as_bytes()) {
                Ok(ClientFrame::Authenticate { token }) => Ok(token),
                _ => Err((code::UNAUTHENTICATED, "the first frame must be authenticate")),
            },
            Message::Text(_) | Message::Binary(_) => Err((close_code::POLICY, "the first frame must be authenticate")),
            Message::Close(_) => Err((close_code::NORMAL, "")),
        };
    }
}

/// Whose token it is.
pub(super) async fn check(app: &App, token: &str) -> Result<Guest, Refused> {
    match auth::signed_in(app, token).await {
        Ok(Some((by, claims))) => Ok(Guest { by, claims }),
        Ok(None) => Err((code::UNAUTHENTICATED, "the token does not count")),
        Err(_) => Err((close_code::AGAIN, "the database does not answer")),
    }
}
