//! An engine under test on its own thread, and what its answers were.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use starling_inference::host::{self, Launch, Patience};
use starling_inference::{
    DeviceChoice, Failure, Finish, Generation, Handle, Load, Message, OpenError, Output, Refused, Request, Role,
    Sampling, Source, Timings, TokenLogprob, Usage,
};

/// Longest wait for anything in these tests; the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn models() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// A kind of engine and how to ask it for something long.
pub(crate) struct Subject {
    pub(crate) source: fn(slots: u32, context_tokens: u32) -> Source,
    /// Whether an answer in a batch has to be that of the engine alone, token for token.
    pub(crate) exact: bool,
    /// A prompt with a long answer.
    pub(crate) prompt: &'static str,
    /// Whether it runs in a process of its own.
    pub(crate) apart: bool,
}

impl Subject {
    pub(crate) fn scripted_engine() -> Self {
        let source = |slots, context_tokens| scripted(&format!("slots={slots},context_tokens={context_tokens}"));
        Self { source, exact: true, prompt: "go", apart: false }
    }

    pub(crate) fn demo_model() -> Self {
        let source = |slots, context_tokens| gguf("swarm-demo-3M-q8_0.gguf", slots, context_tokens);
        Self { source, exact: false, prompt: "Tell me a story", apart: false }
    }

    /// The same weights in 16-bit floats, which compute the same whatever shares their batch.
    pub(crate) fn demo_f16_model() -> Self {
        let source = |slots, context_tokens| gguf("swarm-demo-3M-f16.gguf", slots, context_tokens);
        Self { source, exact: true, prompt: "Tell me a story", apart: false }
    }

    /// 32-bit floats: alone, in a batch and after a split the same tokens.
    pub(crate) fn stories_model() -> Self {
        let source = |slots, context_tokens| gguf("stories260K.gguf", slots, context_tokens);
        Self { source, exact: true, prompt: "Once upon a time", apart: false }
    }

    /// Our own description of the same file, which has to be the same model.
    pub(crate) fn described_model() -> Self {
        let source = |slots, context_tokens| described("stories260K.gguf", slots, context_tokens);
        Self { source, ..Self::stories_model() }
    }

    pub(crate) fn scripted_process() -> Self {
        Self { apart: true, ..Self::scripted_engine() }
    }

    pub(crate) fn demo_process() -> Self {
        Self { apart: true, ..Self::demo_model() }
    }

    /// An engine of one size for most tests.
    pub(crate) fn start(&self, slots: u32) -> Engine {
        self.open((self.source)(slots, 512))
    }

    pub(crate) fn open(&self, source: Source) -> Engine {
        if self.apart { Engine::apart(source, &[]) } else { Engine::start(source) }
    }

    pub(crate) fn ask(&self) -> Request {
        ask(self.prompt)
    }
}

/// A scripted engine that answers as fast as it can, unless `options` say otherwise.
pub(crate) fn scripted(options: &str) -> Source {
    Source::Scripted(format!("tokens_per_second=0,answer_tokens=400,{options}").parse().unwrap())
}

/// Quantised files where this machine computes best. Others have to answer exactly, which a processor does: a graphics card
/// adds in another order in a batch than alone.
pub(crate) fn gguf(file: &str, slots: u32, context_tokens: u32) -> Source {
    let device = if file.ends_with("q8_0.gguf") { DeviceChoice::Auto } else { DeviceChoice::Cpu };
    let (context_tokens, slots) = (Some(context_tokens), Some(slots));
    let saved_bytes = Some(64 << 20);
    Source::Gguf { path: models().join(file), context_tokens, slots, threads: None, saved_bytes, hashes: None, device }
}

pub(crate) fn described(file: &str, slots: u32, context_tokens: u32) -> Source {
    Source::Reference { path: models().join(file), context_tokens: Some(context_tokens), slots: Some(slots) }
}

/// A greedy request with a seed, so that every engine answers it the same way each time.
pub(crate) fn ask(prompt: &str) -> Request {
    let sampling = Sampling { seed: Some(1), ..Sampling::greedy() };
    Request { messages: vec![Message::new(Role::User, prompt)], sampling, ..Request::default() }
}

/// An engine on a thread of its own, which ends with it.
pub(crate) struct Engine {
    // In this order: the thread ends once there is no handle.
    pub(crate) handle: Handle,
    thread: Thread,
    /// What a list of processes calls it, if it has one of its own.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "processes are found by it on Linux alone"))]
    name: String,
}

