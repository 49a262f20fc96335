//! From nothing to everybody in sight.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use starling_tests::figures::percentile;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::crowd::{Crowd, Order};
use crate::gateway::Gateway;
use crate::now;

/// Between two looks at the gateway, which is as exact as the times are.
const LOOK: Duration = Duration::from_millis(100);
/// Who is not in sight this long after the last start never will be.
const LIMIT: Duration = Duration::from_secs(120);

/// Starts `size` nodes, so many a second, and waits until the gateway has them all in sight.
pub(crate) async fn everybody(crowd: &mut Crowd, gateway: &Gateway, size: usize, pace: f64) -> Result<Value> {
    let begin = Instant::now();
    let limit = LIMIT + Duration::from_secs_f64(size as f64 / pace);
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ordered = 0;
    let mut found = 0;
    while found < size && begin.elapsed() < limit {
        ticks.tick().await;
        let due = (begin.elapsed().as_secs_f64() * pace) as usize + 1;
        while ordered < due.min(size) {
            crowd.order(Order::Start).await?;
            ordered += 1;
        }
        let in_sight = gateway.in_sight().await?;
        let at = now();
        crowd.listen()?;
        crowd.saw(&in_sight, at);
        found = crowd.lives.values().filter(|life| life.seen.is_some()).count();
    }
    Ok(report(crowd, found))
}

fn report(crowd: &Crowd, found: usize) -> Value {
    let mut each: Vec<f64> =
        crowd.lives.values().filter_map(|life| Some((life.seen? - life.started).max(0.0))).collect();
    each.sort_unstable_by(f64::total_cmp);
    let first = crowd.lives.values().map(|life| life.started).fold(f64::MAX, f64::min);
    let last = crowd.lives.values().filter_map(|life| life.seen).fold(first, f64::max);
    let seconds = |percent| percentile(&each, percent);
    let missing: Vec<_> = crowd.lives.iter().filter(|(_, life)| life.seen.is_none()).map(|(peer, _)| peer).collect();
    json!({"missing": missing, "found": found, "p50": seconds(50), "p95": seconds(95), "max": seconds(100), "all": last - first})
}
