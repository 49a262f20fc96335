//! The service under systemd. Everything is done with the system's own commands, found in the `PATH`, as an
//! administrator would do it by hand.

mod commands;
mod show;
mod updates;

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use starling_protocol::{disk::replace_by, program::Exit};

use self::commands::Commands;
use super::{NAME, Report, Serve, plan::Plan, unit, updates::Updates};
use crate::config;

/// The account that the node runs as.
const ACCOUNT: &str = "starling";
/// Who may use graphics cards, where there are such groups.
const CARD_GROUPS: [&str; 2] = ["video", "render"];
const UNIT: &str = "starling-node.service";
/// Where packages put their units.
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];

pub(super) fn install(plan: &Plan, settings: &str) -> Result<Vec<String>, Exit> {
    System::here().install(plan, settings)
}

pub(super) fn uninstall() -> Result<Vec<String>, Exit> {
    System::here().uninstall()
}

pub(super) fn update_by_itself(plan: &Plan, updates: &Updates) -> Result<String, Exit> {
    System::here().update_by_itself(plan, updates)
}

pub(super) fn update_by_hand() -> Result<Option<String>, Exit> {
    System::here().update_by_hand()
}

pub(super) fn start() -> Result<(), Exit> {
    System::here().control("start")
}

pub(super) fn stop() -> Result<(), Exit> {
    System::here().control("stop")
}

pub(super) fn restart() -> Result<(), Exit> {
    System::here().control("restart")
}

pub(super) fn report() -> Result<Report, Exit> {
    System::here().report()
}

/// systemd starts `starling-node run`.
pub(super) fn serve(_: config::Options, _: Serve) -> Result<ExitCode, Exit> {
    Err(Exit::usage("`service run` is for Windows", "the service here is starling-node run; see starling-node service"))
}

/// Where a service is installed: this machine, or a test's.
struct System {
    /// What stands before every path of the system.
    root: PathBuf,
    commands: Commands,
    is_root: bool,
}

impl System {
    fn here() -> Self {
        // Our own process is ours.
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        Self { root: "/".into(), commands: Commands::default(), is_root }
    }

