//! Reads what nodes push about themselves: one task a node, the newest stream wins.

use std::{collections::HashMap, time::Duration};

use starling_protocol::{
    frame,
    limits::{MAX_STATUS_FRAME, STATUS_TIMEOUT},
    message::Status,
    swarm::{InboundStream, PeerId},
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tracing::debug;

use super::actor::News;

/// Status streams at one time.
const MAX_STREAMS: usize = 4_096;
/// Between two frames of one node: whoever sends faster is slowed down.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// Runs until the swarm ends, or it is aborted and takes every reader with it.
pub(super) async fn run(mut streams: mpsc::Receiver<InboundStream>, news: mpsc::Sender<News>) {
    let mut readers = JoinSet::new();
    let mut current: HashMap<PeerId, AbortHandle> = HashMap::new();
    while let Some(inbound) = streams.recv().await {
        while readers.try_join_next().is_some() {}
        current.retain(|_, reader| !reader.is_finished());
        // Before its successor begins, so that an old stream's end never follows a new one's status.
        if let Some(old) = current.remove(&inbound.peer) {
            old.abort();
        } else if current.len() >= MAX_STREAMS {
            debug!("too many status streams: one was closed");
            continue;
        }
        current.insert(inbound.peer, readers.spawn(read(inbound, news.clone())));
    }
}

async fn read(mut inbound: InboundStream, news: mpsc::Sender<News>) {
    let peer = inbound.peer;
    let why = loop {
        let frame = frame::read::<Status>(&mut inbound.stream, MAX_STATUS_FRAME);
        let status = match timeout(STATUS_TIMEOUT, frame).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => break error.to_string(),
            Err(_) => break "silence".to_owned(),
        };
        if let Err(invalid) = status.validate() {
            break invalid.to_string();
        }
        if news.send(News::Status(peer, status)).await.is_err() {
            return;
        }
        sleep(MIN_INTERVAL).await;
    };
    debug!(%peer, why, "a node's status has ended");
    let _ = news.send(News::Gone(peer)).await;
}
