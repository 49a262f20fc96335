//! What the programs say when they are started wrongly: one clear `error:` line, a `hint:` with the
//! next step, exit code 2, and soon.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::{Context, Passed};
use crate::process::{self, Running};
use crate::say;
use crate::stop::Stop;

/// Bad input is noticed at once; this is for a busy computer.
const LIMIT: Duration = Duration::from_secs(30);

/// One wrong start.
struct Case {
    what: &'static str,
    program: &'static str,
    args: Vec<OsString>,
    /// What stands in its error line; empty where any will do.
    says: &'static str,
}

/// What the cases need to lie around.
struct Stage {
    dir: TempDir,
    /// Holds a port that a gateway then finds taken.
    taken: TcpListener,
}

pub(super) fn run(context: &Context) -> Result<Passed> {
    let programs = context.programs()?;
    let stage = Stage::set()?;
    let mut cases = stage.cases()?;
    cases.extend(stage.open_keys(&programs, &context.stop)?);
    let mut wrong = Vec::new();
    for case in &cases {
        match case.verdict(&programs, stage.dir.path(), &context.stop) {
            Ok(line) => say::note(&format!("{}: {line}", case.what)),
            Err(_) if context.stop.asked() => bail!("stopped"),
            Err(error) => wrong.push(format!("{} ({}): {error:#}", case.what, case.program)),
        }
    }
    if !wrong.is_empty() {
        bail!("{} of {} wrong starts ended badly:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    }
    Ok(Passed::With(format!("{} wrong starts", cases.len())))
}

impl Stage {
    fn set() -> Result<Self> {
        let dir = TempDir::with_prefix("starling-errors-")?;
        let taken = TcpListener::bind(("127.0.0.1", 0))?;
        fs::write(dir.path().join("garbage.gguf"), b"this is no model, whatever its name says".repeat(64))?;
        // A right beginning and nothing after it, as after a broken download.
        fs::write(dir.path().join("short.gguf"), b"GGUF\x03\0\0\0\x10\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0")?;
        fs::write(dir.path().join("broken.toml"), "swarm = [")?;
        Ok(Self { dir, taken })
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let address = self.taken.local_addr()?.to_string();
        let of = |what, program, args: &[&str], says| {
            let args = args.iter().map(OsString::from).collect();
            Case { what, program, args, says }
        };
        let case = |what, program, args: &[&str]| of(what, program, args, "");
        let (node, gateway) = ("starling-node", "starling-gateway");
        // Not of `run`, which first wants to be a member.
        let model = |what, path: &str, says| of(what, node, &["bench", "--model", path], says);
        Ok(vec![
            model("missing model", &self.path("none.gguf"), "there is no model file at"),
            model("model is garbage", &self.path("garbage.gguf"), "does not start with GGUF"),
            model("model is cut off", &self.path("short.gguf"), "is not a usable GGUF file"),
            model("model is a folder", &self.path(""), "it is not a file"),
            case("model was not pulled", node, &["--model", "hf:owner/repo:Q8_0"]),
            case("pull without encryption", node, &["models", "pull", "http://example.org/model.gguf"]),
            case("remove what is not there", node, &["models", "remove", "nothing"]),
            case(
                "an engine of garbage",
                node,
                &["models", "build", &self.path("garbage.gguf"), "--engine", "tensorrt"],
            ),
            case(
                "an engine for no card",
                node,
                &["models", "build", "x.gguf", "--engine", "tensorrt", "--target", "9.0"],
            ),
            case("a library that nobody may ask for", node, &["tensorrt", "install"]),
            case("a library that is not here", node, &["tensorrt", "status"]),
            case("an engine without a model", node, &["--engine", "tensorrt"]),
            case("a self-test without a library", node, &["selftest", "--engine", "tensorrt"]),
            case("no such scripted option", node, &["--engine", "scripted", "--scripted", "speed=fast"]),
            case("no such address", node, &["--bootstrap", "nonsense"]),
            case("address without a peer", node, &["--bootstrap", "/ip4/127.0.0.1/tcp/4001"]),
            case("no membership", node, &["--engine", "scripted"]),
            case("something that is no invite", node, &["join", "nonsense", "--engine", "scripted"]),
            case("half an invite", node, &["join", "starling-invite-AaJQ", "--engine", "scripted"]),
            case("something that is no invite", gateway, &["join", "nonsense"]),
            case("an invite before the first start", gateway, &["invite"]),
            case("an invite for no time", gateway, &["invite", "--expires", "0d"]),
            case("no such address", gateway, &["--bootstrap", "nonsense"]),
            case("address without a peer", gateway, &["--bootstrap", "/ip4/127.0.0.1/tcp/4001"]),
            case("port in use", gateway, &["--http", &address]),
            case("missing configuration", gateway, &["--config", &self.path("none.toml")]),
            case("broken configuration", node, &["--config", &self.path("broken.toml")]),
            case("nothing to listen on", "starling-bootstrap", &["--listen", "/ip4/127.0.0.1/tcp/http"]),
        ])
    }

    /// A key that others can read: each program makes its data folder first, then its key is
    /// opened to all.
    #[cfg(unix)]
    fn open_keys(&self, programs: &Path, stop: &Stop) -> Result<Vec<Case>> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut cases = Vec::new();
        for program in crate::binaries::PROGRAMS {
            let data = self.dir.path().join(format!("key-of-{program}"));
            let key = make_key(&programs.join(program), &data, stop)?;
            fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
            let args = vec!["--data".into(), data.into()];
            cases.push(Case { what: "key file that others can read", program, args, says: "can be read by others" });
        }
        Ok(cases)
    }

    #[cfg(not(unix))]
    fn open_keys(&self, _programs: &Path, _stop: &Stop) -> Result<Vec<Case>> {
        Ok(Vec::new())
    }
}

impl Case {
    /// Runs the program; its error line, or what is wrong with how it ended.
    fn verdict(&self, programs: &Path, dir: &Path, stop: &Stop) -> Result<String> {
        let log = dir.join("stderr");
        let mut command = process::command(programs.join(self.program));
        let runs = self.args.first().is_none_or(|arg| {
            !["bench", "models", "join", "invite", "tensorrt", "selftest"].iter().any(|word| arg == word)
        });
        if runs {
            command.arg("run");
        }
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::null());
        if !self.args.iter().any(|arg| arg == "--data") {
            command.arg("--data").arg(dir.join("data"));
        }
        if self.program == "starling-gateway" && runs && !self.args.iter().any(|arg| arg == "--http") {
            command.args(["--http", "127.0.0.1:0"]);
        }
        command.stderr(File::create(&log)?);
        let mut running = Running::start(command)?;
        let ended = running.wait_until(Instant::now() + LIMIT, stop);
        let stderr = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let status = ended.with_context(|| format!("still running after {LIMIT:?}; it said:\n{stderr}"))?;
        let line = judge(status.code(), &stderr)?;
        ensure!(line.contains(self.says), "it does not say {:?}: {line}", self.says);
        Ok(line)
    }
}

