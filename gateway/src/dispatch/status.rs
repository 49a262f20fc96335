//! Reads what nodes push about themselves: one task a node, the newest stream wins.

use std::{collections::HashMap, sync::Arc, time::Duration};

use starling_protocol::{
    frame,
    limits::{MAX_STATUS_FRAME, STATUS_TIMEOUT},
    members::Roster,
    message::Status,
    swarm::{InboundStream, PeerId},
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tracing::debug;

use super::actor::{News, is_node};

/// Status streams at one time.
const MAX_STREAMS: usize = 4_096;
/// Between two frames of one node: whoever sends faster is slowed down.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// A node may speak before it is seen in the roster, by this much.
const ROSTER_PATIENCE: Duration = Duration::from_secs(2);

/// Runs until the swarm ends, or it is aborted and takes every reader with it.
pub(super) async fn run(
    mut streams: mpsc::Receiver<InboundStream>,
    news: mpsc::Sender<News>,
    roster: watch::Receiver<Arc<Roster>>,
) {
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
        current.insert(inbound.peer, readers.spawn(read(inbound, news.clone(), roster.clone())));
    }
}

async fn read(mut inbound: InboundStream, news: mpsc::Sender<News>, mut roster: watch::Receiver<Arc<Roster>>) {
    let peer = inbound.peer;
    let member = roster.wait_for(|roster| is_node(roster, &peer));
    if !matches!(timeout(ROSTER_PATIENCE, member).await, Ok(Ok(_))) {
        debug!(%peer, "a status of somebody who is no node of this swarm");
        return;
    }
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
        if news.send(News::Status(peer, Box::new(status))).await.is_err() {
            return;
        }
        sleep(MIN_INTERVAL).await;
    };
    debug!(%peer, why, "a node's status has ended");
    let _ = news.send(News::Gone(peer)).await;
}
