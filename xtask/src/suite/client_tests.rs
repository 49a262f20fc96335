//! The tests from outside: a browser, programs' clients, and requests made of the API's description, each against a
//! fresh swarm of separate processes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::{Context, Passed, tools};
use crate::api::{Login, Session};
use crate::places::in_path;
use crate::process;
use crate::say;
use crate::swarm::{Plan, Swarm};
use crate::system::BROWSERS;

/// Far more than either takes; a hanging test must not hang the whole run.
const LIMIT: Duration = Duration::from_secs(300);

/// Some thirty scenarios of at most a minute each, on a busy machine.
const BROWSER_LIMIT: Duration = Duration::from_secs(30 * 60);

/// A swarm in a folder that goes with it.
struct Fresh {
    swarm: Swarm,
    dir: TempDir,
}

/// The scenarios of `tests/browser`, each with a swarm of its own, which it starts and breaks itself.
pub(super) fn browser(context: &Context) -> Result<Passed> {
    let mut script = context.node()?.command("node");
    script.arg("tests/browser/run.mjs").current_dir(&context.places.root);
    script.env("STARLING_PROGRAMS", context.programs()?);
    if cfg!(target_os = "linux") {
        // Not current_exe(): that path may have been rebuilt under us, this link is our own file while we run.
        script.env("STARLING_HOLD", format!("/proc/{}/exe", std::process::id()));
    }
    if let Some(browser) = BROWSERS.iter().find_map(|name| in_path(name)) {
        script.env("STARLING_CHROMIUM", browser);
    }
    let line = process::describe(&script);
    let status = process::status(script, BROWSER_LIMIT, &context.stop)?;
    if status.success() { Ok(Passed::Plainly) } else { bail!("`{line}` failed ({status})") }
}

/// Thinks, and then calls a tool that the client has.
const CALLER: &str = "tokens_per_second=100,answer_tokens=8,slots=4,style=reasoning+tools,say=<think>%0aWhich city?%0a\
    </think>%0a%0aLet me see.%0a<tool_call>%0a{\"name\": \"weather\"%2C \"arguments\": {\"city\": \"Zürich\"}}%0a\
    </tool_call>%0a";

/// Once with the demo model, once with the scripted engine, which is slow enough to be cut off, and once
/// with one that thinks and calls tools; and one that makes vectors. The official client first, then others.
pub(super) fn openai(context: &Context) -> Result<Passed> {
    let scripted = ["--engine", "scripted", "--scripted", "seed=7,tokens_per_second=40,answer_tokens=48,slots=4"];
    let caller = ["--engine", "scripted", "--scripted", CALLER];
    let vectors = ["--engine", "scripted", "--scripted", "kind=embedding,dimensions=16"];
    let fresh = Fresh::start(context, &[&[], &scripted, &caller, &vectors], &[])?;
    let key = fresh.administrator()?.make_key("openai client test")?;
    let run = |name: &str, expect: &str| -> Result<Command> {
        let mut script = script(context, name)?;
        script.env("STARLING_BASE_URL", format!("{}/v1", fresh.swarm.url()));
        script.env("STARLING_API_KEY", &key).env("STARLING_EXPECT", expect);
        Ok(script)
    };
    let official = run("openai_client.py", "calls thoughts response-calls response-thoughts")?;
    let others = run("other_clients.py", "litellm-calls langchain-calls")?;
    run_to_end(context, vec![official, others], fresh)
}

/// Requests made of the OpenAPI document. Nobody is turned away for asking often, or for want of a slot.
pub(super) fn api(context: &Context) -> Result<Passed> {
    let scripted = ["--engine", "scripted", "--scripted", "tokens_per_second=0,answer_tokens=8,slots=64"];
    let vectors = ["--engine", "scripted", "--scripted", "kind=embedding,dimensions=16,slots=64"];
    let no_limits = ["address", "user", "key", "sign-in"].map(|of| format!("--limit-{of}=0"));
    let fresh = Fresh::start(context, &[&scripted, &vectors], &no_limits)?;
    let mut script = script(context, "described.py")?;
    script.env("STARLING_URL", fresh.swarm.url()).env("STARLING_TOKEN", fresh.administrator()?.access());
    run_to_end(context, vec![script], fresh)
}

fn script(context: &Context, name: &str) -> Result<Command> {
    let mut script = process::command(tools::openai(context)?.bin().join("python"));
    script.arg(format!("tests/clients/{name}")).current_dir(&context.places.root);
    Ok(script)
}

/// One after the other, up to the first that fails.
fn run_to_end(context: &Context, scripts: Vec<Command>, mut fresh: Fresh) -> Result<Passed> {
    let result = scripts.into_iter().try_for_each(|script| run(context, script, &mut fresh));
    fresh.swarm.stop(&context.stop);
    if result.is_err() {
        say::note(&format!("data and logs are kept in {}", fresh.dir.keep().display()));
    }
    result.map(|()| Passed::Plainly)
}

fn run(context: &Context, script: Command, fresh: &mut Fresh) -> Result<()> {
    let line = process::describe(&script);
    let status = process::status(script, LIMIT, &context.stop);
    fresh.swarm.check()?;
    let status = status?;
    if status.success() { Ok(()) } else { bail!("`{line}` failed ({status})") }
}

impl Fresh {
    fn start(context: &Context, nodes: &[&[&str]], gateway: &[String]) -> Result<Self> {
        let programs = context.programs()?;
        let dir = TempDir::with_prefix("starling-test-")?;
        let nodes = nodes.iter().map(|args| args.iter().map(|arg| arg.into()).collect()).collect();
        let gateway = gateway.iter().map(Into::into).collect();
        let plan = Plan { programs, data: dir.path().to_path_buf(), port: 0, gateway, nodes };
        let mut swarm = Swarm::start(&plan, &context.stop)?;
        swarm.wait_until_found(plan.nodes.len(), &context.stop)?;
        Ok(Self { swarm, dir })
    }

    /// Its first administrator, signed in.
    fn administrator(&self) -> Result<Session> {
        let code = self.swarm.setup_code().context("a fresh gateway has a one-time code")?;
        let login = Login { username: "admin".into(), password: "a long enough password".into() };
        Session::set_up(self.swarm.url(), code, &login)
    }
}
