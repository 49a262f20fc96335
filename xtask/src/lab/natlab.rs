//! `tests/natlab/natlab` from here: a lab is up while its [`Natlab`] lives.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::blocked::Blocked;
use crate::places::Places;
use crate::process;

/// Labs of one run of ours are told apart by a letter; natlab allows eight characters in all.
pub(super) const MOST_LABS: usize = 26;
/// Where natlab remembers its labs.
const STATES: &str = "/run/natlab";

/// A lab that is up.
pub(super) struct Natlab {
    script: PathBuf,
    name: String,
    hosts: BTreeMap<String, Host>,
}

/// Where a host is.
struct Host {
    namespace: String,
    /// Its address on the public segment, or that of its outermost router.
    public: String,
    /// Where it has one.
    ipv6: Option<String>,
}

impl Natlab {
    /// Builds the networks of a topology.
    pub(super) fn up(places: &Places, lab: usize, topology: &Value) -> Result<Self> {
        let name = lab_name(std::process::id(), lab);
        let mut natlab = Self { script: script(places), name, hosts: BTreeMap::new() };
        let file = tempfile::NamedTempFile::new()?;
        serde_json::to_writer(&file, topology)?;
        let hosts = natlab.call(&["up".into(), file.path().into()])?;
        let hosts: BTreeMap<String, Value> = serde_json::from_str(&hosts).context("natlab printed no JSON")?;
        let text = |host: &Value, key: &str| host[key].as_str().map(str::to_owned).context("natlab left something out");
        for (name, host) in hosts {
            let ipv6 = text(&host, "ipv6").ok();
            let host = Host { namespace: text(&host, "namespace")?, public: text(&host, "public")?, ipv6 };
            natlab.hosts.insert(name, host);
        }
        Ok(natlab)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its public addresses, as they begin in what a program says.
    pub(super) fn public_addresses(&self, host: &str) -> Vec<String> {
        let Host { public, ipv6, .. } = &self.hosts[host];
        let ipv6 = ipv6.as_ref().map(|address| format!("/ip6/{address}/"));
        [format!("/ip4/{public}/")].into_iter().chain(ipv6).collect()
    }

    pub(super) fn has_ipv6(&self, host: &str) -> bool {
        self.hosts[host].ipv6.is_some()
    }

    /// Program and arguments that run a program inside of a host.
    pub(super) fn inside(&self, host: &str, program: &Path, args: &[OsString]) -> (&'static Path, Vec<OsString>) {
        let namespace = OsString::from(&self.hosts[host].namespace);
        let words = ["netns".into(), "exec".into(), namespace, program.into()];
        (Path::new("ip"), [&words[..], args].concat())
    }

    /// Drops all that crosses the host's link to the public segment.
    pub(super) fn cut(&self, host: &str) -> Result<()> {
        self.call(&["cut".into(), host.into()]).map(|_| ())
    }

    pub(super) fn heal(&self, host: &str) -> Result<()> {
        self.call(&["heal".into(), host.into()]).map(|_| ())
    }

    /// Makes the host's routers forget their mappings, as a reboot does.
    pub(super) fn forget(&self, host: &str) -> Result<()> {
        self.call(&["forget".into(), host.into()]).map(|_| ())
    }

    fn call(&self, words: &[OsString]) -> Result<String> {
        call(&self.script, &self.name, words)
    }
}

impl Drop for Natlab {
    fn drop(&mut self) {
        if let Err(error) = self.call(&["down".into()]) {
            crate::say::note(&format!("{error:#}"));
        }
    }
}

/// How networks can be made here: directly, or in a user namespace, where everybody is root.
pub(crate) struct Right {
    script: PathBuf,
    rootless: bool,
}

impl Right {
    /// # Errors
    /// Says what is in the way.
    pub(crate) fn find(places: &Places) -> Result<Self> {
        if !cfg!(target_os = "linux") {
            return Err(Blocked::error("the NAT lab needs Linux", "run it on a Linux machine, or in a virtual one"));
        }
        let mut right = Self { script: script(places), rootless: false };
        let Err(no) = call(&right.script, "check", &["check".into()]) else { return Ok(right) };
        right.rootless = true;
        let check = [right.script.clone().into_os_string(), "check".into()];
        if right.command("python3".as_ref(), &check).output().is_ok_and(|output| output.status.success()) {
            return Ok(right);
        }
        Err(Blocked::error(
            format!("networks cannot be made here: {no:#}"),
            "run this as root: sudo -E cargo xtask lab",
        ))
    }

    /// A copy of us that does the same where it can, if we cannot.
    pub(super) fn copy_of_us(&self) -> Option<Command> {
        let args: Vec<OsString> = std::env::args_os().skip(1).collect();
        self.rootless.then(|| self.command(&ourselves(), &args))
    }

    /// natlab's own tests.
    pub(crate) fn selftest(&self) -> Command {
        self.command("python3".as_ref(), &[self.script.with_file_name("selftest").into()])
    }

    /// The short form of the lab.
    pub(crate) fn short_lab(&self, programs: &Path) -> Command {
        self.command(&ourselves(), &["lab".into(), "--short".into(), "--programs".into(), programs.into()])
    }

    fn command(&self, program: &Path, args: &[OsString]) -> Command {
        let mut command = process::command(if self.rootless { "python3".as_ref() } else { program });
        if self.rootless {
            command.arg(&self.script).args(["rootless", "--"]).arg(program);
        }
        command.args(args).env("PATH", path());
        command
    }
}

/// Not current_exe(): that path may have been rebuilt under us.
pub(super) fn ourselves() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}

/// Takes down what runs that were killed have left.
pub(super) fn sweep(places: &Places) {
    let Ok(states) = std::fs::read_dir(STATES) else { return };
    for state in states.flatten() {
        let file = state.file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".json") else { continue };
        let dead = owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if dead {
            let _ = call(&script(places), name, &["down".into()]);
        }
    }
}

/// `l`, the process that owns it, a letter.
fn lab_name(pid: u32, lab: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(lab % MOST_LABS).expect("below 26"));
    format!("l{pid:06x}{letter}")
}

/// The process in a name made by [`lab_name`].
fn owner(name: &str) -> Option<u32> {
    let pid = name.strip_prefix('l').filter(|rest| rest.len() == 7)?.get(..6)?;
    u32::from_str_radix(pid, 16).ok()
}

pub(super) fn script(places: &Places) -> PathBuf {
    places.root.join("tests/natlab/natlab")
}

/// With the folders that only root has in its PATH on some systems.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

fn call(script: &Path, lab: &str, words: &[OsString]) -> Result<String> {
    let mut command = Command::new("python3");
    command.arg(script).args(["--lab", lab]).args(words).env("PATH", path()).stdin(Stdio::null());
    // Ctrl-C is for us; natlab must not stop half-way.
    process::own_group(&mut command);
    let output = command.output().context("cannot start python3")?;
    if !output.status.success() {
        let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let missing: Vec<&str> = said.lines().filter(|line| line.starts_with("NO ")).collect();
        bail!("natlab {}: {} {}", words[0].display(), why.trim(), missing.join(", "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labs_name_says_whose_it_is() {
        for pid in [1, 4711, 0x3f_ffff] {
            let name = lab_name(pid, 25);
            assert!(name.len() <= 8, "{name}");
            assert_eq!(owner(&name), Some(pid));
        }
        assert_eq!(owner("nl0"), None);
        assert_eq!(owner("selftest"), None);
    }
}
