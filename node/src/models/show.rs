//! What people see: sizes, a table, how far something has come.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line says how far it has come, where there is no terminal for a bar.
const NEWS: Duration = Duration::from_secs(5);
/// How often a bar moves.
const FRAME: Duration = Duration::from_millis(100);
/// Speed is that of the last one or two of these.
const WINDOW: Duration = Duration::from_secs(5);

/// Bytes in the unit that fits, as shops and hubs count them.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let bytes = bytes as f64;
    match bytes {
        1e9.. => format!("{:.2} GB", bytes / 1e9),
        1e6.. => format!("{:.1} MB", bytes / 1e6),
        1e3.. => format!("{:.1} kB", bytes / 1e3),
        _ => format!("{bytes} B"),
    }
}

/// Lines in which the cells of a column stand below each other; the first row is the heading.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A line on stderr for the person who waits. A closed stderr is no reason to die.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// How far a long step has come: a bar in a terminal, a line every few seconds elsewhere.
pub(crate) struct Progress {
    what: String,
    bar: Option<ProgressBar>,
    total: u64,
    speed: Speed,
    said: Instant,
}

/// How fast it was lately.
struct Speed {
    /// Where it was at the beginning of the last window, and of this one.
    marks: [(u64, Instant); 2],
}

impl Progress {
    /// Of `total` bytes, `done` were there before.
    pub(crate) fn new(what: &str, done: u64, total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_prefix(what.to_owned()).with_position(done)
        });
        let now = Instant::now();
        Self { what: what.to_owned(), bar, total, speed: Speed { marks: [(done, now); 2] }, said: now }
    }

    /// It has come to `done` bytes.
    pub(crate) fn set(&mut self, done: u64) {
        let now = Instant::now();
        let pause = if self.bar.is_some() { FRAME } else { NEWS };
        if now - self.said < pause {
            return;
        }
        self.said = now;
        let speed = self.speed.at(done, now);
        let line = self.line(done, speed);
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.set_position(done.min(self.total));
            }
            None => note(&format!("{}: {line}", self.what)),
        }
    }

    /// A line for the person who waits, beside the bar.
    pub(crate) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }

    fn line(&self, done: u64, speed: u64) -> String {
        let (percent, left) = (done.saturating_mul(100) / self.total.max(1), self.total.saturating_sub(done));
        let time = match left.checked_div(speed) {
            None => "no end in sight".to_owned(),
            Some(seconds) if seconds < 120 => format!("{seconds} s left"),
            Some(seconds) if seconds < 7200 => format!("{} min left", seconds / 60),
            Some(seconds) => format!("{} h left", seconds / 3600),
        };
        format!("{percent} % ({} of {}), {}/s, {time}", size(done), size(self.total), size(speed))
    }
}

impl Speed {
    /// Bytes a second over the last window and this one.
    fn at(&mut self, done: u64, now: Instant) -> u64 {
        if now - self.marks[1].1 > WINDOW {
            self.marks = [self.marks[1], (done, now)];
        }
        let (from, since) = self.marks[0];
        let milliseconds = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX).max(1);
        done.saturating_sub(from).saturating_mul(1000) / milliseconds
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_or_so() {
        let sizes = [0, 999, 1000, 3_306_112, 5_849_000_000].map(size);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "3.3 MB", "5.85 GB"]);
    }

    #[test]
    fn cells_stand_below_each_other() {
        let rows = [["NAME", "SIZE"], ["ü", "1 B"], ["longer", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "NAME    SIZE\nü       1 B\nlonger");
    }

    #[test]
    fn a_line_says_speed_and_time() {
        let progress = Progress::new("m", 500, 1000);
        assert_eq!(progress.line(600, 10), "60 % (600 B of 1.0 kB), 10 B/s, 40 s left");
        assert_eq!(progress.line(510, 1), "51 % (510 B of 1.0 kB), 1 B/s, 8 min left");
        assert_eq!(progress.line(500, 0), "50 % (500 B of 1.0 kB), 0 B/s, no end in sight");
    }

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut speed = Speed { marks: [(500, start); 2] };
        let mut at = |done, seconds| speed.at(done, start + Duration::from_secs(seconds));
        assert_eq!((at(600, 1), at(1100, 6), at(2000, 12), at(2000, 18)), (100, 100, 150, 0));
    }
}
