//! What the page says.

use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket, close_code};
use futures::{StreamExt, stream::SplitStream};
use starling_protocol::message::Private;
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{MAX_FRAME, Order};
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
    id::{ConversationId, TurnId},
    store::{StoreError, messages::Status},
    turn::{self, Begun, Ended, Question, Says, TurnRefused},
};

/// How often the page is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// A page that was silent for so long, pongs included, is gone.
const SILENCE: Duration = Duration::from_secs(50);
/// Frames that make no sense, until the socket is closed.
const MAX_BAD_FRAMES: u32 = 10;
/// Longest id that the page may give a question, in bytes.
const MAX_REQUEST_BYTES: usize = 64;

/// Reads until the page is gone or misbehaves.
pub(super) struct Reader {
    app: App,
    by: SignedIn,
    orders: mpsc::Sender<Order>,
    bad_frames: u32,
}

/// The writer is gone, or was told to close: there is nothing more to read.
struct Over;

impl Reader {
    pub(super) fn new(app: App, by: SignedIn, orders: mpsc::Sender<Order>) -> Self {
        Self { app, by, orders, bad_frames: 0 }
    }

    /// Ends when the page has gone. After an order to close it waits for the writer to carry it out.
    pub(super) async fn run(mut self, mut incoming: SplitStream<WebSocket>) {
        let mut heard = Instant::now();
        let (mut ticks, mut named) = (ticks(), self.app.turns.named());
        loop {
            let step = tokio::select! {
                message = incoming.next() => {
                    heard = Instant::now();
                    let Some(Ok(message)) = message else { return };
                    self.hear(message).await
                }
                _ = ticks.tick() => self.check(heard).await,
                Ok(named) = named.recv() => self.tell_title(named).await,
            };
            if step.is_err() {
                return std::future::pending().await;
            }
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
        self.check_session().await?;
        match frame {
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
        }
    }

    /// To all of a person's windows, and to nobody else's.
    async fn tell_title(&self, (user, conversation): turn::Named) -> Result<(), Over> {
        if user != self.by.user.id {
            return Ok(());
        }
        self.say(ServerFrame::Titled { conversation: conversation.into() }).await
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
        if let Some((running, shown)) = self.app.turns.running_in(self.by.user.id, conversation) {
            // A place in another turn's text is none in this one's.
            let seen = if turn == Some(running) { last_seq } else { 0 };
            return self.follow(Begun { turn: running, accepted: shown.accepted, log: shown.log }, None, seen).await;
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

    /// The end of a turn that the page has missed.
    async fn ended(&self, conversation: ConversationId, turn: TurnId) -> Result<Option<ServerFrame>, StoreError> {
        let message = self.app.store.message(self.by.user.id, conversation, turn).await?;
        let Some(message) = message.filter(|message| message.status != Status::Running) else { return Ok(None) };
        let ended = Ended { error: message.error.clone(), message: Some(message) };
        Ok(Some(convert::end(turn, conversation, &ended)))
    }

    async fn follow(&self, begun: Begun, request: Option<String>, seen: u64) -> Result<(), Over> {
        let Begun { turn, accepted, log } = begun;
        let conversation = accepted.conversation.id;
        let (shown, message) = (accepted.conversation.clone().into(), accepted.question.clone().into());
        self.say(ServerFrame::Accepted { request, conversation: shown, message, turn }).await?;
        self.order(Order::Follow { turn, conversation, reader: turn::Reader::new(log, seen) }).await
    }

    async fn bad_frame(&mut self, error: &ApiError) -> Result<(), Over> {
        self.say(ServerFrame::Error { error: told(error) }).await?;
        self.bad_frames += 1;
        if self.bad_frames < MAX_BAD_FRAMES {
            return Ok(());
        }
        self.close("too many frames that make no sense").await
    }

    async fn check(&self, heard: Instant) -> Result<(), Over> {
        if heard.elapsed() > SILENCE {
            return self.close("no pong").await;
        }
        self.check_session().await?;
        self.order(Order::Ping).await
    }

    /// Signing out closes the socket. A database that is not there for a moment does not.
    async fn check_session(&self) -> Result<(), Over> {
        match self.app.store.session_user(&self.by.session.0).await {
            Ok(None) => self.close("signed out").await,
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    async fn close(&self, reason: &'static str) -> Result<(), Over> {
        self.order(Order::Close { code: close_code::POLICY, reason }).await?;
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

fn ticks() -> Interval {
    let mut ticks = interval(PING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}
