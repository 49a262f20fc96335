//! A Redis behind TLS. Which authorities are trusted is the environment's business, so each case is a process of its own.

use std::{
    path::Path,
    process::{Command, Output},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::*;

/// The test that runs in the other process, and where it finds the Redis.
const THERE: &str = "cache::tests::tls::it_is_reached";
const REDIS: &str = "STARLING_TEST_TLS_REDIS";

fn reach(redis: &RedisServer, trusted: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([THERE, "--exact", "--ignored"]).env(REDIS, redis.tls_url()).env("SSL_CERT_FILE", trusted);
    command.output().unwrap()
}

fn certificate(dir: &Path, name: &str) -> [std::path::PathBuf; 2] {
    let CertifiedKey { cert, key_pair } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = ["pem", "key"].map(|ending| dir.join(format!("{name}.{ending}")));
    std::fs::write(&files[0], cert.pem()).unwrap();
    std::fs::write(&files[1], key_pair.serialize_pem()).unwrap();
    files
}

#[test]
fn tls_holds_for_whom_the_operator_trusts_and_for_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let [own, key] = certificate(dir.path(), "own");
    let [strange, _] = certificate(dir.path(), "strange");
    let redis = RedisServer::with_tls(own.clone(), key);
    let output = reach(&redis, &own);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_ne!(redis.dump().trim(), "", "what it was told is there");
    assert_eq!(redis.ask(&["FLUSHALL"]), "OK");
    let output = reach(&redis, &strange);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("never: the Redis is reached"), "{said}");
    assert_eq!(redis.dump().trim(), "", "nothing was said to it");
}

#[tokio::test]
#[ignore = "the test above runs it in another process"]
async fn it_is_reached() {
    let url = std::env::var(REDIS).expect("the test above says where");
    let world = World::new();
    let (cache, actor) = Cache::over(url.parse().unwrap(), world.swarm, &world.master);
    tokio::spawn(actor.run(world.stop.clone()));
    let limit = Instant::now() + Duration::from_secs(5);
    while !cache.is_up() {
        assert!(Instant::now() < limit, "never: the Redis is reached");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(used(&cache).await < SLOWEST);
}
