//! What the page says.

use axum::extract::ws::{Message, WebSocket, close_code};
use futures::{StreamExt, stream::SplitStream};
use starling_protocol::message::Private;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    Guest, MAX_FRAME, Order, code, door,
    pulse::{Due, Pulse},
};
use crate::{
    api::{
        auth::SignedIn,
        error::ApiError,
        extract,
        wire::{
            ErrorBody, convert,
            frames::{ClientFrame, ServerFrame},
        },
    },
    app::App,
    clock::Timestamp,
    events::Event,
    id::{ConversationId, TurnId},
    limits::Bucket,
    store::{StoreError, messages::Status},
    turn::{Begun, Ended, Question, Says, TurnRefused},
};

/// Frames that make no sense, until the socket is closed.
const MAX_BAD_FRAMES: u32 = 10;
/// Longest id that the page may give a question, in bytes.
const MAX_REQUEST_BYTES: usize = 64;

/// Reads until the page is gone or misbehaves.
pub(super) struct Reader {
    app: App,
    by: SignedIn,
    pulse: Pulse,
    orders: mpsc::Sender<Order>,
    bad_frames: u32,
}

/// The writer is gone, or was told to close: there is nothing more to read.
struct Over;

impl Reader {
    pub(super) fn new(app: App, guest: Guest, orders: mpsc::Sender<Order>) -> Self {
        let pulse = Pulse::new(Instant::now(), guest.claims.remaining(Timestamp::now()));
        Self { app, by: guest.by, pulse, orders, bad_frames: 0 }
    }