/// Waited for when it is dropped: native code that still computes when a process ends may crash it.
struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(thread) = self.0.take().filter(|_| !std::thread::panicking()) else { return };
        let deadline = Instant::now() + LIMIT;
        while !thread.is_finished() {
            assert!(Instant::now() < deadline, "an engine outlives its test");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Engine {
    pub(crate) fn start(source: Source) -> Self {
        Self::start_with(move || starling_inference::open(&source).unwrap())
    }

    /// In a process of its own, which is told `args`.
    pub(crate) fn apart(source: Source, args: &[&str]) -> Self {
        Self::try_apart(source, args, Patience::default()).unwrap()
    }

    pub(crate) fn try_apart(source: Source, args: &[&str], patience: Patience) -> Result<Self, OpenError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name = format!("engine-of-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let args = args.iter().map(Into::into).collect();
        let launch = Launch { program: env!("CARGO_BIN_EXE_engine-process").into(), args, name: (&name).into() };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                match host::open(source, launch, patience).await {
                    Ok((handle, host)) => {
                        sender.send(Ok(handle)).unwrap();
                        host.run().await;
                    }
                    Err(error) => sender.send(Err(error)).unwrap(),
                }
            });
        });
        receiver.recv().unwrap().map(|handle| Self { handle, thread: Thread(Some(thread)), name })
    }

    /// `open` runs on the engine's thread, as engines want it.
    pub(crate) fn start_with(open: impl FnOnce() -> (Handle, starling_inference::Runner) + Send + 'static) -> Self {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            let (handle, runner) = open();
            sender.send(handle).unwrap();
            runner.run();
        });
        Self { handle: receiver.recv().unwrap(), thread: Thread(Some(thread)), name: String::new() }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn process_name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn generate(&self, request: Request) -> Generation {
        within(self.handle.generate(request)).await.unwrap()
    }

    pub(crate) async fn refused(&self, request: Request) -> Refused {
        match within(self.handle.generate(request)).await {
            Ok(_) => panic!("it was taken"),
            Err(refused) => refused,
        }
    }

    /// The whole answer.
    pub(crate) async fn answer(&self, request: Request) -> Answer {
        Answer::read(self.generate(request).await).await
    }

    /// Waits until the load is as wanted.
    pub(crate) async fn wait_for(&self, wanted: impl FnMut(&Load) -> bool) -> Load {
        within(self.handle.load().wait_for(wanted)).await.unwrap().clone()
    }

    /// Lets go of the engine and waits for its thread.
    pub(crate) async fn stop(mut self) {
        let thread = self.thread.0.take();
        drop(self.handle);
        within(tokio::task::spawn_blocking(|| thread.map(JoinHandle::join))).await.unwrap().unwrap().unwrap();
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it takes too long")
}

/// All outputs of one answer.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) prompt_tokens: u32,
    pub(crate) pieces: Vec<(Vec<u32>, String)>,
    /// Of the tokens taken, where they were asked for.
    pub(crate) logprobs: Vec<TokenLogprob>,
    pub(crate) end: Option<Result<(Finish, Usage, Timings), Failure>>,
}

impl Answer {
    /// Reads to the end and checks the order of outputs on the way.
    pub(crate) async fn read(mut generation: Generation) -> Self {
        let mut answer = Self::default();
        while let Some(output) = within(generation.next()).await {
            assert!(answer.end.is_none(), "something comes behind the end");
            match output {
                Output::Started { prompt_tokens, .. } => {
                    assert!(answer.prompt_tokens == 0 && answer.pieces.is_empty());
                    answer.prompt_tokens = prompt_tokens;
                }
                Output::Vector { .. } => panic!("a vector in an answer"),
                Output::Piece { tokens, text, logprobs } => {
                    assert!(logprobs.is_empty() || logprobs.len() == tokens.len(), "not one for each token");
                    answer.pieces.push((tokens, text));
                    answer.logprobs.extend(logprobs);
                }
                Output::Done { finish, usage, timings } => answer.end = Some(Ok((finish, usage, timings))),
                Output::Failed(failure) => answer.end = Some(Err(failure)),
            }
        }
        assert!(answer.end.is_some(), "no end");
        answer
    }

    pub(crate) fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect()
    }

    pub(crate) fn tokens(&self) -> Vec<u32> {
        self.pieces.iter().flat_map(|(tokens, _)| tokens.clone()).collect()
    }

    pub(crate) fn finish(&self) -> Finish {
        self.end.as_ref().unwrap().as_ref().unwrap().0
    }

    pub(crate) fn usage(&self) -> Usage {
        self.end.as_ref().unwrap().as_ref().unwrap().1
    }

    pub(crate) fn failure(&self) -> &Failure {
        self.end.as_ref().unwrap().as_ref().unwrap_err()
    }
}
