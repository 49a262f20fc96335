//! A connection that never says a word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{Held, One};

/// Before one that was closed is opened again.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) async fn run(victim: SocketAddr, delay: Duration, held: Arc<Held>) {
    sleep(delay).await;
    loop {
        if let Ok(mut socket) = TcpStream::connect(victim).await {
            let _one = One::more(&held.sockets);
            let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
            let _ = socket.read(&mut [0]).await;
        }
        sleep(AGAIN).await;
    }
}
