//! `cargo xtask coverage`: which lines of the gateway and the protocol the Rust tests reach.
//!
//! The compiler counts (`-C instrument-coverage`), for our own crates only: what they are built on is shared with
//! every other build. What was counted is read by `cov` of llvm_profparser, which needs no part of LLVM.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::binaries;
use crate::node_js::NodeJs;
use crate::places::{self, Places};
use crate::process::{self, Running};
use crate::say;
use crate::stop::Stop;
use crate::system::{self, Consent};
use crate::ui;

/// Whose lines count.
const CRATES: [&str; 2] = ["gateway", "protocol"];
/// Share of lines that tests have to reach, in per cent.
const WANTED: f64 = 80.0;
const READER: [&str; 5] = ["llvm_profparser", "--version", "0.15.0", "--locked", "--quiet"];
/// The slowest of the test programs takes some minutes on a busy computer.
const LIMIT: Duration = Duration::from_secs(1_800);

#[derive(Args)]
pub(crate) struct Options {
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
    /// Name every file, not only folders.
    #[arg(long)]
    files: bool,
}

/// Lines that tests can reach, and those they do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lines {
    reached: usize,
    all: usize,
}

/// A program full of tests.
struct TestProgram {
    executable: PathBuf,
    folder: PathBuf,
}

pub(crate) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let places = Places::find()?;
    let consent = Consent::from(options.yes);
    system::provide(&system::TO_BUILD, consent, stop)?;
    ui::build(&places, &NodeJs::provide(&places, consent, stop)?, stop)?;
    let reader = provide_reader(&places, stop)?;
    let dir = tempfile::TempDir::with_prefix("starling-coverage-")?;
    let programs = build(&places, &wrapper(dir.path())?, stop)?;
    let mut failed = Vec::new();
    for program in &programs {
        if !count(program, dir.path(), stop)? {
            failed.push(program.executable.display().to_string());
        }
    }
    let counted = read(&places, &reader, &programs, dir.path(), stop)?;
    ensure!(!counted.is_empty(), "nothing was counted");
    print(&counted, options.files);
    // Lines that a failed test has reached count, but nobody is to overlook it.
    ensure!(failed.is_empty(), "tests failed in {}", failed.join(", "));
    verdict(&counted)
}

/// Whether cargo has started us in rustc's place: it gives the compiler's path first.
pub(crate) fn stands_in_for_rustc() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    let rustc = arguments.next().filter(|first| Path::new(first).file_stem().is_some_and(|stem| stem == "rustc"))?;
    Some(std::iter::once(rustc).chain(arguments).collect())
}

/// Does what rustc would, and lets it count.
pub(crate) fn compile(rustc: &[OsString]) -> Result<()> {
    let (program, arguments) = rustc.split_first().context("no compiler was named")?;
    let status = Command::new(program).args(arguments).args(["-C", "instrument-coverage"]).status()?;
    if status.success() { Ok(()) } else { std::process::exit(status.code().unwrap_or(1)) }
}

/// A copy of this program: the one in the target folder is built anew meanwhile.
fn wrapper(dir: &Path) -> Result<PathBuf> {
    let copy = places::program(dir, "rustc-that-counts");
    std::fs::copy(std::env::current_exe()?, &copy)?;
    Ok(copy)
}

fn provide_reader(places: &Places, stop: &Stop) -> Result<PathBuf> {
    let tools = places.cache.join("tools");
    let reader = places::program(&tools.join("bin"), "cov");
    if !reader.is_file() {
        say::step("Installing llvm_profparser (about a minute)");
        let mut install = binaries::cargo(places);
        install.env_remove("CARGO_TARGET_DIR").arg("install").args(READER).arg("--root").arg(tools);
        process::run(install, stop)?;
    }
    Ok(reader)
}

/// Builds everything, counting, and names the test programs that reach into our two crates.
fn build(places: &Places, wrapper: &Path, stop: &Stop) -> Result<Vec<TestProgram>> {
    say::step("Building the tests, counting");
    let mut cargo = binaries::cargo(places);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    // Build scripts count too, and what they have counted must not lie in the checkout.
    cargo.env("LLVM_PROFILE_FILE", wrapper.with_file_name("of-build-scripts"));
    cargo.args(["test", "--workspace", "--all-targets", "--no-run", "--message-format=json-render-diagnostics"]);
    cargo.stdout(Stdio::piped());
    let mut running = Running::start(cargo)?;
    let messages = BufReader::new(running.stdout().context("cargo has no stdout")?);
    let mut found = vec![];
    for line in messages.lines() {
        let message: Value = serde_json::from_str(&line?).unwrap_or_default();
        found.extend(test_program(&message));
    }
    while running.ended()?.is_none() {
        stop.pause()?;
    }
    ensure!(running.ended()?.is_some_and(|status| status.success()), "the tests could not be built");
    Ok(found)
}

fn test_program(message: &Value) -> Option<TestProgram> {
    let executable = PathBuf::from(message["executable"].as_str()?);
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let of_ours = CRATES.iter().any(|name| folder.ends_with(name)) || message["target"]["name"] == "e2e";
    (of_ours && message["profile"]["test"] == true).then_some(TestProgram { executable, folder })
}