    /// Ends when the page has gone. After an order to close it waits for the writer to carry it out.
    pub(super) async fn run(mut self, mut incoming: SplitStream<WebSocket>) {
        let mut window = self.app.events.window(self.by.user.id);
        loop {
            let step = tokio::select! {
                message = incoming.next() => {
                    self.pulse.heard();
                    let Some(Ok(message)) = message else { return };
                    self.hear(message).await
                }
                () = sleep_until(self.pulse.next()) => self.check().await,
                event = window.next() => self.tell(event).await,
            };
            if step.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// An account that was closed has no windows any more.
    async fn tell(&self, event: Event) -> Result<(), Over> {
        match convert::event(event) {
            Some(frame) => self.say(frame).await,
            None => self.close(code::UNAUTHENTICATED, "the account was closed").await,
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), Over> {
        let parsed = match message {
            Message::Text(text) if text.len() <= MAX_FRAME => extract::parse(text.as_bytes()),
            Message::Text(_) => Err(too_long("frame", MAX_FRAME)),
            Message::Binary(_) => Err(ApiError::field("frame", "must be text")),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(()),
        };
        match parsed {
            Ok(frame) => self.take(frame).await,
            Err(error) => self.bad_frame(&error).await,
        }
    }

    async fn take(&mut self, frame: ClientFrame) -> Result<(), Over> {
        if let ClientFrame::Authenticate { token } = frame {
            return self.renew(&token).await;
        }
        self.check_session().await?;
        if let Some(refused) = self.count(&frame).await {
            return refused;
        }
        match frame {
            ClientFrame::Authenticate { .. } => Ok(()),
            ClientFrame::Ask { request, .. }
            | ClientFrame::Again { request, .. }
            | ClientFrame::GoOn { request, .. }
                if request.len() > MAX_REQUEST_BYTES =>
            {
                self.bad_frame(&too_long("request", MAX_REQUEST_BYTES)).await
            }
            ClientFrame::Ask { request, conversation, text, model, instead_of } => {
                let text = Private(text);
                let says = match instead_of {
                    Some(of) => Says::Edited { of, text },
                    None => Says::Text(text),
                };
                self.ask(request, conversation, says, model).await
            }
            ClientFrame::Again { request, conversation, answer, model } => {
                self.ask(request, Some(conversation), Says::Again { answer }, model).await
            }
            ClientFrame::GoOn { request, conversation, turn } => {
                let begun = self.app.turns.go_on(self.by.user.id, turn).await;
                self.begun(begun, request, Some(conversation)).await
            }
            ClientFrame::Stop { turn } => {
                // A turn that has ended meanwhile needs no stopping.
                self.app.turns.stop(self.by.user.id, turn);
                Ok(())
            }
            ClientFrame::Join { conversation, turn, last_seq } => self.join(conversation, turn, last_seq).await,
            ClientFrame::Watch { node } => self.watch(node).await,
            ClientFrame::Unwatch => self.order(Order::Unwatch).await,
        }
    }

    /// A question is a request like any other.
    async fn count(&self, frame: &ClientFrame) -> Option<Result<(), Over>> {
        let (ClientFrame::Ask { request, .. } | ClientFrame::Again { request, .. } | ClientFrame::GoOn { request, .. }) =
            frame
        else {
            return None;
        };
        let taken = self.app.limits.take(Bucket::User(self.by.user.id), 1).await;
        if taken.allowed || request.len() > MAX_REQUEST_BYTES {
            return None;
        }
        let error = told(&ApiError::RateLimited(taken));
        let request = Some(request.clone());
        let frame = ServerFrame::Failed { turn: None, request, conversation: None, error, message: None };
        Some(self.say(frame).await)
    }

    async fn ask(
        &self,
        request: String,
        conversation: Option<ConversationId>,
        says: Says,
        model: Option<String>,
    ) -> Result<(), Over> {
        let begun = self.app.turns.begin(Question { user: self.by.user.id, conversation, says, model }).await;
        self.begun(begun, request, conversation).await
    }

    async fn begun(
        &self,
        begun: Result<Begun, TurnRefused>,
        request: String,
        conversation: Option<ConversationId>,
    ) -> Result<(), Over> {
        match begun {
            Ok(begun) => self.follow(begun, Some(request), 0).await,
            Err(refused) => {
                let error = told(&refused.into());
                self.say(ServerFrame::Failed { turn: None, request: Some(request), conversation, error, message: None })
                    .await
            }
        }
    }

    async fn join(&self, conversation: ConversationId, turn: Option<TurnId>, last_seq: u64) -> Result<(), Over> {
        let running = match self.app.turns.find(self.by.user.id, conversation).await {
            Ok(running) => running,
            Err(error) => return self.say(ServerFrame::Error { error: told(&error.into()) }).await,
        };
        if let Some(running) = running {
            // A place in another turn's text is none in this one's.
            let seen = if turn == Some(running.turn) { last_seq } else { 0 };
            return self.follow(running, None, seen).await;
        }
        let ended = match turn {
            Some(turn) => self.ended(conversation, turn).await,
            None => Ok(None),
        };
        match ended {
            Ok(Some(frame)) => self.say(frame).await,
            Ok(None) => self.say(ServerFrame::Idle { conversation }).await,
            Err(error) => self.say(ServerFrame::Error { error: told(&error.into()) }).await,
        }
    }

    /// What `GET /api/swarm` shows to everybody who is signed in, as it changes.
    async fn watch(&mut self, node: Option<String>) -> Result<(), Over> {
        match node.map(|node| node.parse()).transpose() {
            Ok(node) => self.order(Order::Watch { node }).await,
            Err(_) => self.bad_frame(&ApiError::field("node", "must be the key of a node")).await,
        }
    }

    /// The end of a turn that the page has missed.
    async fn ended(&self, conversation: ConversationId, turn: TurnId) -> Result<Option<ServerFrame>, StoreError> {
        let message = self.app.store.message(self.by.user.id, conversation, turn).await?;
        let Some(message) = message.filter(|message| message.status != Status::Running) else { return Ok(None) };
        let ended = Ended { error: message.error.clone(), message: Some(message) };
        Ok(Some(convert::end(turn, conversation, &ended)))
    }

    async fn follow(&self, begun: Begun, request: Option<String>, seen: u64) -> Result<(), Over> {
        let (turn, conversation) = (begun.turn, begun.accepted.conversation.id);
        let (shown, message) = (begun.accepted.conversation.clone().into(), begun.accepted.question.clone().into());
        self.say(ServerFrame::Accepted { request, conversation: shown, message, turn }).await?;
        let follower = Box::new(self.app.turns.follow(self.by.user.id, begun, seen));
        self.order(Order::Follow { turn, conversation, follower }).await
    }

    async fn bad_frame(&mut self, error: &ApiError) -> Result<(), Over> {
        self.say(ServerFrame::Error { error: told(error) }).await?;
        self.bad_frames += 1;
        if self.bad_frames < MAX_BAD_FRAMES {
            return Ok(());
        }
        self.close(close_code::POLICY, "too many frames that make no sense").await
    }

    async fn check(&mut self) -> Result<(), Over> {
        match self.pulse.due(Instant::now()) {
            Due::Nothing => Ok(()),
            Due::Silent => self.close(close_code::POLICY, "no pong").await,
            Due::Expired => self.close(code::UNAUTHENTICATED, "the token has run out").await,
            Due::Ping => {
                self.check_session().await?;
                self.order(Order::Ping).await
            }
        }
    }

    /// The next token of the same person. A database that is not there for a moment is asked again by the page.
    async fn renew(&mut self, token: &str) -> Result<(), Over> {
        match door::check(&self.app, token).await {
            Ok(Guest { by, claims }) if by.user.id == self.by.user.id => {
                self.by = by;
                self.pulse.renewed(Instant::now(), claims.remaining(Timestamp::now()));
                Ok(())
            }
            Ok(_) => self.close(code::UNAUTHENTICATED, "the token is another person's").await,
            Err((code, reason)) => self.close(code, reason).await,
        }
    }

    /// Signing out closes the socket. A database that is not there for a moment does not.
    async fn check_session(&self) -> Result<(), Over> {
        match self.app.sessions.user(self.by.session).await {
            Ok(None) => self.close(code::UNAUTHENTICATED, "signed out").await,
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    async fn close(&self, code: u16, reason: &'static str) -> Result<(), Over> {
        self.order(Order::Close { code, reason }).await?;
        Err(Over)
    }

    async fn say(&self, frame: ServerFrame) -> Result<(), Over> {
        self.order(Order::Say(Box::new(frame))).await
    }

    async fn order(&self, order: Order) -> Result<(), Over> {
        self.orders.send(order).await.map_err(|_| Over)
    }
}

fn told(error: &ApiError) -> ErrorBody {
    error.refusal().body()
}

fn too_long(field: &str, limit: usize) -> ApiError {
    ApiError::field(field, format!("is over the limit of {limit} bytes"))
}