/// The rules.
pub(super) fn judge(code: Option<i32>, stderr: &str) -> Result<String> {
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let hints = stderr.lines().filter(|line| line.starts_with("hint: ")).count();
    let [error] = errors[..] else { bail!("{} error lines:\n{stderr}", errors.len()) };
    if code != Some(2) || hints == 0 || stderr.contains("panicked at") {
        bail!("exit code {code:?}, {hints} hints:\n{stderr}");
    }
    Ok(error.to_owned())
}

/// Starts the program once, only until its key is there.
#[cfg(unix)]
fn make_key(program: &Path, data: &Path, stop: &Stop) -> Result<PathBuf> {
    let mut command = process::command(program);
    command.args(["run", "--data"]).arg(data).stdout(Stdio::null()).stderr(Stdio::null());
    if program.ends_with("starling-gateway") {
        command.args(["--http", "127.0.0.1:0"]);
    }
    let mut running = Running::start(command)?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let entries = fs::read_dir(data).into_iter().flatten().flatten();
        let key = entries.map(|entry| entry.path()).find(|path| is_key(path));
        if let Some(key) = key {
            running.ask();
            running.wait_until(deadline, stop);
            return Ok(key);
        }
        if running.ended()?.is_some() || Instant::now() >= deadline {
            bail!("{} made no key file in its data folder", program.display());
        }
        stop.pause()?;
    }
}

/// The file is written before it is complete only under another name.
#[cfg(unix)]
fn is_key(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".key"))
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn one_error_a_hint_and_the_right_code() {
        let good = "12:00 INFO starting\nerror: no such file\nhint: look again\n";
        assert_eq!(judge(Some(2), good).unwrap(), "error: no such file");
        assert!(judge(Some(1), good).is_err());
        assert!(judge(None, good).is_err());
        assert!(judge(Some(2), "error: no such file\n").is_err());
        assert!(judge(Some(2), "error: a\nerror: b\nhint: c\n").is_err());
        assert!(judge(Some(2), "thread main panicked at x\nerror: a\nhint: b\n").is_err());
    }
}
