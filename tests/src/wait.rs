//! Waiting for what is to come, and not for longer than anything in a test may take.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::PATIENCE;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until it is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    until_some(what, async || so().then_some(())).await;
}

/// Asks again and again until there is an answer.
pub async fn until_some<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never: {what}"))
}
