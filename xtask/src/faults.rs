//! `cargo xtask faults`: the real programs on loopback, and everything that can happen to them: killed, stopped,
//! cut off, out of room, asked too much. Each fault is a row: how often it was tried, how often nobody noticed more
//! than they may, and the longest wait between two tokens.
//!
//! Readers write down what they see, and when all is over the record is held against the gateway's database, its
//! metrics and the nodes' slots (`history.rs`).

mod database;
mod gateway;
mod gateways;
mod history;
mod links;
mod load;
mod machine;
mod nodes;
mod plan;
mod random;
mod reader;
mod rig;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use tempfile::TempDir;

use crate::binaries::{self, PROGRAMS, Profile};
use crate::blocked::Blocked;
use crate::places::Places;
use crate::say;
use crate::stop::{Interrupted, Stop};
use plan::{FAULTS, Fault, Tried};
use rig::{Ground, Rig};
use table::Row;

/// In the short form the next token may take so long.
const SHORT_LIMIT: Duration = Duration::from_secs(15);

#[derive(Args)]
pub(crate) struct Options {
    /// Only what has this in its name, such as node- or gateway-kill (repeatable).
    #[arg(long, value_name = "PART OF A NAME")]
    only: Vec<String>,
    /// A few faults that tell much, about a minute. What is late but right passes, for the computer may be busy.
    #[arg(long)]
    short: bool,
    /// How often each is tried, in place of each one's own number.
    #[arg(long, value_name = "N")]
    times: Option<usize>,
    /// What chance is made of; the same number kills at the same tokens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write all figures there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Take the programs from this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Keep logs and databases also where all went well.
    #[arg(long)]
    keep: bool,
    /// Name the faults and do nothing.
    #[arg(long)]
    list: bool,
}

impl Options {
    fn faults(&self) -> Vec<&'static Fault> {
        let named = |fault: &&Fault| self.only.is_empty() || self.only.iter().any(|part| fault.name.contains(part));
        FAULTS.iter().filter(named).filter(|fault| !self.short || fault.short > 0).collect()
    }

    fn times(&self, fault: &Fault) -> usize {
        self.times.unwrap_or(if self.short { fault.short } else { fault.times })
    }
}

/// The short form, with programs that are built already.
pub(crate) fn run_short(programs: PathBuf, stop: &Stop) -> Result<()> {
    let programs = Some(programs);
    run(
        &Options { short: true, seed: 1, programs, only: vec![], times: None, json: None, keep: false, list: false },
        stop,
    )
}

pub(crate) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let faults = options.faults();
    if faults.is_empty() {
        return Err(Blocked::error("nothing has such a name", "`cargo xtask faults --list` names what there is"));
    }
    if options.list {
        faults.iter().for_each(|fault| say::fact(&format!("{:20} {}", fault.name, fault.about)));
        return Ok(());
    }
    let programs = match &options.programs {
        Some(folder) => folder.canonicalize()?,
        None => {
            let packages = [&PROGRAMS[..], &["starling-tests"]].concat();
            binaries::build(&Places::find()?, Profile::Dev, &packages, stop)?
        }
    };
    let data = TempDir::with_prefix("starling-faults-")?;
    let ground = Ground { programs, data: data.path().to_owned(), stop: stop.clone(), seed: options.seed };
    let rows = try_all(&ground, options, &faults)?;
    if options.keep || !rows.iter().all(Row::holds) {
        say::note(&format!("logs are kept in {}", data.keep().display()));
    }
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", table::json(&rows)))?;
    }
    let bad: Vec<&str> = rows.iter().filter(|row| !row.holds()).map(|row| row.fault.name).collect();
    if !bad.is_empty() {
        bail!("{} of {} do not hold: {}", bad.len(), rows.len(), bad.join(", "));
    }
    Ok(())
}

fn try_all(ground: &Ground, options: &Options, faults: &[&'static Fault]) -> Result<Vec<Row>> {
    say::fact(table::HEAD);
    let mut rows = Vec::new();
    for fault in faults {
        let limit = if options.short { fault.limit.max(SHORT_LIMIT) } else { fault.limit };
        let mut row = Row::new(fault, limit);
        if let Err(error) = try_one(ground, fault, options.times(fault), &mut row) {
            row.stopped_by(&error);
        }
        if ground.stop.asked() {
            return Err(anyhow::Error::new(Interrupted));
        }
        say::fact(&row.line());
        rows.push(row);
    }
    Ok(rows)
}

fn try_one(ground: &Ground, fault: &'static Fault, times: usize, row: &mut Row) -> Result<()> {
    let mut rig = (fault.start)(ground, fault.name)?;
    for trial in 0..times {
        rig.trial = trial;
        let tried = (fault.trial)(&mut rig).unwrap_or_else(|error| failed(&error));
        row.trials.push(tried);
        if ground.stop.asked() {
            return Ok(());
        }
        rig.check()?;
        let left = rig.settle()?;
        row.trials[trial].broke.extend(left.iter().map(ToString::to_string));
    }
    hold_against(&rig, row)
}

fn failed(error: &anyhow::Error) -> Tried {
    Tried { broke: vec![format!("{error:#}")], ..Tried::default() }
}

/// Holds what readers have seen against what is left; what is wrong goes to the trial that it is of.
fn hold_against(rig: &Rig, row: &mut Row) -> Result<()> {
    let seen: Vec<_> = rig.history.iter().map(|(_, seen)| seen.clone()).collect();
    for (index, wrong) in history::check(&seen, &rig.after()?) {
        let trial = index.map_or(row.trials.len().saturating_sub(1), |index| rig.history[index].0);
        if let Some(tried) = row.trials.get_mut(trial) {
            tried.broke.push(wrong.to_string());
        }
    }
    Ok(())
}
