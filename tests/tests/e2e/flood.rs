//! A crowd of strangers at the gateway's door: answers go on, and its memory stays within bounds.
//! `cargo xtask bench flood` does the same on a larger scale, against a gateway in a process of its own.

use std::process::Stdio;

use serde_json::{Value, json};
use starling_protocol::swarm::Multiaddr;
use starling_tests::{PATIENCE, TestSwarm, expected_text, figures::Usage};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const NODE: &str = "answer_tokens=30,tokens_per_second=0,slots=2";
/// Fewer than the gateway lets in, so that all of them are there at once.
const PEERS: u32 = 40;
const STREAMS: u32 = 20;
const SOCKETS: u32 = 300;
/// Everything in this process may grow by so much: some 10 kB for each stream, and as much again.
const MOST_MB: f64 = 64.0;

/// The attackers, once most of them are there. They end with their stdin.
async fn attack(victim: &Multiaddr) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm"));
    command.args(["attack", "--victim", &victim.to_string(), "--begun=50", "--initials=0"]);
    command.arg(format!("--peers={PEERS}")).arg(format!("--streams={STREAMS}")).arg(format!("--sockets={SOCKETS}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut attackers = command.spawn().unwrap();
    let mut lines = BufReader::new(attackers.stdout.take().unwrap()).lines();
    let there = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let held: Vec<u32> = line.split(' ').skip(1).map(|count| count.parse().unwrap()).collect();
            if held[0] > PEERS / 2 && held[1] > PEERS * STREAMS / 4 {
                return;
            }
        }
        panic!("the attackers have ended");
    };
    timeout(PATIENCE, there).await.expect("the attackers never came");
    attackers
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_on_while_strangers_crowd_the_door() {
    let (swarm, _nodes) = TestSwarm::with_nodes(&[NODE]).await;
    let addresses = swarm.gateway.swarm().addresses().borrow().clone();
    let victim = addresses.iter().find(|address| address.to_string().contains("/tcp/")).unwrap();
    let before = Usage::own().mb;
    let mut attackers = attack(victim).await;
    for number in 0..10 {
        let text = format!("question {number}");
        let body = json!({"model": "scripted", "messages": [{"role": "user", "content": text}]});
        let answer: Value = timeout(PATIENCE, swarm.complete(&body)).await.unwrap().json().await.unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], json!(expected_text(NODE, &text, None)), "{answer}");
    }
    assert!(attackers.try_wait().unwrap().is_none(), "the attack goes on");
    let grown = Usage::own().mb - before;
    assert!(grown < MOST_MB, "{grown} MB more");
    swarm.is_idle().await;
}
