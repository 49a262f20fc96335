//! A false peer: a key of its own, a connection as everybody has one, and as many streams as it can get.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, poll_fn};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::{Endpoint, Transport, upgrade::Version};
use libp2p::{Multiaddr, identity, noise, tcp, yamux};
use tokio::time::{sleep, timeout};

use super::{Held, One, Options, stream};

/// Before one that was thrown out comes again.
const AGAIN: Duration = Duration::from_secs(5);
/// A victim that is busy may take its time with a handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

pub(super) async fn run(options: Options, delay: Duration, held: Arc<Held>) {
    sleep(delay).await;
    let key = identity::Keypair::generate_ed25519();
    loop {
        if let Ok(Some(muxer)) = timeout(HANDSHAKE, connect(&options.victim, &key)).await {
            let _one = One::more(&held.peers);
            misuse(muxer, &options, &held).await;
        }
        sleep(AGAIN).await;
    }
}

async fn connect(victim: &Multiaddr, key: &identity::Keypair) -> Option<StreamMuxerBox> {
    let noise = noise::Config::new(key).ok()?;
    let mut transport = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default());
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let (_, muxer) = transport.dial(victim.clone(), options).ok()?.await.ok()?;
    Some(StreamMuxerBox::new(muxer))
}

/// Until the connection ends: every stream that is closed is opened again.
async fn misuse(mut muxer: StreamMuxerBox, options: &Options, held: &Arc<Held>) {
    let mut open: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    // Streams that the victim has opened are taken and never answered.
    let mut theirs: Vec<SubstreamBox> = vec![];
    let mut begun = 0;
    poll_fn(|cx| poll(cx, &mut muxer, &mut open, &mut theirs, (options, &mut begun), held)).await;
}

fn poll(
    cx: &mut Context<'_>,
    muxer: &mut StreamMuxerBox,
    open: &mut FuturesUnordered<BoxFuture<'static, ()>>,
    theirs: &mut Vec<SubstreamBox>,
    (options, begun): (&Options, &mut usize),
    held: &Arc<Held>,
) -> Poll<()> {
    while let Poll::Ready(Some(())) = open.poll_next_unpin(cx) {}
    while open.len() < options.streams {
        match muxer.poll_outbound_unpin(cx) {
            Poll::Ready(Ok(stream)) => {
                let held = held.clone();
                let (kind, manner) =
                    (*begun, options.manners[*begun / stream::PROTOCOLS.len() % options.manners.len()]);
                open.push(async move { stream::misuse(stream, kind, manner, &held).await }.boxed());
                *begun += 1;
            }
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => break,
        }
    }
    while let Poll::Ready(Some(())) = open.poll_next_unpin(cx) {}
    while let Poll::Ready(stream) = muxer.poll_inbound_unpin(cx) {
        match stream {
            Ok(stream) if theirs.len() < options.streams => theirs.push(stream),
            Ok(_) => {}
            Err(_) => return Poll::Ready(()),
        }
    }
    match muxer.poll_unpin(cx) {
        Poll::Ready(Err(_)) => Poll::Ready(()),
        Poll::Ready(Ok(_)) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Pending,
    }
}
