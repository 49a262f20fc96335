//! What the page is told.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::{SinkExt, Stream, stream, stream::SplitSink};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_stream::{StreamExt, StreamMap};

use super::Order;
use crate::{
    api::wire::{
        convert,
        frames::{ServerFrame, SwarmSummary, VERSION},
        topology,
    },
    app::App,
    dispatch::View,
    id::{ConversationId, TurnId},
    life::Life,
    topology::{News, Topology, Watcher},
    turn,
};

/// How long the page may take to accept one frame before it counts as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

type Frames = Pin<Box<dyn Stream<Item = ServerFrame> + Send>>;

/// Writes until it is told to close or the page takes no more.
pub(super) struct Writer {
    outgoing: SplitSink<WebSocket, Message>,
    view: watch::Receiver<Arc<View>>,
    life: Life,
    told: SwarmSummary,
    turns: StreamMap<TurnId, Frames>,
    topology: Topology,
    watcher: Option<Watcher>,
}

/// The page takes no more.
struct Gone;

impl Writer {
    pub(super) fn new(outgoing: SplitSink<WebSocket, Message>, app: &App) -> Self {
        let (mut view, life, topology) = (app.dispatch.view(), app.life.clone(), app.topology.clone());
        let told = SwarmSummary::from(&**view.borrow_and_update());
        Self { outgoing, view, life, told, turns: StreamMap::new(), topology, watcher: None }
    }

    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let hello = ServerFrame::Hello { version: VERSION, swarm: self.told.clone() };
        let mut step = self.say(&hello).await;
        while step.is_ok() {
            step = tokio::select! {
                order = orders.recv() => self.obey(order).await,
                Some((_, frame)) = self.turns.next(), if !self.turns.is_empty() => self.say(&frame).await,
                news = watched(&mut self.watcher) => self.say(&topology::frame(news)).await,
                Ok(()) = self.view.changed() => self.show_swarm().await,
                () = self.life.drain.cancelled(), if self.turns.is_empty() => self.close(close_code::AWAY, "stopping").await,
            };
        }
    }

    async fn obey(&mut self, order: Option<Order>) -> Result<(), Gone> {
        match order {
            Some(Order::Say(frame)) => self.say(&frame).await,
            Some(Order::Follow { turn, conversation, follower }) => {
                // One that is followed already is followed anew, from where the page says it is.
                self.turns.insert(turn, frames(turn, conversation, follower));
                Ok(())
            }
            Some(Order::Watch { node }) => {
                self.watcher.get_or_insert_with(|| self.topology.watch()).choose(node);
                Ok(())
            }
            Some(Order::Unwatch) => {
                self.watcher = None;
                Ok(())
            }
            Some(Order::Ping) => self.send(Message::Ping(Vec::new().into())).await,
            Some(Order::Close { code, reason }) => self.close(code, reason).await,
            None => Err(Gone),
        }
    }

    /// The view changes with every token that a node gives; the page is told of nodes and models.
    async fn show_swarm(&mut self) -> Result<(), Gone> {
        let now = SwarmSummary::from(&**self.view.borrow_and_update());
        if now == self.told {
            return Ok(());
        }
        self.told = now.clone();
        self.say(&ServerFrame::Swarm(now)).await
    }

    async fn say(&mut self, frame: &ServerFrame) -> Result<(), Gone> {
        let json = serde_json::to_string(frame).expect("a frame is plain data");
        self.send(Message::Text(json.into())).await
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Gone> {
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = self.send(Message::Close(Some(frame))).await;
        Err(Gone)
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(WRITE_TIMEOUT, self.outgoing.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// For ever without a watcher.
async fn watched(watcher: &mut Option<Watcher>) -> News {
    match watcher {
        Some(watcher) => watcher.next().await,
        None => std::future::pending().await,
    }
}

fn frames(turn: TurnId, conversation: ConversationId, follower: Box<turn::Follower>) -> Frames {
    let news = stream::unfold(follower, |mut follower| async move { Some((follower.next().await?, follower)) });
    Box::pin(news.map(move |news| convert::frame(turn, conversation, news)))
}
