//! The table: medians of the rounds, and of the ratios of each pair.

use crate::Options;
use crate::measure::Measure;

/// Prints itself row by row.
pub(crate) struct Table;

impl Table {
    pub(crate) fn new(options: &Options) -> Self {
        println!(
            "{} rounds in turns; {} slots of {} tokens, {} threads; model {}. Median (least to most); the ratio is \
             that of each pair, above 1 where ours is better.\n",
            options.rounds,
            options.slots,
            options.context,
            options.threads,
            options.model.file_name().unwrap_or_default().to_string_lossy(),
        );
        println!("| measure | unit | Starling | llama-server | ratio |");
        println!("|---|---|---|---|---|");
        Self
    }

    /// `rounds`: ours, and theirs where there is one.
    pub(crate) fn row(&mut self, measure: &Measure, rounds: &[(f64, Option<f64>)]) {
        let digits = usize::from(!measure.less_is_better);
        let ours = spread(rounds.iter().map(|(ours, _)| *ours).collect(), digits);
        let theirs = spread(rounds.iter().filter_map(|(_, theirs)| *theirs).collect(), digits);
        let ratio = |(ours, theirs): &(f64, Option<f64>)| {
            theirs.map(|theirs| if measure.less_is_better { theirs / ours } else { ours / theirs })
        };
        let ratios = spread(rounds.iter().filter_map(ratio).collect(), 2);
        println!("| {} | {} | {ours} | {theirs} | {ratios} |", measure.name, measure.unit);
    }

    pub(crate) fn memory(&mut self, ours: f64, theirs: Option<f64>) {
        single("peak memory", "MB", ours, theirs, 0);
    }

    pub(crate) fn load_time(&mut self, ours: f64, theirs: Option<f64>) {
        single("load time", "s", ours, theirs, 1);
    }
}

/// A figure that is taken once, of which less is better.
fn single(name: &str, unit: &str, ours: f64, theirs: Option<f64>, digits: usize) {
    let ratio = theirs.map_or("not run".to_owned(), |theirs| format!("{:.2}", theirs / ours));
    let theirs = theirs.map_or("not run".to_owned(), |theirs| format!("{theirs:.digits$}"));
    println!("| {name} | {unit} | {ours:.digits$} | {theirs} | {ratio} |");
}

fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return "not run".to_owned() };
    let last = values.len() - 1;
    let median = (values[last / 2] + values[last.div_ceil(2)]) / 2.0;
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_and_the_ends() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0], 1), "2.0 (1.0 to 3.0)");
        assert_eq!(spread(vec![4.0, 1.0], 0), "2 (1 to 4)");
        assert_eq!(spread(vec![], 0), "not run");
    }
}
