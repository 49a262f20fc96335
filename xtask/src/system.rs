//! What the system must have before we can build, and how it is installed where it is missing.
//!
//! Debian and Ubuntu only: there the packages are known by name. Elsewhere the person is told what
//! is missing.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::blocked::Blocked;
use crate::debian;
use crate::places::in_path;
use crate::process;
use crate::say;
use crate::stop::Stop;

/// Something the system must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// The C++ compiler and cmake build llama.cpp and libp2p's cryptography.
    Cpp,
    Make,
    Cmake,
    /// bindgen reads llama.cpp's C headers with it; the compiler's own headers belong to it.
    Libclang,
    /// Makes the environments for Node.js (where the system's is too old) and the `openai` client.
    Python,
    /// The browser of the browser test.
    Chromium,
    /// The server of the database's tests, which they start themselves.
    MariaDb,
    /// What natlab makes its networks with.
    Networks,
    /// What gateways share.
    Redis,
    /// Compiles for Windows; clang what is laid out as Microsoft's compiler does it.
    Mingw,
    /// Runs what was compiled for Windows.
    Wine,
    /// What packages of other Debians are checked with.
    DebianKeys,
}

/// The names of a browser that will do.
pub(crate) const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What building the programs takes.
pub(crate) const TO_BUILD: [Need; 4] = [Need::Cpp, Need::Make, Need::Cmake, Need::Libclang];

impl Need {
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Cpp => &["g++"],
            Self::Make => &["make"],
            Self::Cmake => &["cmake"],
            Self::Libclang => &["libclang-dev"],
            Self::Python => &["python3", "python3-venv"],
            // Without any font it draws no text.
            Self::Chromium => &["chromium", "fonts-liberation"],
            Self::Redis => &["redis-server"],
            Self::Mingw => &["g++-mingw-w64-x86-64-posix", "clang"],
            Self::Wine => &["wine", "wine64"],
            Self::DebianKeys => &["debian-archive-keyring"],
            Self::MariaDb => &["mariadb-server"],
            Self::Networks => &["nftables", "iproute2", "conntrack", "miniupnpd-nftables", "procps", "python3"],
        }
    }

    fn is_met(self) -> bool {
        let any = |names: &[&str]| names.iter().any(|name| in_path(name).is_some());
        match self {
            Self::Cpp => any(&["c++", "g++", "clang++"]),
            Self::Make => any(&["make", "ninja"]),
            Self::Cmake => any(&["cmake"]),
            Self::Libclang => has_libclang(),
            Self::Python => has_python(),
            Self::Chromium => any(&BROWSERS),
            Self::Redis => has("redis-server"),
            Self::Mingw => ["x86_64-w64-mingw32-g++-posix", "clang"].iter().all(|name| has(name)),
            Self::Wine => any(&["wine"]),
            Self::DebianKeys => Path::new(debian::KEYRING).is_file(),
            Self::MariaDb => ["mariadbd", "mariadb-install-db", "setpriv"].iter().all(|name| has(name)),
            Self::Networks => {
                ["nft", "ip", "tc", "conntrack", "miniupnpd", "sysctl", "python3"].iter().all(|name| has(name))
            }
        }
    }
}

/// May we install without asking?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Given,
    Ask,
}

impl Consent {
    /// `--yes`, or a build machine (CI=true), where nobody can be asked and nothing is precious.
    pub(crate) fn from(yes: bool) -> Self {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        if yes || ci { Self::Given } else { Self::Ask }
    }
}

/// Installs what is missing of `needs`. What is there already is left as it is.
pub(crate) fn provide(needs: &[Need], consent: Consent, stop: &Stop) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages()).copied().collect();
    let names = packages.join(" ");
    if in_path("apt-get").is_none() {
        let hint = format!("install what your system calls {names}, then run this again");
        return Err(Blocked::error(format!("missing: {names}"), hint));
    }
    let right = right_to_install();
    if !right.is_some_and(|_| consent == Consent::Given || person_agrees(&names)) {
        return Err(Blocked::error(format!("missing: {names}"), by_hand(right, &names)));
    }
    say::step(&format!("Installing {names}"));
    install(&packages, right.unwrap_or_default(), stop)
}

/// What goes before `apt-get`: nothing for root, or the form of sudo that works here. `None` when
/// there is no way.
fn right_to_install() -> Option<&'static [&'static str]> {
    let user = process::output(Command::new("id").arg("-u"))?;
    if user == "0" {
        return Some(&[]);
    }
    in_path("sudo")?;
    if process::output(Command::new("sudo").args(["-n", "true"])).is_some() {
        return Some(&["sudo", "-n"]);
    }
    // It will ask for the password, so somebody has to be there.
    std::io::stdin().is_terminal().then_some(&["sudo"])
}

fn person_agrees(names: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    eprint!("Install {names} with apt-get? [Y/n] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok_and(|bytes| bytes > 0) && matches!(answer.trim(), "" | "y" | "Y" | "yes")
}

/// The command that does by hand what we were not allowed to do.
fn by_hand(right: Option<&[&str]>, names: &str) -> String {
    let sudo = if right.is_some_and(<[_]>::is_empty) { "" } else { "sudo " };
    let may = if right.is_some() { "add --yes, or " } else { "" };
    format!(
        "{may}run `{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {names}`, then this again"
    )
}

fn install(packages: &[&str], right: &[&str], stop: &Stop) -> Result<()> {
    let apt = |args: &[&str]| {
        let words: Vec<&str> = [right, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], args].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        process::run_in_foreground(command, stop)
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-y", "-q", "--no-install-recommends"], packages].concat())
}

/// Also where only root's PATH leads.
fn has(name: &str) -> bool {
    in_path(name).is_some() || ["/usr/sbin", "/sbin"].iter().any(|dir| Path::new(dir).join(name).is_file())
}

/// libclang alone is not enough: without the compiler's own headers bindgen fails on `stddef.h`.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let versions = subfolders(Path::new("/usr/lib")).into_iter();
    versions.filter(|dir| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("llvm-"))).any(|llvm| {
        let library = files(&llvm.join("lib")).iter().any(|name| name.starts_with("libclang") && name.contains(".so"));
        let headers = subfolders(&llvm.join("lib/clang"));
        library && headers.iter().any(|dir| dir.join("include/stddef.h").is_file())
    })
}

fn subfolders(dir: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn files(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Debian splits `venv` off, and it fails only when used.
fn has_python() -> bool {
    process::output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_some()
}
