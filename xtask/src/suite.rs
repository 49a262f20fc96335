//! `cargo xtask test`: every check there is, one step after the other, to the end even when one
//! fails; then what took how long.
//!
//! What takes the time from nothing: llama.cpp's C++ and some 400 crates, once for the dev profile
//! and (without the C++) once more for clippy. Nothing is built in the release profile.

mod client_tests;
mod deploy;
mod error_lines;
#[cfg(unix)]
mod install;
mod mariadb;
mod steps;
mod tensorrt;
mod tools;
#[cfg(target_os = "linux")]
mod windows;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::binaries::{self, PROGRAMS, Profile};
use crate::blocked::Blocked;
use crate::node_js::NodeJs;
use crate::places::Places;
use crate::say;
use crate::stop::{Interrupted, Stop};
use crate::system::Consent;
use steps::{STEPS, Step};

#[derive(Args)]
pub(crate) struct Options {
    /// Run this step alone (repeatable).
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// What runs under wine instead: the node built for Windows (needs Linux).
    #[arg(long)]
    windows: bool,
    /// Take the programs from this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// List the steps.
    #[arg(long)]
    list: bool,
    /// Install missing system packages without asking (so does CI=true).
    #[arg(long)]
    yes: bool,
}

/// What the steps share.
struct Context {
    places: Places,
    consent: Consent,
    stop: Stop,
    node: OnceCell<NodeJs>,
    programs: OnceCell<PathBuf>,
    /// Whether the programs are given, those for Windows too.
    #[cfg(target_os = "linux")]
    given: bool,
    #[cfg(target_os = "linux")]
    wine: OnceCell<crate::windows::wine::Wine>,
}

/// A step's good end, with a remark for the summary where there is something to know.
enum Passed {
    Plainly,
    With(String),
}

struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<Passed>,
}

pub(crate) fn run(options: &Options, stop: &Stop) -> Result<()> {
    if options.list {
        steps(options)?.iter().for_each(|step| say::fact(&format!("{:10} {}", step.name, step.about)));
        return Ok(());
    }
    let picked = pick(steps(options)?, &options.only)?;
    let programs = options.programs.as_deref().map(std::path::absolute).transpose()?;
    let context = Context {
        places: Places::find()?,
        consent: Consent::from(options.yes),
        stop: stop.clone(),
        node: OnceCell::new(),
        #[cfg(target_os = "linux")]
        given: programs.is_some(),
        programs: programs.map_or_else(OnceCell::new, OnceCell::from),
        #[cfg(target_os = "linux")]
        wine: OnceCell::new(),
    };
    let needs = picked.iter().flat_map(|step| step.needs).copied().collect::<Vec<_>>();
    let mut outcomes = vec![timed("tools", || tools::provide(&context, &needs))];
    for step in picked {
        // Without its tools nothing can be said about a step.
        if outcomes[0].result.is_ok() && !stop.asked() {
            outcomes.push(timed(step.name, || (step.run)(&context)));
        }
    }
    if stop.asked() {
        return Err(anyhow::Error::new(Interrupted));
    }
    say::fact(&format!("\n{}", summary(&outcomes)));
    if count_failed(&outcomes) > 0 {
        bail!("some steps failed; `cargo xtask test --only STEP` runs one alone");
    }
    Ok(())
}

fn steps(options: &Options) -> Result<&'static [Step]> {
    match options.windows {
        false => Ok(&STEPS),
        #[cfg(target_os = "linux")]
        true => Ok(&windows::STEPS),
        #[cfg(not(target_os = "linux"))]
        true => Err(Blocked::error("wine runs on Linux", "leave --windows out: this system can run its own programs")),
    }
}

fn pick(steps: &'static [Step], only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| steps.iter().all(|step| step.name != *name)) {
        let message = format!("there is no step `{unknown}`");
        return Err(Blocked::error(message, "`cargo xtask test --list` names them"));
    }
    let wanted = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    Ok(steps.iter().filter(wanted).collect())
}

fn timed(name: &'static str, run: impl FnOnce() -> Result<Passed>) -> Outcome {
    say::step(&format!("step {name}"));
    let started = Instant::now();
    let result = run();
    if let Err(error) = &result {
        say::note(&format!("FAILED {name}: {error:#}"));
    }
    Outcome { name, took: started.elapsed(), result }
}

/// The table of times; the last line counts.
fn summary(outcomes: &[Outcome]) -> String {
    let mut table = String::new();
    for outcome in outcomes {
        let (word, remark) = match &outcome.result {
            Ok(Passed::Plainly) => ("ok", String::new()),
            Ok(Passed::With(remark)) => ("ok", format!("  ({remark})")),
            Err(error) => ("FAILED", format!("  {}", first_line(error))),
        };
        let seconds = outcome.took.as_secs_f64();
        table += &format!("{:10} {word:6} {seconds:7.1} s{remark}\n", outcome.name);
    }
    let total: f64 = outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum();
    let failed = count_failed(outcomes);
    table + &format!("{:10}        {total:7.1} s\n{} passed, {failed} failed", "together", outcomes.len() - failed)
}

fn count_failed(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.result.is_err()).count()
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

impl Context {
    /// The Node.js to use; found or installed once.
    fn node(&self) -> Result<&NodeJs> {
        if self.node.get().is_none() {
            let node = NodeJs::provide(&self.places, self.consent, &self.stop)?;
            let _ = self.node.set(node);
        }
        Ok(self.node.get().expect("set just now"))
    }

    /// The folder with the programs in the dev profile; built once.
    fn programs(&self) -> Result<PathBuf> {
        if self.programs.get().is_none() {
            // With the tests' package, so that shared crates get the same features as in the step
            // `rust`: otherwise cargo compiles some of them, and all above them, a second time.
            let packages = [&PROGRAMS[..], &["starling-tests"]].concat();
            let dir = binaries::build(&self.places, Profile::Dev, &packages, &self.stop)?;
            let _ = self.programs.set(dir);
        }
        Ok(self.programs.get().expect("set just now").clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_picked_by_name_and_keep_their_order() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|name| name.to_string()).collect();
            pick(&STEPS, &only).unwrap().iter().map(|step| step.name).collect()
        };
        assert_eq!(names(&["clippy", "fmt"]), ["fmt", "clippy"]);
        assert_eq!(names(&[]).len(), STEPS.len());
        assert!(pick(&STEPS, &["nonsense".to_owned()]).is_err());
    }

    #[test]
    fn the_last_line_counts() {
        let outcome = |result| Outcome { name: "x", took: Duration::from_secs(2), result };
        let outcomes = [
            outcome(Ok(Passed::Plainly)),
            outcome(Ok(Passed::With("a remark".into()))),
            outcome(Err(anyhow::anyhow!("one line\nand another"))),
        ];
        let summary = summary(&outcomes);
        let lines: Vec<&str> = summary.lines().collect();
        assert_eq!(lines[0], "x          ok         2.0 s");
        assert_eq!(lines[1], "x          ok         2.0 s  (a remark)");
        assert_eq!(lines[2], "x          FAILED     2.0 s  one line");
        assert_eq!(lines[4], "2 passed, 1 failed");
    }
}
