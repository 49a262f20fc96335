//! A gateway before, under and after an attack: its memory, and what becomes of answers.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use starling_tests::figures::Usage;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::crowd::{Crowd, Order};
use crate::gateway::Gateway;
use crate::load::Load;
use crate::{attack, nodes, now};

/// Between two looks at the gateway's memory.
const LOOK: Duration = Duration::from_millis(500);
/// Before anything counts: what is new is tried with one answer at a time, and is new no more by then.
const WARM_UP: Duration = Duration::from_secs(20);
/// After the attack: what it held has timed out by then.
const AFTER: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    attack: attack::Options,
    #[command(flatten)]
    nodes: nodes::Options,
    /// HOST:PORT of the gateway's HTTP.
    #[arg(long)]
    gateway: String,
    /// The gateway's process.
    #[arg(long)]
    gateway_process: u32,
    /// How long answers are asked for before the attack.
    #[arg(long, default_value_t = 10)]
    before_seconds: u64,
    /// How long the attack goes on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Answers asked for at once.
    #[arg(long, default_value_t = 4)]
    askers: usize,
}

pub(crate) async fn run(options: &Options) -> Result<Value> {
    let gateway = Gateway::new(&options.gateway)?;
    let mut crowd = Crowd::new(1, &options.nodes)?;
    answers(options, &gateway, WARM_UP).await?;
    let calm = answers(options, &gateway, Duration::from_secs(options.before_seconds)).await?;
    let attack = Attack::start(&options.attack)?;
    // A node that comes in the middle of it.
    let half = Duration::from_secs(options.seconds) / 2;
    let (flooded, joined) = tokio::join!(answers(options, &gateway, half * 2), async {
        sleep(half).await;
        joins(&mut crowd, &gateway, half).await
    });
    let held = attack.end().await?;
    sleep(AFTER).await;
    let after = Usage::of(options.gateway_process);
    Ok(json!({
        "before": calm, "during": flooded?, "joined_after_seconds": joined?, "held": held,
        "after": {"mb": after.mb, "files": after.files},
    }))
}

/// What becomes of answers for so long, and how much memory the gateway has at the most.
async fn answers(options: &Options, gateway: &Gateway, long: Duration) -> Result<Value> {
    let (begin, before) = (Instant::now(), Usage::of(options.gateway_process));
    let load = Load::start(options.askers, gateway, &Gateway::expected(&options.nodes.scripted));
    let (mut most, mut files) = (before.mb, before.files);
    while begin.elapsed() < long {
        sleep(LOOK).await;
        let now = Usage::of(options.gateway_process);
        (most, files) = (most.max(now.mb), files.max(now.files));
    }
    let cpu = Usage::of(options.gateway_process).cpu_seconds - before.cpu_seconds;
    let tally = load.end().await;
    Ok(json!({
        "mb": before.mb, "most_mb": most, "files": files,
        "cpu_percent": cpu / long.as_secs_f64() * 100.0,
        "answers": tally.json(),
    }))
}

/// How long a new node needs to be in sight; nothing when it is not within the limit.
async fn joins(crowd: &mut Crowd, gateway: &Gateway, limit: Duration) -> Result<Option<f64>> {
    let begin = Instant::now();
    crowd.order(Order::Start).await?;
    while begin.elapsed() < limit {
        let in_sight = gateway.in_sight().await?;
        crowd.listen()?;
        crowd.saw(&in_sight, now());
        if let Some(life) = crowd.lives.values().next()
            && let Some(seen) = life.seen
        {
            return Ok(Some(seen - life.started));
        }
        sleep(LOOK / 5).await;
    }
    Ok(None)
}

/// The attackers, in a process of their own.
struct Attack {
    child: Child,
    held: tokio::task::JoinHandle<[u64; 4]>,
}

impl Attack {
    fn start(options: &attack::Options) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("attack").args(options.arguments()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the attackers")?;
        let stdout = child.stdout.take().context("stdout was asked for")?;
        let held = tokio::spawn(async move {
            let (mut lines, mut most) = (BufReader::new(stdout).lines(), [0; 4]);
            while let Ok(Some(line)) = lines.next_line().await {
                let counts = line.split(' ').skip(1).filter_map(|word| word.parse::<u64>().ok());
                most.iter_mut().zip(counts).for_each(|(most, count)| *most = count.max(*most));
            }
            most
        });
        Ok(Self { child, held })
    }

    /// The most that it held of each kind.
    async fn end(mut self) -> Result<Value> {
        self.child.kill().await?;
        let [peers, streams, sockets, initials] = self.held.await?;
        Ok(json!({"peers": peers, "streams": streams, "sockets": sockets, "initials": initials}))
    }
}
