//! The way to the Redis: commands with a deadline, and the actor that opens the way, watches it and opens it again.
//!
//! The first command that fails or is late closes it for all, so that a Redis that hangs costs each gateway a tenth of a
//! second, and not each request. Whether it is there again is the actor's to find out; no request ever waits for that.

mod actor;
mod channel;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Script, aio::MultiplexedConnection};
use tokio::{
    sync::{broadcast, watch},
    time::timeout,
};

pub use self::actor::Actor;
use self::channel::{Kind, Name};
use super::{
    Heard,
    gcra::{self, Rate, Taken, micros},
    log::{self, Chunk, LogWriter, MARK, Place},
    seal::Seal,
    url::RedisUrl,
};
use crate::secret;

/// How long one command may take. On one network it takes less than a hundredth of that.
const DEADLINE: Duration = Duration::from_millis(100);

/// Logs that are appended to in one go: more would not keep the deadline on a busy computer.
const TOGETHER: usize = 32;

/// The way to the Redis, as those see it who use it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link(Arc<Parts>);

struct Parts {
    me: Name,
    seal: Seal,
    /// `None` while it does not work.
    open: watch::Sender<Option<Open>>,
    /// We say that we are going.
    retired: AtomicBool,
    /// Other gateways that are there.
    others: watch::Sender<usize>,
    script: Script,
    figures: Figures,
}

/// A way that works.
#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// Which one: the end of an older one says nothing of it.
    number: u64,
}

#[derive(Clone, Default)]
struct Figures {
    up: Gauge,
    breaks: Counter,
}

/// The way, closed, and who opens it.
pub(super) fn new(redis: RedisUrl, seal: Seal, events: broadcast::Sender<Heard>) -> (Link, Actor) {
    let link = Link(Arc::new(Parts {
        me: secret::random(),
        seal,
        open: watch::Sender::new(None),
        retired: AtomicBool::new(false),
        others: watch::Sender::new(0),
        script: Script::new(gcra::SCRIPT),
        figures: Figures::default(),
    }));
    (link.clone(), Actor::new(link, redis, events))
}

impl Link {
    pub(super) fn is_up(&self) -> bool {
        self.0.open.borrow().is_some()
    }

    pub(super) fn others(&self) -> usize {
        *self.0.others.borrow()
    }

    pub(super) fn retire(&self) {
        self.0.retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let Figures { up, breaks } = &self.0.figures;
        registry.register("cache_up", "Whether the Redis answers", up.clone());
        registry.register("cache_breaks", "How often it did not", breaks.clone());
    }

    pub(super) async fn change(&self, bucket: &str, rate: Rate, cost: i64) -> Option<Taken> {
        let key = self.0.seal.name("rate", bucket);
        let mut script = self.0.script.key(key);
        script.arg(micros(rate.refill)).arg(rate.burst).arg(cost);
        let (allowed, full_in): (u8, u64) =
            self.ask(|mut connection| async move { script.invoke_async(&mut connection).await }).await?;
        Some(gcra::taken(allowed == 1, full_in, rate, cost))
    }

    pub(super) async fn publish(&self, event: &[u8]) {
        self.one::<()>(&self.message(Kind::Event, event)).await;
    }

    pub(super) async fn append(&self, batch: &mut [(&mut LogWriter, Vec<Vec<u8>>)]) {
        for part in batch.chunks_mut(TOGETHER) {
            self.append_together(part).await;
        }
    }

    async fn append_together(&self, batch: &mut [(&mut LogWriter, Vec<Vec<u8>>)]) {
        let (mut pipe, mut sizes) = (redis::pipe(), Vec::with_capacity(batch.len()));
        for (writer, entries) in batch.iter() {
            let key = self.0.seal.name("log", &writer.name);
            let bytes = writer.bytes(&self.0.seal, &key, entries);
            sizes.push(bytes.len());
            if writer.is_new() {
                pipe.del(&key).ignore();
            }
            pipe.cmd("APPEND").arg(&key).arg(bytes);
            pipe.cmd("PEXPIRE").arg(&key).arg(millis(log::LIFETIME)).ignore();
        }
        let lengths: Option<Vec<u64>> = self.many(&pipe).await;
        for (at, (writer, _)) in batch.iter_mut().enumerate() {
            match lengths.as_ref().and_then(|lengths| lengths.get(at)) {
                Some(length) => writer.wrote(sizes[at], *length),
                None => writer.lost(),
            }
        }
    }

    pub(super) async fn read(&self, name: &str, from: Place) -> Option<Chunk> {
        let key = self.0.seal.name("log", name);
        let look = async |place: Place| -> Option<Option<Chunk>> {
            let mut pipe = redis::pipe();
            // In one step, so that both are of the same log.
            pipe.atomic().getrange(&key, 0, MARK as isize - 1);
            pipe.cmd("GETRANGE").arg(&key).arg(place.at()).arg(-1);
            let (mark, behind): (Vec<u8>, Vec<u8>) = self.many(&pipe).await?;
            Some(place.read(&self.0.seal, &key, &mark, &behind))
        };
        match look(from).await? {
            Some(chunk) => Some(chunk),
            None if from == Place::default() => None,
            None => look(Place::default()).await?,
        }
    }

    /// A message for the channel of all gateways.
    fn message(&self, kind: Kind, content: &[u8]) -> Cmd {
        let channel = self.0.seal.channel();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&channel).arg(self.0.seal.seal(&channel, &channel::pack(kind, &self.0.me, content)));
        publish
    }

    async fn one<T: FromRedisValue>(&self, cmd: &Cmd) -> Option<T> {
        self.ask(|mut connection| async move { cmd.query_async(&mut connection).await }).await
    }

    async fn many<T: FromRedisValue>(&self, pipe: &Pipeline) -> Option<T> {
        self.ask(|mut connection| async move { pipe.query_async(&mut connection).await }).await
    }

    /// What it answers; `None` when it does not, or not in time.
    async fn ask<T, F>(&self, work: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let Open { connection, number } = self.0.open.borrow().clone()?;
        match timeout(DEADLINE, work(connection)).await {
            Ok(Ok(answer)) => return Some(answer),
            // Which of the two it was tells the operator where to look. Neither holds what was sent.
            Ok(Err(error)) => self.close(number, &format!("it answers with an error: {error}")),
            Err(_) => self.close(number, &format!("no answer within {} ms", DEADLINE.as_millis())),
        }
        None
    }

    fn close(&self, number: u64, why: &str) {
        let closed = self.0.open.send_if_modified(|open| {
            let ours = open.as_ref().is_some_and(|open| open.number == number);
            if ours {
                *open = None;
            }
            ours
        });
        if closed {
            self.0.figures.up.set(0);
            self.0.figures.breaks.inc();
            self.0.others.send_replace(0);
            tracing::warn!(why, "the Redis is gone: this gateway goes on without it");
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}
