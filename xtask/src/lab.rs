//! `cargo xtask lab`: the real programs behind NATs of every kind, made of network namespaces by
//! `tests/natlab/natlab`. For each arrangement it says whether a node is of use there, how it is
//! reached, and how long that took.
//!
//! Nothing in it reaches the machine's network, or is reached from it.

mod cell;
pub(crate) mod client;
mod natlab;
mod network;
mod plan;
mod scenario;
mod table;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};
use clap::Args;
use tempfile::TempDir;

use crate::binaries::{self, PROGRAMS, Profile};
use crate::blocked::Blocked;
use crate::places::Places;
use crate::say;
use crate::stop::{Interrupted, Stop};
use crate::system::{self, Consent, Need};
use cell::{Measured, Turn};
pub(crate) use natlab::Right;
use network::Ground;
use plan::{Cell, Transport};
use scenario::{Outcome, SCENARIOS, Scenario};
use table::Row;

#[derive(Args)]
pub(crate) struct Options {
    /// Only what has this in its name, such as symmetric-portremap-quic, public- or -rough (repeatable).
    #[arg(long, value_name = "PART OF A NAME")]
    only: Vec<String>,
    /// A few cells that tell much.
    #[arg(long)]
    short: bool,
    /// Only this transport.
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// How often each cell is run.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Cells at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=26))]
    jobs: u8,
    /// Write all figures there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the first cell up, once it is measured, until Ctrl-C; and its logs for good.
    #[arg(long)]
    keep: bool,
    /// Take the programs from this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Name the cells and do nothing.
    #[arg(long)]
    list: bool,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

impl Options {
    fn cells(&self) -> Vec<Cell> {
        let mut cells = if self.short { plan::short() } else { plan::all() };
        let named = |cell: &Cell| self.only.is_empty() || self.only.iter().any(|part| cell.name().contains(part));
        cells.retain(|cell| named(cell) && self.transport.is_none_or(|wanted| cell.transport == wanted));
        if self.keep {
            cells.truncate(1);
        }
        cells
    }

    fn scenarios(&self) -> Vec<Scenario> {
        let named = |scenario: &Scenario| {
            !self.short
                && self.transport.is_none()
                && (self.only.is_empty() || self.only.iter().any(|part| scenario.name.contains(part)))
        };
        SCENARIOS.into_iter().filter(named).collect()
    }
}

/// What is to be tried.
struct Work {
    cells: Vec<Cell>,
    scenarios: Vec<Scenario>,
}

/// What came of it.
#[derive(Default)]
struct Done {
    rows: Vec<(usize, Row)>,
    outcomes: Vec<(usize, Outcome)>,
}

pub(crate) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let work = Work { cells: options.cells(), scenarios: options.scenarios() };
    if work.cells.is_empty() && work.scenarios.is_empty() {
        return Err(Blocked::error("nothing has such a name", "`cargo xtask lab --list` names what there is"));
    }
    if options.list {
        work.cells.iter().for_each(|cell| say::fact(&cell.name()));
        work.scenarios.iter().for_each(|scenario| say::fact(scenario.name));
        return Ok(());
    }
    let places = Places::find()?;
    system::provide(&[Need::Networks], Consent::from(options.yes), stop)?;
    let programs = match &options.programs {
        Some(folder) => folder.canonicalize()?,
        None => binaries::build(&places, Profile::Dev, &PROGRAMS, stop)?,
    };
    if let Some(mut copy) = Right::find(&places)?.copy_of_us() {
        // It prints all there is to print.
        std::process::exit(copy.status()?.code().unwrap_or(1));
    }
    let done = try_all(places, programs, options, &work, stop)?;
    report(options, &done)
}

fn try_all(
    places: Places,
    programs: PathBuf,
    options: &Options,
    work: &Work,
    stop: &Stop,
) -> Result<(Vec<Row>, Vec<Outcome>)> {
    natlab::sweep(&places);
    let data = TempDir::with_prefix("starling-lab-")?;
    let ground = Ground { places, programs, data: data.path().to_owned(), stop: stop.clone() };
    let (cells, scenarios) = (work.cells.len(), work.scenarios.len());
    say::step(&format!("{cells} cells and {scenarios} scenarios, {} at once", options.jobs));
    say::fact(&table::head());
    let mut done = side_by_side(&ground, options, work);
    if stop.asked() && !options.keep {
        return Err(anyhow::Error::new(Interrupted));
    }
    done.rows.sort_by_key(|(index, _)| *index);
    done.outcomes.sort_by_key(|(index, _)| *index);
    let rows: Vec<Row> = done.rows.into_iter().map(|(_, row)| row).collect();
    let outcomes: Vec<Outcome> = done.outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    if options.keep || !rows.iter().all(Row::passes) || !outcomes.iter().all(Outcome::passes) {
        say::note(&format!("logs are kept in {}", data.keep().display()));
    }
    Ok((rows, outcomes))
}

/// Everything, several at once; each is told of as it ends.
fn side_by_side(ground: &Ground, options: &Options, work: &Work) -> Done {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Done::default()));
    std::thread::scope(|scope| {
        for lab in 0..usize::from(options.jobs) {
            let (next, done) = (&next, &done);
            scope.spawn(move || while !ground.stop.asked() && one(ground, options, work, lab, next, done) {});
        }
    });
    done.into_inner().unwrap_or_default()
}

/// The next one that nobody has taken; false when there is none.
fn one(ground: &Ground, options: &Options, work: &Work, lab: usize, next: &AtomicUsize, done: &Mutex<Done>) -> bool {
    let index = next.fetch_add(1, Ordering::Relaxed);
    let scenario = index.checked_sub(work.cells.len()).map(|index| work.scenarios.get(index));
    match (work.cells.get(index), scenario) {
        (Some(cell), _) => {
            let row = rounds_of(ground, options, cell, lab);
            done.lock().expect("nobody panics with it").rows.push((index, row));
        }
        (None, Some(Some(scenario))) => {
            let outcome = scenario.run(ground, lab);
            say::fact(&outcome.line());
            done.lock().expect("nobody panics with it").outcomes.push((index, outcome));
        }
        _ => return false,
    }
    true
}

fn rounds_of(ground: &Ground, options: &Options, cell: &Cell, lab: usize) -> Row {
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        let turn = Turn { lab, round, hold: options.keep };
        let error = |error: anyhow::Error| Measured { error: Some(format!("{error:#}")), ..Measured::default() };
        let measured = cell::measure(ground, cell, turn).unwrap_or_else(error);
        if ground.stop.asked() && !options.keep {
            break;
        }
        say::fact(&table::line(cell, &measured));
        rounds.push(measured);
    }
    Row { cell: *cell, rounds }
}

fn report(options: &Options, (rows, outcomes): &(Vec<Row>, Vec<Outcome>)) -> Result<()> {
    if !rows.is_empty() {
        say::fact(&table::matrix(rows));
        say::fact(&table::counts(rows));
    }
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", table::json(rows, outcomes)))?;
    }
    let bad_cells = rows.iter().filter(|row| !row.passes()).map(|row| row.cell.name());
    let bad_ends = outcomes.iter().filter(|outcome| !outcome.passes()).map(|outcome| outcome.scenario.name.to_owned());
    let bad: Vec<String> = bad_cells.chain(bad_ends).collect();
    if !bad.is_empty() {
        bail!("{} of {} are not as they should be: {}", bad.len(), rows.len() + outcomes.len(), bad.join(", "));
    }
    Ok(())
}
