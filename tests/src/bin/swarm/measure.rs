//! One size of swarm, from nothing: find, rest, churn.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use starling_tests::figures::Usage;
use tokio::time::{Instant, sleep};

use crate::crowd::Crowd;
use crate::gateway::Gateway;
use crate::load::Load;
use crate::{churn, find, nodes};

/// Before rest is measured: what a start leaves to be done is done by then.
const SETTLE: Duration = Duration::from_secs(5);
/// Nodes in one process, at most: a few hundred share a runtime well.
const NODES_IN_A_PROCESS: usize = 250;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    nodes: nodes::Options,
    /// HOST:PORT of the gateway's HTTP.
    #[arg(long)]
    gateway: String,
    /// The gateway's process.
    #[arg(long)]
    gateway_process: u32,
    /// The bootstrap's process.
    #[arg(long)]
    bootstrap_process: u32,
    /// Nodes.
    #[arg(long)]
    size: usize,
    /// Nodes started in a second.
    #[arg(long, default_value_t = 50.0)]
    pace: f64,
    /// How long rest is measured.
    #[arg(long, default_value_t = 20)]
    rest_seconds: u64,
    /// How long nodes leave and join; 0 for not at all.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// The share of nodes that leave in a minute; as many join.
    #[arg(long, default_value_t = 0.1)]
    churn: f64,
    /// Answers asked for at once meanwhile.
    #[arg(long, default_value_t = 8)]
    askers: usize,
}

/// The processes that are measured.
struct Watched<'a> {
    options: &'a Options,
    at: Instant,
    before: [Usage; 3],
}

pub(crate) async fn run(options: &Options) -> Result<Value> {
    let gateway = Gateway::new(&options.gateway)?;
    let mut crowd = Crowd::new(options.size.div_ceil(NODES_IN_A_PROCESS), &options.nodes)?;
    let empty = Watched::begin(options, &crowd).before;
    let found = find::everybody(&mut crowd, &gateway, options.size, options.pace).await?;
    sleep(SETTLE).await;
    let rest = rest(options, &gateway, &crowd).await?;
    let churn = if options.minutes > 0.0 { churn(options, &gateway, &mut crowd).await? } else { Value::Null };
    Ok(json!({
        "size": options.size,
        "empty": {"gateway": shown(&empty[0], 0.0), "bootstrap": shown(&empty[1], 0.0)},
        "discovery": found,
        "rest": rest,
        "churn": churn,
    }))
}

async fn rest(options: &Options, gateway: &Gateway, crowd: &Crowd) -> Result<Value> {
    let bytes = gateway.stream_bytes().await?;
    let watched = Watched::begin(options, crowd);
    sleep(Duration::from_secs(options.rest_seconds)).await;
    let (mut report, seconds) = (watched.end(crowd), watched.at.elapsed().as_secs_f64());
    report["status_bytes_per_second"] = ((gateway.stream_bytes().await? - bytes) / seconds).into();
    Ok(report)
}

async fn churn(options: &Options, gateway: &Gateway, crowd: &mut Crowd) -> Result<Value> {
    let watched = Watched::begin(options, crowd);
    let load = Load::start(options.askers, gateway, &Gateway::expected(&options.nodes.scripted));
    let plan = churn::Plan { size: options.size, share: options.churn, minutes: options.minutes };
    let seen = churn::run(crowd, gateway, &plan).await?;
    let mut report = watched.end(crowd);
    report["seen"] = seen;
    report["answers"] = load.end().await.json();
    Ok(report)
}

impl<'a> Watched<'a> {
    fn begin(options: &'a Options, crowd: &Crowd) -> Self {
        Self { options, at: Instant::now(), before: usage(options, crowd) }
    }

    fn end(&self, crowd: &Crowd) -> Value {
        let seconds = self.at.elapsed().as_secs_f64();
        let now = usage(self.options, crowd);
        let percent = |index: usize| (now[index].cpu_seconds - self.before[index].cpu_seconds) / seconds * 100.0;
        json!({
            "gateway": shown(&now[0], percent(0)),
            "bootstrap": shown(&now[1], percent(1)),
            "nodes": shown(&now[2], percent(2)),
        })
    }
}

fn usage(options: &Options, crowd: &Crowd) -> [Usage; 3] {
    [Usage::of(options.gateway_process), Usage::of(options.bootstrap_process), crowd.usage()]
}

fn shown(usage: &Usage, cpu_percent: f64) -> Value {
    json!({"mb": usage.mb, "peak_mb": usage.peak_mb, "files": usage.files, "cpu_percent": cpu_percent})
}
