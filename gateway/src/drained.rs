//! Keeps the scheduler to what administrators have decided of nodes, here or at another gateway on the same database.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    dispatch::Dispatch,
    store::{Store, StoreError},
};

/// How soon a decision at another gateway is known here.
const EVERY: Duration = Duration::from_secs(30);

/// Runs until `stop`. While the database is away, what was known holds.
pub(crate) async fn keep(store: Store, dispatch: Dispatch, stop: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = read(&store, &dispatch).await {
            tracing::debug!(%error, "which nodes are drained was not read anew");
        }
    }
}

/// Tells the scheduler what the database says.
pub(crate) async fn read(store: &Store, dispatch: &Dispatch) -> Result<(), StoreError> {
    dispatch.drain(store.drained_nodes().await?).await;
    Ok(())
}
