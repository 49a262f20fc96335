//! Datagrams: each sender has a socket of its own towards the other side, as behind a NAT.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{Direction, HERE, Sky};

/// Senders remembered; more than a rig has.
const MAX_FLOWS: usize = 64;
/// Datagrams on the way; what is beyond is lost, as on any full path.
const ON_THE_WAY: usize = 4_096;
/// The longest datagram there is.
const LONGEST: usize = 65_536;

type Queue = mpsc::Sender<(Instant, Vec<u8>)>;

pub(super) async fn carry(socket: UdpSocket, to: SocketAddr, sky: Sky) {
    let socket = Arc::new(socket);
    let mut flows: HashMap<SocketAddr, Queue> = HashMap::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        // An error belongs to a datagram sent before, to somebody who has gone.
        let Ok((count, from)) = socket.recv_from(&mut buffer).await else { continue };
        if !flows.contains_key(&from) && flows.len() < MAX_FLOWS {
            let Ok(flow) = flow(Arc::clone(&socket), from, to, &sky).await else { continue };
            flows.insert(from, flow);
        }
        if let Some(flow) = flows.get(&from) {
            send(flow, &buffer[..count], Direction::Up, &sky);
        }
    }
}

async fn flow(near: Arc<UdpSocket>, from: SocketAddr, to: SocketAddr, sky: &Sky) -> std::io::Result<Queue> {
    let far = Arc::new(UdpSocket::bind(HERE).await?);
    far.connect(to).await?;
    let (up, mut going_up) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let (down, mut going_down) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let sender = Arc::clone(&far);
    tokio::spawn(async move {
        while let Some((due, datagram)) = going_up.recv().await {
            sleep_until(due).await;
            let _ = sender.send(&datagram).await;
        }
    });
    tokio::spawn(async move {
        while let Some((due, datagram)) = going_down.recv().await {
            sleep_until(due).await;
            let _ = near.send_to(&datagram, from).await;
        }
    });
    let sky = sky.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; LONGEST];
        loop {
            let Ok(count) = far.recv(&mut buffer).await else { continue };
            send(&down, &buffer[..count], Direction::Down, &sky);
        }
    });
    Ok(up)
}

fn send(queue: &Queue, datagram: &[u8], direction: Direction, sky: &Sky) {
    if !sky.is_silent(direction) {
        let _ = queue.try_send((Instant::now() + sky.delay(), datagram.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn answers_come_back_and_what_is_sent_into_silence_is_lost() {
        let sky = Sky::new();
        let (door, far, near) = (UdpSocket::bind(HERE).await, UdpSocket::bind(HERE).await, UdpSocket::bind(HERE).await);
        let (door, far, near) = (door.unwrap(), far.unwrap(), near.unwrap());
        near.connect(door.local_addr().unwrap()).await.unwrap();
        tokio::spawn(carry(door, far.local_addr().unwrap(), sky.clone()));
        let mut buffer = [0; 8];
        for (order, arrives) in [("heal", true), ("silent up", false), ("heal", true)] {
            sky.obey(order).unwrap();
            near.send(order.as_bytes()).await.unwrap();
            let heard = timeout(Duration::from_millis(100), far.recv_from(&mut buffer)).await;
            assert_eq!(heard.is_ok(), arrives, "{order}");
            let Ok(Ok((_, from))) = heard else { continue };
            far.send_to(b"back", from).await.unwrap();
            assert_eq!(timeout(Duration::from_secs(5), near.recv(&mut buffer)).await.unwrap().unwrap(), 4);
        }
    }
}
