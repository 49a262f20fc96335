//! Connections: each is two pumps, one a direction.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{Direction, Sky};

/// Bytes read at once.
const CHUNK: usize = 16 << 10;
/// Chunks on the way; a sender waits when there are more, as on any full path.
const ON_THE_WAY: usize = 64;
/// Between two tries to take a connection, when the system has no room for one.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn carry(listener: TcpListener, to: SocketAddr, sky: Sky) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => drop(tokio::spawn(connection(near, to, sky.clone()))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(near: TcpStream, to: SocketAddr, sky: Sky) {
    let age = sky.age();
    // Who cannot be asked is not reached.
    sky.clear(Direction::Up).await;
    let Ok(far) = TcpStream::connect(to).await else { return };
    let (_, _) = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = pump(near_in, far_out, Direction::Up, &sky) => {}
        () = pump(far_in, near_out, Direction::Down, &sky) => {}
        () = sky.over(age) => {}
    }
}

/// Ends when either end does, or when the bytes that may cross are used up.
async fn pump(from: OwnedReadHalf, to: OwnedWriteHalf, direction: Direction, sky: &Sky) {
    let (chunks, on_the_way) = mpsc::channel(ON_THE_WAY);
    tokio::join!(read(from, chunks, sky), write(to, on_the_way, direction, sky));
}

async fn read(mut from: OwnedReadHalf, chunks: mpsc::Sender<(Instant, Vec<u8>)>, sky: &Sky) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let chunk = (Instant::now() + sky.delay(), buffer[..count].to_vec());
        if chunks.send(chunk).await.is_err() {
            return;
        }
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>,
    direction: Direction,
    sky: &Sky,
) {
    while let Some((due, chunk)) = chunks.recv().await {
        sleep_until(due).await;
        sky.clear(direction).await;
        let (may, last) = if direction == Direction::Up { sky.spend(chunk.len()) } else { (chunk.len(), false) };
        if to.write_all(&chunk[..may]).await.is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(5);
    const SHORT: Duration = Duration::from_millis(50);

    /// Both ends of a carried connection.
    async fn carried(sky: &Sky) -> (TcpStream, TcpStream) {
        let (door, far) = (TcpListener::bind(super::super::HERE).await, TcpListener::bind(super::super::HERE).await);
        let (door, far) = (door.unwrap(), far.unwrap());
        let (here, there) = (door.local_addr().unwrap(), far.local_addr().unwrap());
        tokio::spawn(carry(door, there, sky.clone()));
        let near = TcpStream::connect(here).await.unwrap();
        let (far, _) = far.accept().await.unwrap();
        (near, far)
    }

    async fn says(from: &mut TcpStream, to: &mut TcpStream, text: &[u8]) -> bool {
        from.write_all(text).await.unwrap();
        let mut heard = vec![0; text.len()];
        timeout(SHORT, to.read_exact(&mut heard)).await.is_ok_and(|read| read.is_ok() && heard == text)
    }

    #[tokio::test]
    async fn silence_holds_back_one_direction_and_loses_nothing() {
        let sky = Sky::new();
        let (mut near, mut far) = carried(&sky).await;
        assert!(says(&mut near, &mut far, b"one").await);
        sky.obey("silent up").unwrap();
        assert!(!says(&mut near, &mut far, b"two").await, "silent");
        assert!(says(&mut far, &mut near, b"back").await, "the other way is open");
        sky.obey("heal").unwrap();
        let mut heard = [0; 3];
        timeout(LONG, far.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"two");
    }

    #[tokio::test]
    async fn a_connection_breaks_behind_the_byte_that_was_named() {
        let sky = Sky::new();
        let (mut near, mut far) = carried(&sky).await;
        sky.obey("cut-after 5").unwrap();
        near.write_all(b"1234567").await.unwrap();
        let mut heard = vec![];
        let _ = timeout(LONG, far.read_to_end(&mut heard)).await.unwrap();
        assert_eq!(heard, b"12345");
        let (mut near, mut far) = carried(&sky).await;
        assert!(says(&mut near, &mut far, b"1234567").await, "the next one carries everything");
    }

    #[tokio::test]
    async fn a_cut_ends_those_that_are_there() {
        let sky = Sky::new();
        let (mut near, _far) = carried(&sky).await;
        sky.obey("cut").unwrap();
        assert!(matches!(timeout(LONG, near.read(&mut [0; 1])).await.unwrap(), Ok(0) | Err(_)));
        let (mut near, mut far) = carried(&sky).await;
        assert!(says(&mut near, &mut far, b"again").await);
    }

    #[tokio::test]
    async fn a_delay_is_kept() {
        let sky = Sky::new();
        let (mut near, mut far) = carried(&sky).await;
        sky.obey("delay 60").unwrap();
        let sent = Instant::now();
        near.write_all(b"x").await.unwrap();
        far.read_exact(&mut [0; 1]).await.unwrap();
        assert!(sent.elapsed() >= Duration::from_millis(60));
        assert!(sky.obey("rain").is_err());
    }
}
