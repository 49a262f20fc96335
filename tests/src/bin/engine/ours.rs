//! Our engine, as a node holds it.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use starling_inference::{DeviceChoice, Handle, Message, Output, Request, Role, Sampling, Source};

use crate::Options;
use crate::asked::{Answered, Asked, Engine};

pub(crate) struct Ours {
    handle: Handle,
    pub(crate) load_seconds: f64,
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
        let (sender, opened) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || match starling_inference::open(&source) {
            Ok((handle, runner)) => {
                if sender.send(Ok(handle)).is_ok() {
                    runner.run();
                }
            }
            Err(error) => drop(sender.send(Err(error))),
        });
        let handle = opened.await.context("the engine died while it was opened")??;
        Ok(Self { handle, load_seconds: started.elapsed().as_secs_f64() })
    }

    /// Every process whose memory is ours.
    pub(crate) fn processes(&self) -> Vec<u32> {
        vec![std::process::id()]
    }
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
