//! One member stream, from its opening to its end, as a task of its own: frames in, frames out. What they
//! mean is the actor's business.

use futures::{AsyncReadExt, AsyncWriteExt, future};
use libp2p::PeerId;
use tokio::{
    sync::mpsc,
    time::{Duration, timeout},
};

use super::actor::Event;
use crate::{
    frame::{self, FrameError},
    limits::{FIRST_FRAME_TIMEOUT, MAX_HELLO_FRAME, MAX_MEMBER_FRAME},
    membership::{Hello, MemberFrame, NotMember},
    swarm::{self, Stream},
};

/// How long a peer gets to hear that it is refused, before it is disconnected.
pub(super) const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Orders that may wait for a stream. A peer that takes none for so long loses its stream.
pub(super) const ORDER_QUEUE: usize = 64;

/// What the actor wants said.
#[derive(Debug)]
pub(super) enum Order {
    Say(Vec<MemberFrame>),
    /// The last word.
    Refuse(NotMember),
}

/// What ties a stream's task to the actor.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) peer: PeerId,
    /// Tells this stream from others with the same peer.
    pub(super) id: u64,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) orders: mpsc::Receiver<Order>,
}

/// Opens a stream and introduces us.
pub(super) async fn call(swarm: swarm::Handle, hello: Hello, mut line: Line) {
    let stream = swarm.open_member(line.peer).await;
    match stream {
        Ok(stream) => talk(stream, vec![MemberFrame::Hello(hello)], &mut line).await,
        Err(error) => tracing::debug!(peer = %line.peer, %error, "no member stream"),
    }
    line.ended().await;
}

/// Takes a stream that the peer has opened.
pub(super) async fn answer(stream: Stream, mut line: Line) {
    talk(stream, vec![], &mut line).await;
    line.ended().await;
}

/// Ends when either side has said its last word, and when the stream breaks.
async fn talk(stream: Stream, first: Vec<MemberFrame>, line: &mut Line) {
    let (reader, mut writer) = stream.split();
    let (peer, id, events) = (line.peer, line.id, line.events.clone());
    let listen = std::pin::pin!(async {
        if let Err(error) = listen(reader, |frame| events.send(Event::Frame { peer, id, frame })).await {
            tracing::debug!(%peer, %error, "member stream");
        }
    });
    let speak = std::pin::pin!(async {
        say(&mut writer, first).await?;
        while let Some(order) = line.orders.recv().await {
            match order {
                Order::Say(frames) => say(&mut writer, frames).await?,
                Order::Refuse(why) => {
                    say(&mut writer, vec![MemberFrame::Refused(why)]).await?;
                    return writer.close().await;
                }
            }
        }
        Ok(())
    });
    // Closing at once could overtake the last word.
    if let future::Either::Right((Ok(()), listen)) = future::select(listen, speak).await {
        let _ = timeout(GOODBYE_TIMEOUT, listen).await;
    }
}

async fn say(writer: &mut (impl futures::AsyncWrite + Unpin), frames: Vec<MemberFrame>) -> std::io::Result<()> {
    for frame in frames {
        frame::write(writer, &frame).await?;
    }
    Ok(())
}

/// Passes on what comes. The first frame has a deadline and little room: the peer is nobody yet.
async fn listen<F>(
    mut reader: impl futures::AsyncRead + Unpin,
    mut pass_on: impl FnMut(MemberFrame) -> F,
) -> Result<(), FrameError>
where
    F: Future<Output = Result<(), mpsc::error::SendError<Event>>>,
{
    let first = frame::read(&mut reader, MAX_HELLO_FRAME);
    let mut next =
        timeout(FIRST_FRAME_TIMEOUT, first).await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?;
    loop {
        if pass_on(next?).await.is_err() {
            return Ok(());
        }
        next = frame::read(&mut reader, MAX_MEMBER_FRAME).await;
    }
}

impl Line {
    async fn ended(self) {
        // When the actor is gone, so is everything that this could matter to.
        let _ = self.events.send(Event::Ended { peer: self.peer, id: self.id }).await;
    }
}
