//! How long each kind of request took, and how many failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use starling_tests::figures::percentile;
use tokio::time::Instant;

#[derive(Default)]
struct Kind {
    took: Vec<Duration>,
    failed: usize,
    /// The first few, for whoever looks into it.
    why: Vec<String>,
}

/// Shared by all people.
#[derive(Default)]
pub(crate) struct Tally(Mutex<BTreeMap<&'static str, Kind>>);

impl Tally {
    /// Does it and notes how it went.
    pub(crate) async fn time<T>(&self, name: &'static str, doing: impl Future<Output = Result<T>>) -> Option<T> {
        let began = Instant::now();
        let result = doing.await;
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(name).or_default();
        match result {
            Ok(value) => {
                kind.took.push(began.elapsed());
                Some(value)
            }
            Err(error) => {
                kind.failed += 1;
                if kind.why.len() < 3 {
                    kind.why.push(format!("{error:#}"));
                }
                None
            }
        }
    }

    pub(crate) fn report(self) -> Value {
        let kinds = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        kinds.into_iter().map(|(name, kind)| (name.to_owned(), kind.report())).collect::<serde_json::Map<_, _>>().into()
    }
}

impl Kind {
    fn report(mut self) -> Value {
        self.took.sort_unstable();
        let ms = |percent| percentile(&self.took, percent).as_secs_f64() * 1e3;
        json!({"good": self.took.len(), "failed": self.failed, "why": self.why,
            "p50": ms(50), "p95": ms(95), "p99": ms(99), "max": ms(100)})
    }
}

/// p50, p99 and the most of some figures.
pub(crate) fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    json!({"p50": percentile(&values, 50), "p99": percentile(&values, 99), "max": percentile(&values, 100)})
}
