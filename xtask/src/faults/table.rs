//! What is printed of it all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::{Fault, Skipped, Tried};

pub(super) const HEAD: &str = "| fault | tried | held | worst gap, s | next token, s: median | p95 | what broke |\n\
                               |---|---|---|---|---|---|---|";
/// Letters of each thing that broke.
const SHOWN: usize = 200;

/// A fault and what came of it.
pub(super) struct Row {
    pub(super) fault: &'static Fault,
    /// What the next token may take.
    limit: Duration,
    pub(super) trials: Vec<Tried>,
    /// What kept it from being tried to the end.
    error: Option<String>,
    /// Why it cannot be tried on this machine.
    skipped: Option<String>,
}

impl Row {
    pub(super) fn new(fault: &'static Fault, limit: Duration) -> Self {
        Self { fault, limit, trials: Vec::new(), error: None, skipped: None }
    }

    pub(super) fn stopped_by(&mut self, error: &anyhow::Error) {
        match error.downcast_ref::<Skipped>() {
            Some(why) => self.skipped = Some(why.to_string()),
            None => self.error = Some(format!("{error:#}")),
        }
    }

    /// Nothing broke, and the reader waited no longer than he may.
    pub(super) fn holds(&self) -> bool {
        let in_time = self.next(95).is_none_or(|next| next <= self.limit);
        self.error.is_none() && in_time && self.held() == self.trials.len()
    }

    fn held(&self) -> usize {
        self.trials.iter().filter(|tried| tried.broke.is_empty()).count()
    }

    fn worst_gap(&self) -> Duration {
        self.trials.iter().map(|tried| tried.gap).max().unwrap_or_default()
    }

    /// Percentile of the times to the next token.
    fn next(&self, percent: usize) -> Option<Duration> {
        let mut all: Vec<Duration> = self.trials.iter().filter_map(|tried| tried.next).collect();
        all.sort_unstable();
        all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).copied()
    }

    /// One line of the table.
    pub(super) fn line(&self) -> String {
        let seconds =
            |time: Option<Duration>| time.map_or_else(|| "–".into(), |time| format!("{:.2}", time.as_secs_f64()));
        let Fault { name, about, .. } = self.fault;
        let cells = [
            format!("{name}: {about}"),
            self.trials.len().to_string(),
            self.held().to_string(),
            seconds(Some(self.worst_gap()).filter(|gap| !gap.is_zero())),
            seconds(self.next(50)),
            seconds(self.next(95)),
            self.words(),
        ];
        format!("| {} |", cells.join(" | "))
    }

    /// What broke, each thing once with how often; else what is worth knowing.
    fn words(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for broke in self.trials.iter().flat_map(|tried| &tried.broke) {
            let first = broke.lines().next().unwrap_or_default();
            *counts.entry(first.chars().take(SHOWN).collect()).or_default() += 1;
        }
        let mut words: Vec<String> = counts.iter().map(|(what, count)| format!("{what} ({count} times)")).collect();
        let late = self.next(95).filter(|next| *next > self.limit);
        words.extend(late.map(|_| format!("at most {} s were allowed", self.limit.as_secs_f64())));
        words
            .extend(self.error.as_ref().map(|error| format!("given up: {}", error.lines().next().unwrap_or_default())));
        words.extend(self.skipped.as_ref().map(|why| format!("NOT run: {why}")));
        if words.is_empty() {
            words.extend(self.trials.iter().rev().find_map(|tried| tried.note.clone()));
        }
        words.join("; ")
    }
}

/// All figures, for programs.
pub(super) fn json(rows: &[Row]) -> Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let trial = |tried: &Tried| json!({"gap": tried.gap.as_secs_f64(), "next": seconds(tried.next), "broke": tried.broke, "note": tried.note});
    let row = |row: &Row| {
        json!({
            "fault": row.fault.name, "tried": row.trials.len(), "held": row.held(), "holds": row.holds(),
            "worst_gap": row.worst_gap().as_secs_f64(), "next_median": seconds(row.next(50)),
            "next_p95": seconds(row.next(95)), "error": row.error, "skipped": row.skipped,
            "trials": row.trials.iter().map(trial).collect::<Vec<_>>(),
        })
    };
    rows.iter().map(row).collect()
}
