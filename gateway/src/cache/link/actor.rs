//! Opens the way to the Redis, listens on the channel, says each second that we are there, and opens the way again.

use std::{sync::atomic::Ordering, time::Duration};

use futures::StreamExt;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, aio::PubSubStream};
use tokio::{
    sync::broadcast,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    DEADLINE, Link, Open,
    channel::{Company, Kind},
};
use crate::cache::{Heard, RedisUrl, url::UrlError};

/// How long opening the way may take, with TLS.
const OPENING: Duration = Duration::from_secs(2);
/// How often we say that we are there.
const HERE: Duration = Duration::from_secs(1);
/// The waits between tries to open the way: the first, and the longest.
const AGAIN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// After so long it counts as having worked, and the next wait is the first again.
const WORKED: Duration = Duration::from_secs(10);

/// Keeps the way open.
pub struct Actor {
    link: Link,
    redis: RedisUrl,
    events: broadcast::Sender<Heard>,
    ways: u64,
}

/// Why the way is not open.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("it does not answer within {} s", OPENING.as_secs())]
    Late,
}

impl Actor {
    pub(super) fn new(link: Link, redis: RedisUrl, events: broadcast::Sender<Heard>) -> Self {
        Self { link, redis, events, ways: 0 }
    }

    /// Keeps the way open until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_open()).await;
        let gone = self.link.message(Kind::Gone, b"");
        self.link.one::<()>(&gone).await;
    }

    async fn keep_open(&mut self) {
        let (mut wait, mut said) = (AGAIN[0], false);
        loop {
            match timeout(OPENING, self.open()).await.unwrap_or(Err(Closed::Late)) {
                Ok(heard) => {
                    let opened = Instant::now();
                    said = false;
                    self.serve(heard).await;
                    if opened.elapsed() > WORKED {
                        wait = AGAIN[0];
                    }
                }
                Err(error) if self.ways == 0 && !said => {
                    said = true;
                    tracing::warn!(%error, "the Redis cannot be reached: this gateway goes on without it");
                }
                Err(error) => tracing::debug!(%error, "the Redis cannot be reached"),
            }
            sleep(wait).await;
            wait = (wait * 2).min(AGAIN[1]);
        }
    }

    /// It listens before it says that it is there, so that nothing is missed from then on.
    async fn open(&mut self) -> Result<PubSubStream, Closed> {
        let client = self.redis.client()?;
        let mut listening = client.get_async_pubsub().await?;
        listening.subscribe(self.link.0.seal.channel()).await?;
        let mut connection = connect(&client).await?;
        self.here().query_async::<()>(&mut connection).await?;
        self.ways += 1;
        self.link.0.open.send_replace(Some(Open { connection, number: self.ways }));
        self.link.0.figures.up.set(1);
        if self.ways > 1 {
            let _ = self.events.send(Heard::Missed);
        }
        tracing::info!("the Redis answers");
        Ok(listening.into_on_message())
    }

    /// Until the way is closed.
    async fn serve(&self, mut heard: PubSubStream) {
        let mut company = Company::new(self.link.0.me, Instant::now());
        let (mut here, mut open) = (interval(HERE), self.link.0.open.subscribe());
        here.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while open.borrow_and_update().is_some() {
            tokio::select! {
                message = heard.next() => match message {
                    Some(message) => self.hear(&mut company, message.get_payload_bytes()),
                    None => self.link.close(self.ways, "it has closed the connection"),
                },
                _ = here.tick() => {
                    self.link.many::<()>(&self.here()).await;
                    if !company.works(Instant::now()) {
                        self.link.close(self.ways, "nothing that is said on its channel arrives");
                    }
                }
                _ = open.changed() => {}
            }
            self.show(company.others(Instant::now()));
        }
    }

    fn hear(&self, company: &mut Company, sealed: &[u8]) {
        let channel = self.link.0.seal.channel();
        let Some(message) = self.link.0.seal.open(&channel, sealed) else { return };
        if let Some(event) = company.hear(&message, Instant::now()) {
            let _ = self.events.send(Heard::Said(event.into()));
        }
    }

    fn show(&self, others: usize) {
        let others = if self.link.is_up() { others } else { 0 };
        self.link.0.others.send_if_modified(|shown| std::mem::replace(shown, others) != others);
    }

    /// That we are there; and a write, since one that is full, or another's copy, takes none and is of no use.
    fn here(&self) -> Pipeline {
        let seal = &self.link.0.seal;
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(seal.name("value", "here")).arg("").arg("PX").arg(1_000).ignore();
        let kind = if self.link.0.retired.load(Ordering::Relaxed) { Kind::Gone } else { Kind::Here };
        pipe.add_command(self.link.message(kind, b"")).ignore();
        pipe
    }
}

async fn connect(client: &Client) -> Result<redis::aio::MultiplexedConnection, RedisError> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(OPENING)).set_response_timeout(Some(DEADLINE * 2));
    client.get_multiplexed_async_connection_with_config(&config).await
}
