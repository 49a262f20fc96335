//! What lies in `deploy/` for servers, as far as it can be tried without one: systemd reads the units, and the programs
//! know every flag that units, image and compose file start them with.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{Context, Passed};
use crate::places::{self, in_path};
use crate::process;

const LIMIT: Duration = Duration::from_secs(60);
const UNITS: [&str; 4] =
    ["starling-gateway.service", "starling-bootstrap.service", "starling-node.service", "starling-node-update.service"];

/// How a program is started there: its name, then its arguments.
#[derive(Clone, Debug, PartialEq)]
struct Start(Vec<String>);

pub(super) fn run(context: &Context) -> Result<Passed> {
    let programs = context.programs()?;
    let folder = context.places.root.join("deploy");
    let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("deploy/{name}"));
    let mut starts = vec![of_image(&read("Dockerfile")?)?, of_compose(&read("compose.yaml")?)];
    for unit in UNITS {
        starts.push(of_unit(&read(unit)?)?);
    }
    for start in &starts {
        start.is_understood(context, &programs)?;
    }
    if in_path("systemd-analyze").is_none() {
        return Ok(Passed::With("the units were not verified: there is no systemd here".into()));
    }
    for unit in UNITS {
        verify(context, &programs, unit, &read(unit)?)?;
    }
    Ok(Passed::Plainly)
}

impl Start {
    /// With `--help` behind them, wrong flags are refused and right ones do nothing.
    fn is_understood(&self, context: &Context, programs: &Path) -> Result<()> {
        let (program, arguments) = self.0.split_first().context("a start of nothing")?;
        let mut command = process::command(places::program(programs, program));
        command.args(arguments).arg("--help").stdout(Stdio::null());
        let status = process::status(command, LIMIT, &context.stop)?;
        ensure!(status.success(), "`{}` is not how {program} can be started", self.0.join(" "));
        Ok(())
    }
}

/// The words of ExecStart.
fn of_unit(unit: &str) -> Result<Start> {
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/")).context("no ExecStart")?;
    Ok(Start(line.split_whitespace().map(str::to_owned).collect()))
}

/// ENTRYPOINT and CMD, which are JSON.
fn of_image(file: &str) -> Result<Start> {
    let words = |key: &str| -> Result<Vec<String>> {
        let line = file.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
        Ok(serde_json::from_str(line)?)
    };
    Ok(Start([words("ENTRYPOINT ")?, words("CMD ")?].concat()))
}

/// The gateway's command, a list of plain words; what is put in by variables is made up.
fn of_compose(file: &str) -> Start {
    let behind = file.lines().skip_while(|line| line.trim() != "command:").skip(1);
    let words = behind.map_while(|line| line.trim().strip_prefix("- ")).map(fill);
    Start(std::iter::once("starling-gateway".to_owned()).chain(words).collect())
}

/// `${NAME:?why}` and `${NAME}` as what would stand there.
fn fill(word: &str) -> String {
    let Some((before, rest)) = word.split_once("${") else { return word.to_owned() };
    let (name, after) = rest.split_once('}').unwrap_or((rest, ""));
    let value = if name.starts_with("STARLING_ADDRESS") { "203.0.113.7" } else { "https://chat.example.org" };
    format!("{before}{value}{after}")
}

fn verify(context: &Context, programs: &Path, name: &str, unit: &str) -> Result<()> {
    let dir = TempDir::with_prefix("starling-units-")?;
    // It wants to see the program; where an operator puts it there is none here.
    let here = format!("ExecStart={}/", programs.display());
    let path = dir.path().join(name);
    fs::write(&path, unit.replace("ExecStart=/usr/local/bin/", &here))?;
    let mut command = process::command("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=no"]).arg(&path);
    let log = fs::File::create(dir.path().join("said"))?;
    command.stderr(log);
    let status = process::status(command, LIMIT, &context.stop)?;
    let said = fs::read_to_string(dir.path().join("said"))?;
    // It says what it does not know, and calls that no failure.
    ensure!(status.success() && !said.contains(name), "systemd does not understand {name}: {said}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read_from_each_kind_of_file() {
        let start = |words: &[&str]| Start(words.iter().map(ToString::to_string).collect());
        let unit = "[Service]\nExecStart=/usr/local/bin/a run --b c\n";
        assert_eq!(of_unit(unit).unwrap(), start(&["a", "run", "--b", "c"]));
        let image = "FROM x\nENTRYPOINT [\"a\"]\nCMD [\"run\", \"--b\"]\n";
        assert_eq!(of_image(image).unwrap(), start(&["a", "run", "--b"]));
        let compose = "services:\n  g:\n    command:\n      - run\n      - --external=/ip4/${STARLING_ADDRESS:?x}/tcp/1\n    ports:\n      - 1\n";
        let expected = start(&["starling-gateway", "run", "--external=/ip4/203.0.113.7/tcp/1"]);
        assert_eq!(of_compose(compose), expected);
        assert!(of_unit("[Service]\n").is_err() && of_image("FROM x\n").is_err());
    }
}
