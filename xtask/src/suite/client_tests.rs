//! The tests from outside: a browser and the official `openai` client, each against a fresh swarm
//! of separate processes.

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

/// A swarm in a folder that goes with it.
struct Fresh {
    swarm: Swarm,
    dir: TempDir,
}

/// First sign-in, a prompt, a streamed answer, reload: with the demo model.
pub(super) fn browser(context: &Context) -> Result<Passed> {
    let fresh = Fresh::start(context, &[&[]])?;
    let code = fresh.swarm.setup_code().context("a fresh gateway has a one-time code")?;
    let mut script = context.node()?.command("node");
    script.arg("tests/browser/first-prompt.mjs").args([fresh.swarm.url(), code]);
    script.current_dir(&context.places.root);
    if let Some(browser) = BROWSERS.iter().find_map(|name| in_path(name)) {
        script.env("STARLING_CHROMIUM", browser);
    }
    run_to_end(context, script, fresh)
}

/// Thinks, and then calls a tool that the client has.
const CALLER: &str = "tokens_per_second=100,answer_tokens=8,slots=4,style=reasoning+tools,say=<think>%0aWhich city?%0a\
    </think>%0a%0aLet me see.%0a<tool_call>%0a{\"name\": \"weather\"%2C \"arguments\": {\"city\": \"Zürich\"}}%0a\
    </tool_call>%0a";

/// Once with the demo model, once with the scripted engine, which is slow enough to be cut off, and once
/// with one that thinks and calls tools; and one that makes vectors.
pub(super) fn openai(context: &Context) -> Result<Passed> {
    let scripted = ["--engine", "scripted", "--scripted", "seed=7,tokens_per_second=40,answer_tokens=48,slots=4"];
    let caller = ["--engine", "scripted", "--scripted", CALLER];
    let vectors = ["--engine", "scripted", "--scripted", "kind=embedding,dimensions=16"];
    let fresh = Fresh::start(context, &[&[], &scripted, &caller, &vectors])?;
    let code = fresh.swarm.setup_code().context("a fresh gateway has a one-time code")?;
    let login = Login { username: "admin".into(), password: "a long enough password".into() };
    let session = Session::set_up(fresh.swarm.url(), code, &login)?;
    let key = session.make_key("openai client test")?;
    let python = tools::openai(context)?.bin().join("python");
    let mut script = process::command(python);
    script.arg("tests/clients/openai_client.py").current_dir(&context.places.root);
    script.env("STARLING_BASE_URL", format!("{}/v1", fresh.swarm.url()));
    script.env("STARLING_API_KEY", key);
    script.env("STARLING_EXPECT", "calls thoughts");
    run_to_end(context, script, fresh)
}

fn run_to_end(context: &Context, script: std::process::Command, mut fresh: Fresh) -> Result<Passed> {
    let line = process::describe(&script);
    let status = process::status(script, LIMIT, &context.stop);
    let alive = fresh.swarm.check();
    fresh.swarm.stop(&context.stop);
    if let (Ok(status), Ok(_)) = (&status, &alive)
        && status.success()
    {
        return Ok(Passed::Plainly);
    }
    say::note(&format!("data and logs are kept in {}", fresh.dir.keep().display()));
    alive?;
    bail!("`{line}` failed ({})", status?);
}

impl Fresh {
    fn start(context: &Context, nodes: &[&[&str]]) -> Result<Self> {
        let programs = context.programs()?;
        let dir = TempDir::with_prefix("starling-test-")?;
        let nodes = nodes.iter().map(|args| args.iter().map(|arg| arg.into()).collect()).collect();
        let plan = Plan { programs, data: dir.path().to_path_buf(), port: 0, gateway: vec![], nodes };
        let mut swarm = Swarm::start(&plan, &context.stop)?;
        swarm.wait_until_found(plan.nodes.len(), &context.stop)?;
        Ok(Self { swarm, dir })
    }
}