    /// # Errors
    /// Says what is missing: systemd, or rights.
    fn check(&self, command: &str) -> Result<(), Exit> {
        // As sd_booted(3) does.
        if !self.at("/run/systemd/system").is_dir() {
            return Err(Exit::usage(
                "systemd does not run here, as in most containers",
                "start `starling-node run` with what starts programs here",
            ));
        }
        match self.is_root {
            true => Ok(()),
            false => {
                Err(Exit::usage(format!("`service {command}` needs an administrator's rights"), "run it with sudo"))
            }
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn unit(&self) -> PathBuf {
        self.at("/etc/systemd/system").join(UNIT)
    }

    fn install(&self, plan: &Plan, settings: &str) -> Result<Vec<String>, Exit> {
        self.check("install")?;
        can_be_run(&plan.program)?;
        is_a_nodes(&plan.data)?;
        let mut did = vec![self.account(plan)?];
        self.commands.run("install", &["-d", "-m", "700", "-o", ACCOUNT, "-g", ACCOUNT], &[&plan.data])?;
        // What root has put there before, such as by joining, is the node's too.
        self.commands.run("chown", &["-R", "-h", &format!("{ACCOUNT}:{ACCOUNT}")], &[&plan.data])?;
        did.push(format!("the folder {} is the account's alone", plan.data.display()));
        did.push(configure(plan, settings)?);
        self.let_account_read(&plan.config)?;
        did.push(self.write_unit(plan)?);
        self.commands.run("systemctl", &["daemon-reload"], &[])?;
        self.commands.run("systemctl", &["enable", UNIT], &[])?;
        did.push("systemd starts it with the system, and again 10 seconds after it fails".to_owned());
        Ok(did)
    }

    fn account(&self, plan: &Plan) -> Result<String, Exit> {
        let is_there = self.commands.succeeds("getent", &["passwd", ACCOUNT])?;
        if !is_there {
            let flags = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", "--home-dir"];
            let home = plan.data.display().to_string();
            self.commands.run("useradd", &[&flags[..], &[&home, ACCOUNT]].concat(), &[])?;
        }
        for group in CARD_GROUPS {
            if self.commands.succeeds("getent", &["group", group])? {
                self.commands.run("usermod", &["--append", "--groups", group, ACCOUNT], &[])?;
            }
        }
        Ok(format!("the account {ACCOUNT} {}", if is_there { "is there" } else { "was made" }))
    }

    /// A file that others may not read is the account's to read all the same.
    fn let_account_read(&self, config: &Path) -> Result<(), Exit> {
        let failed = |error: io::Error| Exit::failed(format!("{}: {error}", config.display()));
        let mode = fs::metadata(config).map_err(failed)?.mode() & 0o777;
        if mode & 0o004 == 0 {
            self.commands.run("chown", &[&format!("root:{ACCOUNT}")], &[config])?;
            fs::set_permissions(config, fs::Permissions::from_mode(mode | 0o040)).map_err(failed)?;
        }
        Ok(())
    }

    fn write_unit(&self, plan: &Plan) -> Result<String, Exit> {
        let (path, text) = (self.unit(), unit::filled(plan));
        let shipped = PACKAGED.map(|folder| self.at(folder).join(UNIT));
        let fits = |unit: &&PathBuf| fs::read_to_string(unit).is_ok_and(|shipped| unit::is_same(&shipped, &text));
        // A package keeps its own up to date.
        if let Some(shipped) = shipped.iter().find(fits).filter(|_| !path.exists()) {
            return Ok(format!("{} came with the package and fits", shipped.display()));
        }
        if fs::read_to_string(&path).is_ok_and(|before| before == text) {
            return Ok(format!("{} is as it should be", path.display()));
        }
        let written = if path.exists() { "brought up to date" } else { "written" };
        write(&path, &text)?;
        Ok(format!("{} was {written}", path.display()))
    }

    fn uninstall(&self) -> Result<Vec<String>, Exit> {
        self.check("uninstall")?;
        let before = self.report()?;
        // First: it starts the service.
        let mut did: Vec<String> = self.update_by_hand()?.into_iter().collect();
        if !before.installed {
            did.push("the service was not installed".to_owned());
            return Ok(did);
        }
        self.commands.run("systemctl", &["disable", "--now", UNIT], &[])?;
        let unit = self.unit();
        did.push("it was stopped, and starts no more".to_owned());
        match fs::remove_file(&unit) {
            Ok(()) => did.push(format!("{} was removed", unit.display())),
            // It came with a package, which takes it away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                did.push("its unit stays: it belongs to a package".to_owned());
            }
            Err(error) => return Err(Exit::failed(format!("{}: {error}", unit.display()))),
        }
        self.commands.run("systemctl", &["daemon-reload"], &[])?;
        let data = before.data.unwrap_or_else(super::plan::data_folder);
        did.push(format!("what it has stored stays in {}, and so does the account {ACCOUNT}", data.display()));
        Ok(did)
    }

    fn control(&self, verb: &str) -> Result<(), Exit> {
        self.check(verb)?;
        if !self.report()?.installed {
            return Err(Exit::usage("the service is not installed", "install it: sudo starling-node service install"));
        }
        self.commands.run("systemctl", &[verb, UNIT], &[]).map_err(|exit| match exit {
            Exit::Failed(what) => {
                Exit::usage(what, format!("journalctl -u {NAME} says why; starling-node service status, where else"))
            }
            usage => usage,
        })
    }

    fn report(&self) -> Result<Report, Exit> {
        if !self.at("/run/systemd/system").is_dir() {
            return Ok(Report::default());
        }
        let properties = format!("--property={}", show::PROPERTIES.join(","));
        let said = self.commands.output("systemctl", &["show", UNIT, &properties])?;
        let report = show::report(&said, |fragment| fs::read_to_string(fragment).unwrap_or_default());
        let updates_itself = report.installed.then(|| self.updates_by_itself());
        Ok(Report { updates_itself, last_update: crate::update::last().filter(|_| report.installed), ..report })
    }
}

/// The account has to reach the program, through every folder above it.
fn can_be_run(program: &Path) -> Result<(), Exit> {
    let is_open = |path: &Path| fs::metadata(path).is_ok_and(|about| about.mode() & 0o001 != 0);
    match program.ancestors().all(is_open) {
        true => Ok(()),
        false => Err(Exit::usage(
            format!("the account {ACCOUNT} cannot run {}", program.display()),
            "put it where everybody can: sudo install -m 755 starling-node /usr/local/bin/, and run that one",
        )),
    }
}

/// The folder's owner is changed with all that is in it, so it must be a node's, or new.
fn is_a_nodes(data: &Path) -> Result<(), Exit> {
    let known = ["identity.key", "membership.cbor", "models", "logs"];
    let is_empty = fs::read_dir(data).map_or(true, |mut files| files.next().is_none());
    match is_empty || known.iter().any(|name| data.join(name).exists()) && data.parent().is_some() {
        true => Ok(()),
        false => Err(Exit::usage(
            format!("{} holds other things than a node's", data.display()),
            "name a folder of its own with --data",
        )),
    }
}

fn configure(plan: &Plan, settings: &str) -> Result<String, Exit> {
    let path = &plan.config;
    let before = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some(read.map_err(|error| Exit::failed(format!("{}: {error}", path.display())))?),
    };
    let text = plan.config_text(before.as_deref(), settings);
    let done = match before {
        Some(before) if before == text => "is kept as it is",
        Some(_) => "has the new name",
        None => "was written: every setting is in it",
    };
    if !done.starts_with("is kept") {
        write(path, &text)?;
    }
    Ok(format!("the configuration {} {done}", path.display()))
}

/// Readable for all: systemd and the account read it.
fn write(path: &Path, text: &str) -> Result<(), Exit> {
    let failed = |error| Exit::failed(format!("{} cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        fs::create_dir_all(folder).map_err(failed)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    let create = |draft: &Path| {
        let file = fs::File::create_new(draft)?;
        // Whatever the mask of whoever runs this.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        Ok(file)
    };
    replace_by(path, text.as_bytes(), create).map_err(failed)
}

#[cfg(test)]
mod tests;
