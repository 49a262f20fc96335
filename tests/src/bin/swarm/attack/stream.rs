//! One stream and how it is misused: never agreed on, or agreed on and then silent, garbage, or a lie.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::SubstreamBox;
use tokio::time::{sleep, timeout};

use super::{Held, One};

/// What a gateway with `--relay` may take streams of.
pub(super) const PROTOCOLS: [&str; 11] = [
    "/starling/job/1",
    "/starling/status/1",
    "/starling/member/1",
    "/starling/join/1",
    "/ipfs/id/1.0.0",
    "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
    "/starling/kad/1",
    "/libp2p/circuit/relay/0.2.0/hop",
    "/libp2p/autonat/2/dial-request",
    "/libp2p/dcutr",
];
const HEADER: &str = "/multistream/1.0.0";
/// As much as a stream takes before its reader has read any of it.
const GARBAGE: usize = 256 << 10;
/// Garbage that nobody takes is held for this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before a stream that was closed is opened again.
const AGAIN: Duration = Duration::from_secs(3);

/// Ends a while after the victim has closed it.
pub(super) async fn misuse(mut stream: SubstreamBox, kind: usize, manner: usize, held: &Arc<Held>) {
    let protocol = PROTOCOLS[kind % PROTOCOLS.len()];
    {
        let _one = One::more(&held.streams);
        let begin = match manner {
            0 => line(HEADER),
            1 => [line(HEADER), line(protocol)].concat(),
            2 => [line(HEADER), line(protocol), vec![0xa5; GARBAGE]].concat(),
            // A length that promises more than may come, and never comes.
            _ => [line(HEADER), line(protocol), vec![0, 3, 0xff, 0xff, 1]].concat(),
        };
        let (mut read, mut write) = (&mut stream).split();
        let say = async {
            let said = async { write.write_all(&begin).await.is_ok() && write.flush().await.is_ok() };
            if timeout(PATIENCE, said).await != Ok(true) {
                return;
            }
            std::future::pending::<()>().await;
        };
        let hear = async {
            let mut sink = [0; 1024];
            while matches!(read.read(&mut sink).await, Ok(1..)) {}
        };
        tokio::select! { () = say => {}, () = hear => {} }
    }
    drop(stream);
    sleep(AGAIN).await;
}

/// As multistream-select frames it. All of ours are shorter than 127.
fn line(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).expect("short names");
    [&[length], text.as_bytes(), b"\n"].concat()
}
