//! A gateway on a MariaDB server that is held up, killed and started again. The tests in `restart` run on such a server
//! too, where `STARLING_TEST_DATABASE` names one.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use starling_gateway::store::Database;
use starling_tests::{
    Answer, Chat, PATIENCE, TestSwarm, expected_text,
    mariadb::{self, MariaDb},
};

/// Some twenty seconds for an answer.
const LONG: &str = "seed=1,tokens_per_second=50,answer_tokens=1000,slots=2";
/// The wait for a connection, or for one statement, and some for a busy computer.
const REFUSED_WITHIN: Duration = Duration::from_secs(9);

async fn status(swarm: &TestSwarm, path: &str) -> StatusCode {
    let response = swarm.http.get(swarm.url(path)).bearer_auth(&swarm.access).send().await.unwrap();
    let status = response.status();
    let again = response.headers().contains_key("retry-after");
    assert!(status != StatusCode::SERVICE_UNAVAILABLE || again || path == "/readyz", "{path}: when to come again");
    status
}

async fn is_refused(swarm: &TestSwarm) {
    for path in ["/api/conversations", "/readyz"] {
        let asked = Instant::now();
        assert_eq!(status(swarm, path).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(asked.elapsed() < REFUSED_WITHIN, "{path} after {:?}", asked.elapsed());
    }
}

async fn recovers(swarm: &TestSwarm) {
    let limit = Instant::now() + PATIENCE;
    for path in ["/api/conversations", "/readyz"] {
        loop {
            let status = status(swarm, path).await;
            if status == StatusCode::OK {
                break;
            }
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: never another");
            assert!(Instant::now() < limit, "{path} never came back");
        }
    }
}

async fn more(chat: &mut Chat, answer: &mut Answer) {
    let enough = answer.text.len() + 100;
    assert!(chat.read(answer, enough).await.is_none(), "it goes on");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mariadb-server: cargo xtask test --only mariadb"]
async fn answers_go_on_while_the_server_is_stopped_or_dead_and_nobody_starts_the_gateway_again() {
    let mut server = MariaDb::start().await;
    let url = mariadb::new_database(&server.url()).await;
    let on_it = |config: &mut starling_gateway::config::Config| config.database = Database::MySql(url.parse().unwrap());
    let swarm = TestSwarm::start_with(on_it, vec![starling_tests::loopback()]).await;
    let _node = swarm.add_node(LONG).await;
    let mut chat = swarm.chat().await;
    chat.ask(None, "go on").await;
    let accepted = chat.wait_for(&["accepted"]).await;
    let mut answer = Answer { turn: accepted["turn"].clone(), ..Answer::default() };
    chat.read(&mut answer, 100).await;

    server.stop();
    let before = answer.seq;
    is_refused(&swarm).await;
    more(&mut chat, &mut answer).await;
    assert!(answer.seq > before, "no token waits for the database");
    server.go_on();
    recovers(&swarm).await;

    server.kill();
    is_refused(&swarm).await;
    more(&mut chat, &mut answer).await;
    server.start_again().await;
    recovers(&swarm).await;

    let end = chat.read(&mut answer, usize::MAX).await.unwrap();
    assert_eq!((&end["type"], &end["message"]["status"]), (&json!("done"), &json!("complete")), "{end}");
    assert_eq!(answer.text, expected_text(LONG, "go on", None));
    let id = accepted["conversation"]["id"].as_str().unwrap();
    let stored = swarm.get(&format!("/api/conversations/{id}")).await;
    assert_eq!(stored["messages"][1]["text"], json!(answer.text));
}
