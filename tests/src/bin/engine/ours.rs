//! Our engine, as a node holds it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use starling_inference::{
    DeviceChoice, Handle, Message, Output, Request, Role, Sampling, Source,
    host::{self, Launch, Patience},
};

use crate::Options;
use crate::asked::{Answered, Asked, Engine};
use crate::memory;

pub(crate) struct Ours {
    handle: Handle,
    pub(crate) load_seconds: f64,
    apart: bool,
}

impl Ours {
    pub(crate) async fn start(options: &Options) -> Result<Self> {
        let source = Source::Gguf {
            path: options.model.clone(),
            context_tokens: Some(options.context),
            slots: Some(options.slots),
            threads: Some(options.threads),
            saved_bytes: None,
            hashes: None,
            device: DeviceChoice::Auto,
        };
        let started = Instant::now();
        let handle = match &options.node {
            Some(program) => apart(source, program).await?,
            None => here(source).await?,
        };
        Ok(Self { handle, load_seconds: started.elapsed().as_secs_f64(), apart: options.node.is_some() })
    }

    /// The process that computes. Asked before any other is started, it is the only child of ours.
    pub(crate) fn process(&self) -> Result<u32> {
        if self.apart { memory::only_child() } else { Ok(std::process::id()) }
    }
}

/// In a process of its own, as a node does it.
async fn apart(source: Source, program: &Path) -> Result<Handle> {
    let launch = Launch { program: program.into(), args: vec!["engine".into()], name: "starling-node".into() };
    let (handle, host) = host::open(source, launch, Patience::default()).await?;
    tokio::spawn(host.run());
    Ok(handle)
}

/// On a thread of this process.
async fn here(source: Source) -> Result<Handle> {
    let (sender, opened) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || match starling_inference::open(&source) {
        Ok((handle, runner)) => {
            if sender.send(Ok(handle)).is_ok() {
                runner.run();
            }
        }
        Err(error) => drop(sender.send(Err(error))),
    });
    Ok(opened.await.context("the engine died while it was opened")??)
}

impl Engine for Ours {
    async fn ask(&self, asked: Asked) -> Result<Answered> {
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        let messages = asked.turns.into_iter().zip(roles).map(|(text, role)| Message::new(role, text)).collect();
        let sampling = Sampling { seed: Some(1), ..Sampling::greedy() };
        let request = Request { messages, sampling, max_tokens: Some(asked.max_tokens), ..Request::default() };
        let started = Instant::now();
        let mut generation = self.handle.generate(request).await?;
        let (mut arrivals, mut text) = (Vec::new(), String::new());
        while let Some(output) = generation.next().await {
            match output {
                Output::Piece { text: more, .. } => {
                    arrivals.push(Instant::now());
                    text += &more;
                }
                Output::Done { usage, .. } => {
                    let (prompt_tokens, completion_tokens, cached_tokens) =
                        (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens);
                    return Ok(Answered { started, arrivals, text, prompt_tokens, completion_tokens, cached_tokens });
                }
                Output::Failed(failure) => bail!("our engine failed: {failure}"),
                Output::Started { .. } | Output::Vector { .. } => {}
            }
        }
        bail!("our engine's answer has no end")
    }
}
