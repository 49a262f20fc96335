//! Nodes leave and others join, all the time: what does the gateway have in sight?

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::crowd::{Crowd, Order};
use crate::gateway::Gateway;
use crate::now;

/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(1);
/// A node counts as one that should be in sight, or should not, this long after it came or went: it is what
/// the gateway needs to take silence for an end.
pub(crate) const GRACE_SECONDS: f64 = 5.0;

/// What was found at all samples.
#[derive(Default)]
struct Samples {
    /// Live nodes that are in sight, as a share.
    seen: Vec<f64>,
    /// Nodes in sight that are no more.
    ghosts: Vec<usize>,
}

/// How it goes on.
pub(crate) struct Plan {
    pub(crate) size: usize,
    /// How many of them leave each minute, as a share; as many join.
    pub(crate) share: f64,
    pub(crate) minutes: f64,
}

/// Runs the plan: of those who leave, each second one goes without a word.
pub(crate) async fn run(crowd: &mut Crowd, gateway: &Gateway, plan: &Plan) -> Result<Value> {
    let begin = Instant::now();
    let mut ticks = interval(SAMPLE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut samples = Samples::default();
    let mut changed = 0;
    while begin.elapsed().as_secs_f64() < plan.minutes * 60.0 {
        ticks.tick().await;
        let due = plan.size as f64 * plan.share * begin.elapsed().as_secs_f64() / 60.0;
        while changed < due as usize {
            let end = if changed.is_multiple_of(2) { Order::Leave } else { Order::Kill };
            crowd.order(end).await?;
            crowd.order(Order::Start).await?;
            changed += 1;
        }
        // Asked first, known later: what has changed in between is within the grace.
        let asked = now();
        let in_sight = gateway.in_sight().await?;
        crowd.listen()?;
        crowd.saw(&in_sight, now());
        samples.take(crowd, &in_sight, asked);
    }
    Ok(samples.report(changed))
}

impl Samples {
    fn take(&mut self, crowd: &Crowd, in_sight: &HashSet<String>, asked: f64) {
        let settled = asked - GRACE_SECONDS;
        let (mut live, mut seen, mut ghosts) = (0, 0, 0);
        for (peer, life) in &crowd.lives {
            match life.ended {
                None if life.started < settled => {
                    live += 1;
                    seen += usize::from(in_sight.contains(peer));
                }
                Some(ended) if ended < settled => ghosts += usize::from(in_sight.contains(peer)),
                _ => {}
            }
        }
        if live > 0 {
            self.seen.push(f64::from(seen as u32) / f64::from(live));
        }
        self.ghosts.push(ghosts);
    }

    fn report(&self, changed: usize) -> Value {
        let least = self.seen.iter().copied().fold(1.0, f64::min);
        let mean = self.seen.iter().sum::<f64>() / self.seen.len().max(1) as f64;
        json!({
            "changed": changed,
            "samples": self.seen.len(),
            "seen_mean": mean,
            "seen_least": least,
            "ghosts_most": self.ghosts.iter().max(),
            "grace_seconds": GRACE_SECONDS,
        })
    }
}
