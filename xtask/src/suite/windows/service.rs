//! `starling-node service` under wine's service manager, in a real swarm: installed, installed again, started, asked,
//! stopped, made to fail, taken away. Wine knows neither accounts nor access lists nor a delayed start, and starts nothing
//! again after an error.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{LISTEN, Said, Stage, answers, on_loopback};
use crate::api::{Login, Session};
use crate::say;
use crate::suite::{Context, Passed};
use crate::swarm::part::Part;
use crate::swarm::{Plan, Swarm};
use crate::windows::wine;

/// The codes of `service status`, which are those of systemd.
const RUNS: i32 = 0;
const STOPPED: i32 = 3;
const NOT_THERE: i32 = 4;

pub(super) fn run(context: &Context) -> Result<Passed> {
    let dir = TempDir::with_prefix("starling-service-")?;
    let stage = Stage::set(context, dir.path())?;
    let plan =
        Plan { programs: context.programs()?, data: dir.path().join("swarm"), port: 0, gateway: vec![], nodes: vec![] };
    let mut swarm = Swarm::start(&plan, &context.stop)?;
    let session = stage.session()?;
    let result = stage.as_service(&mut swarm, context);
    // Whatever has happened, the next run finds no service.
    let _ = stage.service(context, &["uninstall"]);
    drop(session);
    swarm.stop(&context.stop);
    if result.is_err() {
        say::note(&format!("data and logs are kept in {}", dir.keep().display()));
    }
    result.map(|()| Passed::Plainly)
}

impl Stage<'_> {
    /// Wine ends its services with the last program that somebody has started, so one waits here for words that never come.
    pub(super) fn session(&self) -> Result<Part> {
        let (program, args) = self.wine.start("wine");
        let args: Vec<OsString> = args.into_iter().chain(["cmd".into()]).collect();
        Part::start_obedient("session", &program, &args, &self.logs)
    }

    fn as_service(&self, swarm: &mut Swarm, context: &Context) -> Result<()> {
        let config = self.data.with_file_name("Einstellungen für den Knoten.toml");
        fs::write(&config, settings(swarm))?;
        self.joins(swarm, context)?;
        self.is(NOT_THERE, context)?;
        self.install(&config, context)?;
        self.is(STOPPED, context)?;
        self.orders(context, "start")?;
        swarm.wait_until_found(1, &context.stop)?;
        let shown = self.is(RUNS, context)?;
        say::note(shown.lines().next().unwrap_or_default());
        let code = swarm.setup_code().context("a fresh gateway has a one-time code")?;
        let login = Login { username: "admin".into(), password: "a long enough password".into() };
        let key = Session::set_up(swarm.url(), code, &login)?.make_key("a service for Windows")?;
        answers(swarm.url(), &key, "scripted")?;
        self.orders(context, "stop")?;
        swarm.wait_until_alone(&context.stop)?;
        self.is(STOPPED, context)?;
        say::note("once more, brought up to date");
        self.install(&config, context)?;
        self.orders(context, "start")?;
        swarm.wait_until_found(1, &context.stop)?;
        self.orders(context, "restart")?;
        self.orders(context, "stop")?;
        self.fails(&config, context)?;
        self.orders(context, "uninstall")?;
        self.is(NOT_THERE, context)?;
        self.log_has_it_all()
    }

    pub(super) fn joins(&self, swarm: &Swarm, context: &Context) -> Result<()> {
        let invite = swarm.invite().context("a new gateway prints an invite")?.to_owned();
        let mut words: Vec<OsString> = ["join", &invite, "--only", "--engine", "scripted"].map(Into::into).to_vec();
        words.extend(on_loopback().chain(swarm.bootstrap()));
        let said = self.ask(context, &words)?;
        ensure!(said.code == Some(0), "it did not join:\n{}{}", said.stdout, said.stderr);
        Ok(())
    }

    pub(super) fn install(&self, config: &Path, context: &Context) -> Result<()> {
        let (config, data) = (wine::path(config)?, wine::path(&self.data)?);
        let words = ["service".into(), "install".into(), "--config".into(), config, "--data".into(), data];
        let said = self.tell(context, &words)?;
        ensure!(said.code == Some(0), "it was not installed:\n{}{}", said.stdout, said.stderr);
        ensure!(said.stdout.contains("next: starling-node service start"), "it says no next step:\n{}", said.stdout);
        Ok(())
    }

    pub(super) fn orders(&self, context: &Context, verb: &str) -> Result<()> {
        let said = self.service(context, &[verb])?;
        ensure!(said.code == Some(0), "`service {verb}` failed:\n{}{}", said.stdout, said.stderr);
        Ok(())
    }

    fn is(&self, code: i32, context: &Context) -> Result<String> {
        let said = self.service(context, &["status"])?;
        ensure!(said.code == Some(code), "`service status` gave {:?}, not {code}:\n{}", said.code, said.stdout);
        Ok(said.stdout)
    }

    /// Without what it needs, or with a setting that there is not, it ends at once and says where the reason is.
    fn fails(&self, config: &Path, context: &Context) -> Result<()> {
        let (membership, aside) = (self.data.join("membership.cbor"), self.data.join("membership.aside"));
        fs::rename(&membership, &aside)?;
        self.ends_at_once(context)?;
        fs::rename(&aside, &membership)?;
        let good = fs::read_to_string(config)?;
        fs::write(config, format!("{good}what-is-this = 1\n"))?;
        self.ends_at_once(context)?;
        Ok(fs::write(config, good)?)
    }

    fn ends_at_once(&self, context: &Context) -> Result<()> {
        let said = self.service(context, &["start"])?;
        let is_told = said.code == Some(2) && said.stderr.contains("ended again at once: code 2");
        ensure!(is_told, "`service start` gave {:?}:\n{}{}", said.code, said.stdout, said.stderr);
        ensure!(self.is(STOPPED, context)?.contains("last exit    code 2"), "its end is not told");
        Ok(())
    }

    fn log_has_it_all(&self) -> Result<()> {
        let log = fs::read_to_string(self.data.join("logs").join("starling-node.log"))?;
        for line in ["the service runs", "the service has stopped", "this machine has not joined a swarm"] {
            ensure!(log.contains(line), "the log lacks {line:?}:\n{log}");
        }
        Ok(())
    }

    pub(super) fn service(&self, context: &Context, words: &[&str]) -> Result<Said> {
        let words: Vec<OsString> = ["service"].iter().chain(words).map(Into::into).collect();
        self.tell(context, &words)
    }
}

/// What is behind a flag elsewhere: a service has none.
pub(super) fn settings(swarm: &Swarm) -> String {
    let known = swarm.bootstrap().into_iter().map(|word| word.to_string_lossy().into_owned());
    let known: Vec<String> = known.filter(|word| word != "--bootstrap").collect();
    format!("engine = \"scripted\"\nno-port-mapping = true\nlisten = {LISTEN:?}\nbootstrap = {known:?}\n")
}
