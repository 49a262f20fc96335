//! The cache over a real Redis that dies, hangs, forgets and comes back.

#[expect(unreachable_pub, reason = "the end-to-end tests have it too")]
pub(crate) mod server;
mod tls;

use std::time::{Duration, Instant};

use starling_protocol::membership::SwarmKey;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::server::RedisServer;
use super::{
    log::{Chunk, Place},
    *,
};

const PATIENCE: Duration = Duration::from_secs(20);
const RATE: Rate = Rate { burst: 5, refill: Duration::from_secs(3600) };

/// Caches of gateways that have the same keys.
struct World {
    swarm: SwarmId,
    master: MasterKey,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl World {
    fn new() -> Self {
        let stop = CancellationToken::new();
        let swarm = SwarmKey::generate().unwrap().id();
        Self { swarm, master: MasterKey::generate(), _guard: stop.clone().drop_guard(), stop }
    }

    /// Of one more gateway.
    fn cache(&self, redis: &RedisServer) -> Cache {
        let (cache, actor) = Cache::over(redis.url().parse().unwrap(), self.swarm, &self.master);
        tokio::spawn(actor.run(self.stop.clone()));
        cache
    }

    async fn pair(&self, redis: &RedisServer) -> (Cache, Cache) {
        let (a, b) = (self.cache(redis), self.cache(redis));
        until("both hear each other", || a.others() == 1 && b.others() == 1).await;
        (a, b)
    }
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < limit, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Uses all there is, and says how long the slowest took. Nothing of it may fail.
async fn used(cache: &Cache) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut writer = LogWriter::new("t".into());
    for number in 0..5 {
        let began = Instant::now();
        assert!(cache.take(&format!("used {number} {began:?}"), RATE, 1).await.allowed);
        cache.publish(b"event").await;
        cache.append(&mut [(&mut writer, vec![b"entry".to_vec()])]).await;
        let _ = cache.read("t", Place::default()).await;
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

/// Four commands, of which the first that is late closes the way; and a slow machine.
const SLOWEST: Duration = Duration::from_millis(400);

async fn said(events: &mut broadcast::Receiver<Heard>) -> Heard {
    timeout(PATIENCE, events.recv()).await.expect("nothing is heard").unwrap()
}

fn event(text: &str) -> Heard {
    Heard::Said(text.as_bytes().into())
}

#[tokio::test]
async fn one_gateway_alone_needs_no_redis() {
    let cache = Cache::in_process();
    used(&cache).await;
    for left in (0..5).rev() {
        assert_eq!(cache.take("a", RATE, 1).await.remaining, left);
    }
    let refused = cache.take("a", RATE, 1).await;
    assert!(!refused.allowed && refused.retry_after > Duration::from_secs(3_500), "{refused:?}");
    cache.give_back("a", RATE, 1).await;
    assert!(cache.take("a", RATE, 1).await.allowed);
    assert_eq!((cache.others(), cache.is_shared(), cache.is_up()), (0, false, false));
}

#[tokio::test]
async fn two_gateways_count_together() {
    let (redis, world) = (RedisServer::start(), World::new());
    let (a, b) = world.pair(&redis).await;
    for left in (0..5).rev() {
        let cache = if left % 2 == 0 { &a } else { &b };
        let taken = cache.take("192.0.2.1", RATE, 1).await;
        assert_eq!((taken.allowed, taken.remaining), (true, left));
    }
    for cache in [&a, &b] {
        let refused = cache.take("192.0.2.1", RATE, 1).await;
        assert!(!refused.allowed && refused.retry_after > Duration::from_secs(3_500), "{refused:?}");
    }
    b.give_back("192.0.2.1", RATE, 1).await;
    assert!(a.take("192.0.2.1", RATE, 1).await.allowed);
    // At once, from both: never more than there are.
    let tries = (0..40).map(|number| if number % 2 == 0 { a.clone() } else { b.clone() });
    let tries = tries.map(|cache| async move { cache.take("many", RATE, 1).await.allowed });
    let allowed = futures::future::join_all(tries).await.into_iter().filter(|allowed| *allowed).count();
    assert_eq!(allowed, 5);
    let keys = redis.ask(&["KEYS", "*rate*"]);
    let expiry: i64 = redis.ask(&["PTTL", keys.lines().next().unwrap()]).parse().unwrap();
    assert!((1..=5 * 3_600_000 + 2).contains(&expiry), "{expiry}");
}

#[tokio::test]
async fn events_and_logs_reach_the_others_and_nobody_else() {
    let (redis, world) = (RedisServer::start(), World::new());
    let (a, b) = world.pair(&redis).await;
    let (mut of_a, mut of_b) = (a.events(), b.events());
    let stranger = World { swarm: world.swarm, ..World::new() };
    let c = stranger.cache(&redis);
    until("the stranger is there", || c.is_up()).await;
    c.publish(b"forged").await;
    a.publish(b"secret of a").await;
    a.publish(&[b'x'; MAX_EVENT + 1]).await;
    b.publish(b"of b").await;
    assert_eq!((said(&mut of_b).await, said(&mut of_a).await), (event("secret of a"), event("of b")));
    assert_eq!((of_a.len(), of_b.len(), c.others()), (0, 0, 0), "nobody hears himself, or a stranger");

    let mut writer = LogWriter::new("turn".into());
    a.append(&mut [(&mut writer, vec![b"secret one".to_vec(), b"two".to_vec()])]).await;
    let Some(Chunk { anew: true, entries, place }) = b.read("turn", Place::default()).await else { panic!("no log") };
    assert_eq!(entries, [b"secret one".to_vec(), b"two".to_vec()]);
    a.append(&mut [(&mut writer, vec![b"three".to_vec()])]).await;
    let Some(Chunk { anew: false, entries, place }) = b.read("turn", place).await else { panic!("no more") };
    assert_eq!(entries, [b"three".to_vec()]);
    assert_eq!(b.read("turn", place).await.unwrap().entries.len(), 0);
    assert_eq!(b.read("another", Place::default()).await, None);
    let all = redis.dump();
    assert!(all.contains("starling:") && !all.contains("secret") && !all.contains("three"), "{all}");
}

#[tokio::test]
async fn a_redis_that_is_not_there_at_the_start_is_not_missed_and_is_found_later() {
    let (mut redis, world) = (RedisServer::absent(), World::new());
    let (a, b) = (world.cache(&redis), world.cache(&redis));
    assert!(used(&a).await < SLOWEST);
    redis.come_back();
    until("both are there", || a.others() == 1 && b.others() == 1).await;
}

#[tokio::test]
async fn a_redis_that_is_killed_in_the_middle_fails_nothing() {
    let (mut redis, world) = (RedisServer::start(), World::new());
    let (a, b) = world.pair(&redis).await;
    let mut of_b = b.events();
    redis.kill();
    assert!(used(&a).await < SLOWEST);
    assert!(!a.is_up());
    until("the other knows it too", || !b.is_up() && b.others() == 0).await;
    redis.come_back();
    until("both are there", || a.others() == 1 && b.others() == 1).await;
    assert_eq!(said(&mut of_b).await, Heard::Missed);
    a.publish(b"again").await;
    assert_eq!(said(&mut of_b).await, event("again"));
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_tenth_of_a_second_once() {
    let (redis, world) = (RedisServer::start(), World::new());
    let (a, b) = world.pair(&redis).await;
    redis.hang();
    assert!(used(&a).await < SLOWEST);
    let began = Instant::now();
    used(&a).await;
    assert!(began.elapsed() < Duration::from_millis(50), "nobody waits for it any more: {:?}", began.elapsed());
    until("the idle one has noticed", || !b.is_up()).await;
    redis.wake();
    until("both are there", || a.others() == 1 && b.others() == 1).await;
}

#[tokio::test]
async fn a_redis_that_forgets_is_filled_again() {
    let (redis, world) = (RedisServer::start(), World::new());
    let (a, b) = world.pair(&redis).await;
    let mut writer = LogWriter::new("turn".into());
    a.append(&mut [(&mut writer, vec![b"one".to_vec()])]).await;
    let place = b.read("turn", Place::default()).await.unwrap().place;
    assert_eq!(redis.ask(&["FLUSHALL"]), "OK");
    assert_eq!(redis.ask(&["SCRIPT", "FLUSH"]), "OK");
    assert!(a.take("x", RATE, 1).await.allowed);
    assert_eq!(b.take("x", RATE, 1).await.remaining, 3, "the script is there again");
    a.append(&mut [(&mut writer, vec![b"two".to_vec()])]).await;
    assert!(writer.is_new(), "the loss is seen");
    assert_eq!(b.read("turn", place).await, None);
    a.append(&mut [(&mut writer, vec![b"one".to_vec(), b"two".to_vec()])]).await;
    let chunk = b.read("turn", place).await.unwrap();
    assert_eq!((chunk.anew, chunk.entries.len()), (true, 2));
    assert!(a.is_up() && b.is_up());
}

#[tokio::test]
async fn a_redis_that_is_slow_or_takes_no_writes_is_gone_until_it_is_not() {
    let (redis, world) = (RedisServer::start(), World::new());
    let (a, b) = world.pair(&redis).await;
    assert_eq!(redis.ask(&["CLIENT", "PAUSE", "400", "ALL"]), "OK");
    assert!(used(&a).await < SLOWEST);
    assert!(!a.is_up());
    until("both are there", || a.others() == 1 && b.others() == 1).await;
    assert_eq!(redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]), "OK");
    assert!(used(&a).await < SLOWEST);
    until("no writes are as good as no Redis", || !a.is_up() && !b.is_up()).await;
    assert_eq!(redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]), "OK");
    until("both are there", || a.others() == 1 && b.others() == 1).await;
}

