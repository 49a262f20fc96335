//! `models build`: an engine for a kind of card, made in a process of its own. Native code that aborts, or that takes
//! more memory than it may, ends that process and nothing else.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use starling_inference::tensorrt::{self, Build, Capability, Precision, cost::Cost, memory};
use starling_protocol::program::{Exit, say};
use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

use super::{Place, show};
use crate::{config::this_program, helper, tensorrt as installed};

/// Steps of the bar: the builder tells thousandths.
const WHOLE: u64 = 1000;
/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Of the machine's memory that a build may take where nobody says otherwise, in hundredths.
const SHARE: u64 = 80;

/// What engines are built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Builder {
    /// NVIDIA's TensorRT-RTX.
    Tensorrt,
}

/// The flags of `starling-node models build`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// A GGUF file, or the name of one that was pulled.
    #[arg(value_name = "PATH|NAME")]
    model: PathBuf,
    /// What it is built with.
    #[arg(long, value_enum)]
    engine: Builder,
    /// What weights are stored as: fp16, bf16, int8, int4 or fp8.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Compute capability of the card that will run it, such as 8.9 for an RTX 4070.
    #[arg(long, default_value_t = Capability::ADA)]
    target: Capability,
    /// Tokens of prompt and answer together that one slot holds [default: what the model was made for, at most 4096].
    #[arg(long, value_name = "TOKENS")]
    context: Option<std::num::NonZeroU32>,
    /// Answers computed at once [default: 4].
    #[arg(long, value_name = "N")]
    slots: Option<std::num::NonZeroU32>,
    /// Memory of the card in MiB that computing may take.
    #[arg(long, value_name = "MIB", default_value_t = memory::WORKSPACE >> 20)]
    workspace_mb: u64,
    /// Memory of the card in MiB: what will not fit is not built.
    #[arg(long, value_name = "MIB", default_value_t = 12 << 10)]
    card_mb: u64,
    /// Memory of this machine in MiB that building may take [default: four fifths].
    #[arg(long, value_name = "MIB")]
    memory_mb: Option<u64>,
    /// Also when such an engine is here already.
    #[arg(long)]
    again: bool,
}

/// What the builder writes, a line each.
#[derive(Serialize, Deserialize)]
enum News {
    Step(u32),
    Built { path: PathBuf, bytes: u64 },
    Failed { what: String, hint: String },
}

/// Builds it, unless it is here.
pub(crate) async fn run(data: &Path, place: &Place, options: Options) -> Result<(), Exit> {
    let Builder::Tensorrt = options.engine;
    let order = Build {
        model: place.resolve(&options.model)?,
        precision: options.precision,
        capability: options.target,
        context_tokens: options.context.map(Into::into),
        slots: options.slots.map(Into::into),
        workspace: options.workspace_mb.saturating_mul(1 << 20),
        engines: installed::engines(data),
        library: installed::folder(data),
        hashes: Some(place.hashes.clone()),
    };
    let wrong = |error: starling_inference::OpenError| Exit::usage(&error, error.hint());
    tensorrt::fits(&order, options.card_mb.saturating_mul(1 << 20)).map_err(wrong)?;
    if !options.again
        && let Some(built) = tensorrt::cached(&order).map_err(wrong)?
    {
        say(format_args!("{} is here already", built.path.display()));
        return Ok(());
    }
    let most = options.memory_mb.map_or_else(most_memory, |megabytes| megabytes.saturating_mul(1 << 20));
    begin(&tensorrt::cost(&order).map_err(wrong)?, most)?;
    let (path, bytes) = build(&order, most).await?;
    say(format_args!("built {}", path.display()));
    show::note(&format!("{}, {} for cards of {}", show::size(bytes), order.precision, order.capability));
    Ok(())
}

/// Says what it will take, or why it is not begun.
fn begin(cost: &Cost, most: u64) -> Result<(), Exit> {
    if cost.memory() > most {
        return Err(Exit::usage(
            format!("building needs about {cost}, and may take {} of this machine", show::size(most)),
            "raise --memory-mb where there is more, build it on a machine with more memory (it needs no card), or \
             choose a smaller model",
        ));
    }
    let minutes = cost.seconds.div_ceil(60);
    show::note(&format!("this takes about {cost}, and {minutes} min on a processor with nothing else to do"));
    Ok(())
}

