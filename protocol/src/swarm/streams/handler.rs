//! One connection's part: negotiates opens a few at a time, queues or refuses what comes in.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    PeerId, StreamProtocol,
    core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, ProtocolsChange},
    },
};
use tokio::{sync::mpsc::error::TrySendError, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Accept, InboundStream, Open, OpenError, Path, Refused, Stream, Traffic};
use crate::{
    limits::{MAX_NEGOTIATING_OUTBOUND, MAX_PENDING_OPENS, MAX_REFUSALS, MAX_STRANGER_REFUSALS, OPEN_TIMEOUT},
    swarm::{strangers::Pass, stream::Place},
};

/// A refusal that the peer does not take in this time is dropped.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

type Event = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Open, std::convert::Infallible>;

/// Whose connection it is.
pub(crate) struct Guest {
    pub(crate) peer: PeerId,
    pub(crate) path: Path,
    pub(crate) pass: Pass,
}

pub(crate) struct Handler {
    guest: Guest,
    accepts: Arc<[Accept]>,
    /// One for each of `accepts`; each inbound stream holds a clone.
    places: Vec<Place>,
    traffic: Arc<Traffic>,
    refused: Refused,
    pending: VecDeque<Open>,
    negotiating: usize,
    refusals: FuturesUnordered<BoxFuture<'static, ()>>,
    /// The peer takes streams of ours: worth keeping the connection for.
    useful: bool,
    /// The connection is closing.
    gone: CancellationToken,
}

impl Handler {
    pub(crate) fn new(guest: Guest, accepts: Arc<[Accept]>, traffic: Arc<Traffic>, refused: Refused) -> Self {
        Self {
            guest,
            places: accepts.iter().map(|_| Place::default()).collect(),
            accepts,
            traffic,
            refused,
            pending: VecDeque::new(),
            negotiating: 0,
            refusals: FuturesUnordered::new(),
            useful: false,
            gone: CancellationToken::new(),
        }
    }

    fn accept(&mut self, stream: libp2p::Stream, protocol: &StreamProtocol) {
        let accepts = self.accepts.clone();
        let known = accepts.iter().zip(&self.places).find(|(accept, _)| accept.protocol == *protocol);
        let Some((accept, place)) = known else { return };
        let stream = self.ours(stream);
        if accept.members_only && !self.guest.pass.is_admitted() {
            self.refused.add();
            return self.refuse(stream, &accept.stranger);
        }
        if place.taken() >= accept.at_once {
            return self.refuse(stream, &accept.busy);
        }
        let inbound = InboundStream { peer: self.guest.peer, stream: stream.holding(place.clone()) };
        if let Err(TrySendError::Full(inbound) | TrySendError::Closed(inbound)) = accept.queue.try_send(inbound) {
            self.refuse(inbound.stream, &accept.busy);
        }
    }

    fn refuse(&mut self, stream: Stream, words: &[u8]) {
        let at_once = if self.guest.pass.is_admitted() { MAX_REFUSALS } else { MAX_STRANGER_REFUSALS };
        if !words.is_empty() && self.refusals.len() < at_once {
            self.refusals.push(refuse(stream, words.to_vec()).boxed());
        }
    }

    fn ours(&self, stream: libp2p::Stream) -> Stream {
        Stream::new(stream, self.guest.path, self.traffic.clone(), &self.gone)
    }

    fn opened(&mut self, result: Result<Stream, OpenError>, open: Open) {
        self.negotiating -= 1;
        // Whoever asked may have given up; then the stream closes here.
        let _ = open.reply.send(result);
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

/// Says no and waits for the peer to hear it: closing at once could overtake the words.
async fn refuse(mut stream: Stream, refusal: Vec<u8>) {
    let say = async {
        stream.write_all(&refusal).await?;
        stream.close().await?;
        let mut sink = [0; 1024];
        while stream.read(&mut sink).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(REFUSAL_TIMEOUT, say).await;
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = std::convert::Infallible;
    type InboundProtocol = AnyOf;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Open;

    fn listen_protocol(&self) -> SubstreamProtocol<AnyOf> {
        let protocols = self.accepts.iter().map(|accept| accept.protocol.clone()).collect();
        SubstreamProtocol::new(AnyOf(protocols), ()).with_timeout(OPEN_TIMEOUT)
    }

    fn connection_keep_alive(&self) -> bool {
        self.useful || !self.pending.is_empty()
    }

    fn on_behaviour_event(&mut self, open: Open) {
        if self.pending.len() < MAX_PENDING_OPENS {
            self.pending.push_back(open);
        } else {
            let _ = open.reply.send(Err(OpenError::TooMany));
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<AnyOf, ReadyUpgrade<StreamProtocol>, (), Open>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(event) => {
                let (stream, protocol) = event.protocol;
                self.accept(stream, &protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(event) => {
                let stream = self.ours(event.protocol);
                self.opened(Ok(stream), event.info);
            }
            ConnectionEvent::DialUpgradeError(event) => {
                let error = match event.error {
                    StreamUpgradeError::Timeout => OpenError::Timeout,
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    StreamUpgradeError::Io(_) => OpenError::Lost,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                self.opened(Err(error), event.info);
            }
            ConnectionEvent::RemoteProtocolsChange(ProtocolsChange::Added(mut added)) => {
                self.useful |= added.any(|protocol| super::super::OURS.contains(protocol));
            }
            _ => {}
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.gone.cancel();
        Poll::Ready(None)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        while let Poll::Ready(Some(())) = self.refusals.poll_next_unpin(cx) {}
        while self.negotiating < MAX_NEGOTIATING_OUTBOUND {
            let Some(open) = self.pending.pop_front() else { break };
            if open.reply.is_closed() {
                continue;
            }
            self.negotiating += 1;
            let upgrade = ReadyUpgrade::new(open.protocol.clone());
            let protocol = SubstreamProtocol::new(upgrade, open).with_timeout(OPEN_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }
}

/// Takes whichever of our protocols the peer asks for, and says which it was.
pub(crate) struct AnyOf(Vec<StreamProtocol>);

impl UpgradeInfo for AnyOf {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<libp2p::Stream> for AnyOf {
    type Output = (libp2p::Stream, StreamProtocol);
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: libp2p::Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