#[tokio::test]
async fn one_that_goes_says_so_and_tls_to_a_server_without_it_is_no_panic() {
    let (redis, world) = (RedisServer::start(), World::new());
    let (a, _b) = world.pair(&redis).await;
    let other = World { swarm: world.swarm, master: world.master.clone(), ..World::new() };
    let c = other.cache(&redis);
    until("the third is there", || a.others() == 2).await;
    other.stop.cancel();
    let began = Instant::now();
    until("the third has gone", || a.others() == 1).await;
    assert!(began.elapsed() < Duration::from_secs(2), "it was not waited for");
    drop(c);
    let url = redis.url().replace("redis://", "rediss://");
    let (tls, actor) = Cache::over(url.parse().unwrap(), world.swarm, &world.master);
    let running = tokio::spawn(actor.run(world.stop.clone()));
    assert!(used(&tls).await < SLOWEST);
    sleep(Duration::from_millis(300)).await;
    assert!(!tls.is_up() && !running.is_finished());
}

/// `cargo test -p starling-gateway --lib figures -- --ignored --nocapture`
#[tokio::test]
#[ignore = "measures and asserts nothing"]
async fn figures() {
    let (redis, world) = (RedisServer::start(), World::new());
    let (a, b) = world.pair(&redis).await;
    for turns in [1, 20, 200] {
        let mut writers: Vec<_> = (0..turns).map(|turn| LogWriter::new(format!("{turns} {turn}"))).collect();
        let began = Instant::now();
        for _ in 0..50 {
            let entry = || vec![b"{\"type\":\"text\",\"from\":1000,\"text\":\"two tokens\"}".to_vec()];
            let mut batch: Vec<_> = writers.iter_mut().map(|writer| (writer, entry())).collect();
            a.append(&mut batch).await;
        }
        let each = began.elapsed() / 50;
        println!("{turns} answers shown: {each:?} a look, {:?} an answer", each / turns);
    }
    let began = Instant::now();
    for _ in 0..500 {
        a.take("figures", RATE, 1).await;
    }
    println!("a bucket: {:?}", began.elapsed() / 500);
    let (began, mut events) = (Instant::now(), b.events());
    for _ in 0..500 {
        a.publish(b"event").await;
        said(&mut events).await;
    }
    println!("an event, there: {:?}", began.elapsed() / 500);
    assert!(a.is_up());
}
