//! What is made of the runs: medians over the rounds, as rows of a Markdown table.

use serde_json::Value;

use super::Options;
use super::usage::Usage;
use crate::say;

/// Engine alone and whole path, once each.
pub(crate) struct Round {
    pub(crate) engine: Value,
    pub(crate) path: Value,
    /// What each process of the swarm used for the path's run.
    pub(crate) usage: Vec<(String, Usage)>,
}

/// All rounds of one number of streams.
pub(crate) struct Row {
    pub(crate) streams: usize,
    pub(crate) rounds: Vec<Round>,
}

/// The middle of some values, and how far they reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

pub(crate) fn print_head(options: &Options) {
    say::fact(&format!(
        "Scripted engine at {} tokens/s a stream, {} tokens an answer; {} rounds, engine alone and path in turns; {}.",
        options.tokens_per_second,
        options.tokens,
        options.rounds,
        machine()
    ));
    say::fact("Added = path minus engine alone. Each figure: median of the rounds (least to most). Times in ms.\n");
    say::fact(
        "| streams | added first token p50 | p99 | added per token p50 | p99 | tokens/s (engine alone) | starved | \
         failed or wrong | CPU ms per 1,000 tokens | peak memory, MB |",
    );
    say::fact("|---|---|---|---|---|---|---|---|---|---|");
}

impl Row {
    pub(crate) fn print(&self) {
        let added = |what: &str, percentile: &str| {
            self.spread(|round| number(&round.path[what][percentile]) - number(&round.engine[what][percentile]))
        };
        let speed = |of: fn(&Round) -> &Value| self.spread(|round| number(&of(round)["tokens_per_second"]));
        let cells = [
            self.streams.to_string(),
            added("first_token_ms", "p50").show(2),
            added("first_token_ms", "p99").show(2),
            added("gap_ms", "p50").show(2),
            added("gap_ms", "p99").show(2),
            format!("{} ({:.0})", speed(|round| &round.path).show(0), speed(|round| &round.engine).median),
            self.sum(&["starved"]).to_string(),
            self.sum(&["failed", "wrong"]).to_string(),
            self.each_process(|usage, tokens| usage.cpu_seconds * 1e6 / tokens),
            self.each_process(|usage, _| usage.peak_mb),
        ];
        say::fact(&format!("| {} |", cells.join(" | ")));
        for failure in self.rounds.iter().filter_map(|round| round.path["failures"].get(0)) {
            say::note(&format!("one of the failures: {failure}"));
        }
    }

    fn spread(&self, of: impl Fn(&Round) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(of).collect())
    }

    /// Over all rounds of the path, because a single one is worth knowing.
    fn sum(&self, keys: &[&str]) -> u64 {
        let counts = self.rounds.iter().flat_map(|round| keys.iter().map(|key| round.path[*key].as_u64()));
        counts.flatten().sum()
    }

    /// `gateway 12, node-1 9, …`
    fn each_process(&self, figure: impl Fn(&Usage, f64) -> f64) -> String {
        let names = self.rounds.first().map(|round| round.usage.iter().map(|(name, _)| name)).into_iter().flatten();
        let median = |index: usize| {
            self.spread(|round| figure(&round.usage[index].1, number(&round.path["tokens"]).max(1.0))).median
        };
        let shown = names.enumerate().map(|(index, name)| format!("{name} {:.0}", median(index)));
        shown.collect::<Vec<_>>().join(", ")
    }
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        let median = (at(last / 2) + at(last.div_ceil(2))) / 2.0;
        Self { least: at(0), median, most: at(last) }
    }

    pub(crate) fn show(self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.most)
    }
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// The computer the figures are from.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{cores} cores, {}", model.trim_start_matches([':', ' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_medians_and_ends() {
        let check = |values: &[f64], least, median, most| {
            assert_eq!(Spread::of(values.to_vec()), Spread { least, median, most }, "{values:?}");
        };
        check(&[3.0, 1.0, 2.0], 1.0, 2.0, 3.0);
        check(&[4.0, 1.0], 1.0, 2.5, 4.0);
        check(&[5.0], 5.0, 5.0, 5.0);
        assert_eq!(Spread::of(vec![1.0, 2.0, 4.5]).show(1), "2.0 (1.0 to 4.5)");
    }
}