/// Starts the builder and follows it to its end.
async fn build(order: &Build, most: u64) -> Result<(PathBuf, u64), Exit> {
    let failed = |error: &dyn std::fmt::Display| Exit::failed(format!("the builder does not start: {error}"));
    let mut command = Command::new(this_program()?);
    command.arg("build-engine").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let order = serde_json::to_vec(order).map_err(|error| failed(&error))?;
    let (Some(mut mouth), Some(ears)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(&"it has no pipes"));
    };
    // Its stdin stays open: it ends when we do.
    mouth.write_all(&order).await.map_err(|error| failed(&error))?;
    mouth.write_all(b"\n").await.map_err(|error| failed(&error))?;
    let bar = ProgressBar::new(WHOLE);
    let followed = tokio::select! {
        followed = follow(BufReader::new(ears), &bar) => followed,
        taken = watch(&child, most) => {
            let _ = child.kill().await;
            let (taken, most) = (show::size(taken), show::size(most));
            Err(Exit::usage(
                format!("building took {taken} of this machine's memory and may take {most}"),
                "close other programs and raise --memory-mb, or build a smaller model",
            ))
        }
    };
    bar.finish_and_clear();
    drop(mouth);
    followed
}

/// Reads what the builder says until it has ended.
async fn follow(mut ears: BufReader<tokio::process::ChildStdout>, bar: &ProgressBar) -> Result<(PathBuf, u64), Exit> {
    let mut line = String::new();
    loop {
        line.clear();
        let read = ears.read_line(&mut line).await;
        match serde_json::from_str(&line) {
            Ok(News::Step(step)) => bar.set_position(step.into()),
            Ok(News::Built { path, bytes }) => return Ok((path, bytes)),
            Ok(News::Failed { what, hint }) => return Err(Exit::usage(what, hint)),
            Err(_) if !matches!(read, Ok(1..)) => {
                return Err(Exit::failed("the builder has ended without a word: the library has crashed"));
            }
            Err(_) => {}
        }
    }
}

/// Waits until the builder takes more than `most` bytes, and says how many.
async fn watch(child: &Child, most: u64) -> u64 {
    let Some(pid) = child.id().map(Pid::from_u32) else { return std::future::pending().await };
    // Without a view of processes nothing can be said of this one.
    let Ok(mut system) = System::new() else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        let memory = ProcessRefreshKind::nothing().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, memory);
        let taken = system.process(pid).map_or(0, sysinfo::Process::memory);
        if taken > most {
            return taken;
        }
    }
}

fn most_memory() -> u64 {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(memory).map_or(u64::MAX, |system| system.total_memory() / 100 * SHARE)
}

/// The builder: one order on stdin, news on stdout. Ends when stdin does, also in the middle of a build.
pub fn build_engine() -> ExitCode {
    let Some(order) = helper::begin::<Build>() else { return ExitCode::FAILURE };
    let mut said = 0;
    let mut step = |step: u32| {
        if step != said {
            said = step;
            helper::tell(&News::Step(step));
        }
        true
    };
    match tensorrt::build(&order, &mut step) {
        Ok(built) => helper::tell(&News::Built { path: built.path, bytes: built.description.bytes }),
        Err(error) => helper::tell(&News::Failed { what: error.to_string(), hint: error.hint().to_owned() }),
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_more_memory_than_there_is_is_not_begun() {
        let cost = Cost { weights: 6 << 30, largest: 5 << 30, base: 0, seconds: 200 };
        begin(&cost, 20 << 30).unwrap();
        let Err(Exit::Usage { what, hint }) = begin(&cost, 16 << 30) else { panic!("it has begun") };
        assert!(what.starts_with("building needs about 20.6 GB of memory (6.4 GB of weights"), "{what}");
        assert!(what.contains("may take 17.18 GB of this machine") && hint.contains("--memory-mb"), "{what}; {hint}");
    }
}