/// Whether all of its tests passed.
fn count(program: &TestProgram, dir: &Path, stop: &Stop) -> Result<bool> {
    let mut command = process::command(&program.executable);
    // %m: programs that are built alike count into one file, whichever process they run in.
    command.current_dir(&program.folder).arg("--quiet").env("LLVM_PROFILE_FILE", dir.join("%m.profraw"));
    Ok(process::status(command, LIMIT, stop)?.success())
}

/// Lines by file, relative to the checkout.
fn read(
    places: &Places,
    reader: &Path,
    programs: &[TestProgram],
    dir: &Path,
    stop: &Stop,
) -> Result<BTreeMap<PathBuf, Lines>> {
    say::step("Reading what was counted");
    let mut command = process::command(reader);
    command.arg("show");
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "profraw") {
            command.arg("--instr-profile").arg(path);
        }
    }
    for program in programs {
        command.arg("--object").arg(&program.executable);
    }
    let text = dir.join("lines");
    command.stdout(std::fs::File::create(&text)?).stderr(Stdio::null());
    // Not as a tool whose output people see: it is some hundred thousand lines.
    let status = Running::start(command)?.wait_until(Instant::now() + LIMIT, stop);
    if !status.is_some_and(|status| status.success()) {
        bail!("what was counted could not be read");
    }
    parse(BufReader::new(std::fs::File::open(text)?).lines().map_while(Result::ok), &places.root)
}

/// A path on a line of its own, then each of its lines as `NUMBER| COUNT|SOURCE`, without a count where nothing can be
/// reached.
fn parse(lines: impl Iterator<Item = String>, root: &Path) -> Result<BTreeMap<PathBuf, Lines>> {
    let mut counted: BTreeMap<PathBuf, Lines> = BTreeMap::new();
    let mut of: Option<PathBuf> = None;
    for line in lines {
        let mut cells = line.splitn(3, '|');
        let number = cells.next().and_then(|cell| cell.trim().parse::<usize>().ok());
        let (Some(_), Some(count)) = (number, cells.next()) else {
            if !line.is_empty() {
                of = ours(Path::new(&line), root);
            }
            continue;
        };
        if let (Some(file), Ok(count)) = (&of, count.trim().parse::<u64>()) {
            let lines = counted.entry(file.clone()).or_default();
            lines.all += 1;
            lines.reached += usize::from(count > 0);
        }
    }
    Ok(counted)
}

/// A file of one of the two crates that is no test itself.
fn ours(file: &Path, root: &Path) -> Option<PathBuf> {
    let file = file.strip_prefix(root).ok()?;
    let is_test = file.iter().any(|part| part == "tests" || part == "tests.rs");
    let counts = CRATES.iter().any(|name| file.starts_with(Path::new(name).join("src")));
    (counts && !is_test).then(|| file.to_owned())
}

fn print(counted: &BTreeMap<PathBuf, Lines>, files: bool) {
    say::fact("| what | lines | reached | share |\n|---|---|---|---|");
    let mut folders: BTreeMap<PathBuf, Lines> = BTreeMap::new();
    for (file, lines) in counted {
        let deep = if files { usize::MAX } else { 3 };
        let name: PathBuf = file.iter().take(deep).collect();
        folders.entry(name.with_extension("")).or_default().add(*lines);
    }
    for (folder, lines) in &folders {
        lines.print(&folder.display().to_string());
    }
    CRATES.iter().for_each(|name| sum(counted, name).print(&format!("**{name}**")));
}

fn verdict(counted: &BTreeMap<PathBuf, Lines>) -> Result<()> {
    for name in CRATES {
        let share = sum(counted, name).share();
        ensure!(share >= WANTED, "{name}: tests reach {share:.1} % of the lines, and {WANTED} % are wanted");
    }
    Ok(())
}

fn sum(counted: &BTreeMap<PathBuf, Lines>, name: &str) -> Lines {
    let mut all = Lines::default();
    counted.iter().filter(|(file, _)| file.starts_with(name)).for_each(|(_, lines)| all.add(*lines));
    all
}

impl Lines {
    fn add(&mut self, more: Self) {
        self.reached += more.reached;
        self.all += more.all;
    }

    /// In per cent.
    fn share(self) -> f64 {
        if self.all == 0 { 0.0 } else { 100.0 * self.reached as f64 / self.all as f64 }
    }

    fn print(self, name: &str) {
        say::fact(&format!("| {name} | {} | {} | {:.1} % |", self.all, self.reached, self.share()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_file() {
        let text = "/r/gateway/src/a.rs\n    1|      2|fn a() {\n    2|      0|    b | c\n    3|       |\n\n\
            /r/gateway/src/a/tests.rs\n    1|      1|x\n\n/elsewhere/b.rs\n    1|      1|y\n\n\
            /r/protocol/src/c.rs\n    1|      1|z\n";
        let counted = parse(text.lines().map(str::to_owned), Path::new("/r")).unwrap();
        assert_eq!(counted.len(), 2, "{counted:?}");
        assert_eq!(sum(&counted, "gateway"), Lines { reached: 1, all: 2 });
        assert_eq!(sum(&counted, "gateway").share(), 50.0);
        assert!(verdict(&counted).unwrap_err().to_string().starts_with("gateway: tests reach 50.0 %"));
    }
}
