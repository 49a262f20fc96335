//! A link between two programs that does what it is told: delays, falls silent in one direction or in both, breaks.
//!
//! It stands where a network would, in user space and on loopback: no rights are needed, and no kernel module. Up is
//! towards the address it carries to, and down is back.

mod tcp;
mod udp;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, UdpSocket},
    sync::watch,
};

/// Where it listens: loopback, any port.
const HERE: (&str, u16) = ("127.0.0.1", 0);

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Where TCP connections lead.
    #[arg(long)]
    tcp: Option<SocketAddr>,
    /// Where UDP datagrams go.
    #[arg(long)]
    udp: Option<SocketAddr>,
}

/// What the link does now to whatever crosses it.
#[derive(Clone, Debug, Default)]
struct Weather {
    delay: Duration,
    /// Nothing gets through up.
    silent_up: bool,
    /// Nothing gets through down.
    silent_down: bool,
    /// Connections of an earlier age are over.
    age: u64,
    /// Bytes that one connection may still carry up before it breaks.
    left: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// The weather, as those see it who carry. Cheap to clone.
#[derive(Clone)]
struct Sky(Arc<watch::Sender<Weather>>);

impl Sky {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Weather::default())))
    }

    fn age(&self) -> u64 {
        self.0.borrow().age
    }

    fn delay(&self) -> Duration {
        self.0.borrow().delay
    }

    fn is_silent(&self, direction: Direction) -> bool {
        self.0.borrow().is_silent(direction)
    }

    /// Waits until something gets through.
    async fn clear(&self, direction: Direction) {
        // The sender is ours, so it lives.
        let _ = self.0.subscribe().wait_for(|weather| !weather.is_silent(direction)).await;
    }

    /// Waits until connections of that age are over.
    async fn over(&self, age: u64) {
        let _ = self.0.subscribe().wait_for(|weather| weather.age != age).await;
    }

    /// Takes so many bytes from what may go up: how many may, and whether that was the end.
    fn spend(&self, bytes: usize) -> (usize, bool) {
        let mut may = (bytes, false);
        self.0.send_if_modified(|weather| {
            let Some(left) = weather.left else { return false };
            let first = usize::try_from(left).unwrap_or(usize::MAX).min(bytes);
            weather.left = Some(left - first as u64);
            may = (first, weather.left == Some(0));
            if may.1 {
                // Once; the next connection carries as any other.
                weather.left = None;
            }
            false
        });
        may
    }

    fn obey(&self, order: &str) -> Result<()> {
        let words: Vec<&str> = order.split_whitespace().collect();
        match words[..] {
            ["heal"] => self.change(|weather| *weather = Weather { age: weather.age, ..Weather::default() }),
            ["delay", ms] => {
                let delay = Duration::from_millis(ms.parse()?);
                self.change(|weather| weather.delay = delay);
            }
            ["silent", "up"] => self.change(|weather| weather.silent_up = true),
            ["silent", "down"] => self.change(|weather| weather.silent_down = true),
            ["silent", "both"] => self.change(|weather| (weather.silent_up, weather.silent_down) = (true, true)),
            ["cut"] => self.change(|weather| weather.age += 1),
            ["cut-after", bytes] => {
                let bytes = bytes.parse()?;
                self.change(|weather| weather.left = Some(bytes));
            }
            _ => bail!("what is {order:?}?"),
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.0.send_modify(change);
    }
}

impl Weather {
    fn is_silent(&self, direction: Direction) -> bool {
        match direction {
            Direction::Up => self.silent_up,
            Direction::Down => self.silent_down,
        }
    }
}

/// Carries until stdin ends; each order is a line, and is done when `done` is printed.
pub(crate) async fn run(options: Options) -> Result<()> {
    let sky = Sky::new();
    if let Some(to) = options.tcp {
        let listener = TcpListener::bind(HERE).await?;
        println!("tcp {}", listener.local_addr()?);
        tokio::spawn(tcp::carry(listener, to, sky.clone()));
    }
    if let Some(to) = options.udp {
        let socket = UdpSocket::bind(HERE).await?;
        println!("udp {}", socket.local_addr()?);
        tokio::spawn(udp::carry(socket, to, sky.clone()));
    }
    println!("ready");
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        sky.obey(&order)?;
        println!("done {order}");
    }
    Ok(())
}
