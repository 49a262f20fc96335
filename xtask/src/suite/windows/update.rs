//! `starling-node update` under wine, as somebody on Windows has it: the service runs, its program's file is replaced by
//! that of a newer release, and comes back when the next one does not serve. The release is the gateway's. The task that
//! does so each day is made and taken away; wine's scheduler starts none.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{Said, Stage, service};
use crate::suite::install::releases::{Releases, version};
use crate::suite::{Context, Passed};
use crate::swarm::{Plan, Swarm};
use crate::windows::wine;
use crate::{api, say};

/// The gateway looks at its folder every few seconds.
const SERVED_LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(context: &Context) -> Result<Passed> {
    let dir = TempDir::with_prefix("starling-update-")?;
    let mut stage = Stage::set(context, dir.path())?;
    // Where the install script puts it: a program that others can change is not started by the system.
    let installed = stage.wine.program_files().join("Starling");
    fs::create_dir_all(&installed)?;
    let program = installed.join("starling-node.exe");
    fs::copy(&stage.program, &program)?;
    stage.program = program;
    let served = dir.path().join("served");
    fs::create_dir(&served)?;
    let releases = Releases::make_for_windows(&stage.program, &dir.path().join("releases"))?;
    releases.serve("first", &served)?;
    let flags = ["--releases".into(), served.clone().into(), "--release-key".into(), releases.key.clone().into()];
    let plan = Plan {
        programs: context.programs()?,
        data: dir.path().join("swarm"),
        port: 0,
        gateway: flags.to_vec(),
        nodes: vec![],
    };
    let mut swarm = Swarm::start(&plan, &context.stop)?;
    let session = stage.session()?;
    let result = Update { stage: &stage, releases: &releases, served: &served, context }.in_swarm(&mut swarm);
    // Whatever has happened, the next run finds no service.
    let _ = stage.service(context, &["uninstall"]);
    drop(session);
    swarm.stop(&context.stop);
    let _ = fs::remove_dir_all(installed);
    if result.is_err() {
        say::note(&format!("data and logs are kept in {}", dir.keep().display()));
    }
    result.map(|()| Passed::Plainly)
}

struct Update<'a> {
    stage: &'a Stage<'a>,
    releases: &'a Releases,
    served: &'a Path,
    context: &'a Context,
}

impl Update<'_> {
    fn in_swarm(&self, swarm: &mut Swarm) -> Result<()> {
        let (stage, context) = (self.stage, self.context);
        let config = stage.data.with_file_name("node.toml");
        let source = format!("\n[update]\nurl = {:?}\nkey = {:?}\n", swarm.url(), self.releases.key);
        fs::write(&config, service::settings(swarm) + &source)?;
        stage.joins(swarm, context)?;
        stage.install(&config, context)?;
        stage.orders(context, "start")?;
        swarm.wait_until_found(1, &context.stop)?;
        self.runs(0)?;
        self.updates(&config, &["--check"], 0, &format!("newest {}", version(0)))?;

        self.publish("next", 1, swarm)?;
        self.updates(&config, &["--check"], 10, &format!("update {}", version(1)))?;
        self.updates(&config, &[], 0, &format!("updated {}", version(1)))?;
        self.runs(1)?;
        self.updates(&config, &["--roll-back"], 0, &format!("rolled back to {}", version(0)))?;
        self.runs(0)?;

        self.publish("broken", 2, swarm)?;
        self.updates(&config, &[], 2, "is not taken")?;
        self.runs(0)?;

        self.publish("failing", 3, swarm)?;
        let source = ["--automatic", "--url", swarm.url(), "--key", &self.releases.key];
        self.updates(&config, &source, 1, "the version before is in its place again, and runs")?;
        self.runs(0)?;
        self.updates(&config, &source, 0, "was of no use here and is not tried again")?;
        self.publish("next", 1, swarm)?;
        // It was left by hand above, so by hand it comes back.
        self.updates(&config, &source, 0, "was of no use here and is not tried again")?;
        self.updates(&config, &[], 0, &format!("updated {}", version(1)))?;
        self.updates(&config, &source, 0, &format!("newest {}", version(1)))?;
        self.runs(1)?;
        self.has_a_task(&config)?;
        stage.orders(context, "uninstall")?;
        let again = self.says(&["service", "install", "--no-auto-update"], &config)?;
        ensure!(!again.contains("no more"), "the task was not taken away with the service:\n{again}");
        stage.orders(context, "uninstall")
    }

    /// The task comes with a word, and goes with the service.
    fn has_a_task(&self, config: &Path) -> Result<()> {
        let made = self.says(&["service", "install", "--auto-update"], config)?;
        ensure!(made.contains("takes them by itself"), "no task was made:\n{made}");
        let said = self.stage.service(self.context, &["status"])?;
        let (by_itself, last) = ("updates      by itself, each day; ", format!("newest {}", version(1)));
        ensure!(said.stdout.contains(by_itself) && said.stdout.contains(&last), "`service status`:\n{}", said.stdout);
        Ok(())
    }

    /// What one of the service's commands says when it goes well.
    fn says(&self, words: &[&str], config: &Path) -> Result<String> {
        let own = ["--config".into(), wine::path(config)?, "--data".into(), wine::path(&self.stage.data)?];
        let words: Vec<OsString> = words.iter().map(Into::into).chain(own).collect();
        let said = self.stage.tell(self.context, &words)?;
        ensure!(said.code == Some(0), "{words:?} gave {:?}:\n{}{}", said.code, said.stdout, said.stderr);
        Ok(said.stdout)
    }

    /// Puts a release before the gateway, and waits until it serves it.
    fn publish(&self, name: &str, by: u32, swarm: &Swarm) -> Result<()> {
        self.releases.serve(name, self.served)?;
        let (url, wanted) =
            (format!("{}/releases/release.json", swarm.url()), format!("\"version\":\"{}\"", version(by)));
        let deadline = Instant::now() + SERVED_LIMIT;
        while !api::get_text(&url).is_ok_and(|text| text.contains(&wanted)) {
            ensure!(Instant::now() < deadline, "the gateway does not serve the release {name}");
            self.context.stop.pause()?;
        }
        Ok(())
    }

    /// `update`, which ends with this code and says these words.
    fn updates(&self, config: &Path, words: &[&str], code: i32, says: &str) -> Result<()> {
        let own = ["--config".into(), wine::path(config)?, "--data".into(), wine::path(&self.stage.data)?];
        let words: Vec<OsString> = ["update"].iter().chain(words).map(Into::into).chain(own).collect();
        let Said { code: ended, stdout, stderr } = self.stage.tell(self.context, &words)?;
        let is_said = stdout.contains(says) || stderr.contains(says);
        ensure!(ended == Some(code) && is_said, "{words:?} gave {ended:?} without {says:?}:\n{stdout}{stderr}");
        say::note(stdout.lines().chain(stderr.lines()).find(|line| line.contains(says)).unwrap_or_default());
        Ok(())
    }

    /// The service that runs is this version.
    fn runs(&self, by: u32) -> Result<()> {
        let said = self.stage.ask(self.context, &["status".into()])?;
        let wanted = format!("starling-node {},", version(by));
        ensure!(
            said.code == Some(0) && said.stdout.contains(&wanted),
            "no {wanted:?} in:\n{}{}",
            said.stdout,
            said.stderr
        );
        Ok(())
    }
}
