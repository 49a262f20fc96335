//! `starling-node bench`: how fast a model is on this machine, through the same handle as in service.

mod measure;
mod memory;

use std::{path::PathBuf, time::Instant};

use clap::Args;
use serde::Serialize;
use starling_inference::{DeviceChoice, Handle, Source, model::ModelFile};
use starling_protocol::program::{self, Exit, say};

use crate::{
    config::this_program,
    engines::{self, Apart},
    hardware::Probe,
    models::{
        Place,
        show::{note, size, table},
    },
};

/// Answers at once, a row for each.
const SEQUENCES: [u32; 4] = [1, 2, 4, 8];
/// Each row is the median of so many rounds: a machine is slow for a moment now and then.
const ROUNDS: u32 = 3;
/// Room for a slot, where the model takes it: a prompt and an answer of the bench fit.
const CONTEXT_TOKENS: u32 = 1024;

/// The flags of `starling-node bench`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Chat model: a GGUF file, or the name of one that was pulled [default: the built-in demo model].
    #[arg(long, value_name = "PATH|NAME")]
    model: Option<PathBuf>,
    /// What to compute on: auto, cpu, cuda or vulkan.
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
    /// Threads to compute with.
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroU32>,
    /// Folder for everything that lasts, as for starling-node run [default: the platform's own].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
struct Report {
    model: String,
    device: String,
    warning: String,
    load_seconds: f64,
    /// Of all of the program's processes, at the end.
    resident_bytes: u64,
    /// More than before, on all GPUs together.
    gpu_bytes: u64,
    rows: Vec<Row>,
}

/// Medians at a number of answers at once; a speed that could not be measured is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    sequences: u32,
    prompt_tokens: u32,
    prefill_tokens_per_second: Option<f64>,
    decode_tokens_per_second: Option<f64>,
}

/// Measures and shows it.
///
/// # Errors
/// When the model cannot be opened or does not answer.
pub async fn run(options: Options) -> Result<(), Exit> {
    program::init_log("warn")?;
    let json = options.json;
    let apart = Apart { program: Some(this_program()?), scripted: false };
    let report = Box::pin(measured(options, &apart)).await?;
    if json {
        say(serde_json::to_string_pretty(&report).map_err(Exit::failed)?);
    } else {
        say(shown(&report));
    }
    Ok(())
}

async fn measured(options: Options, apart: &Apart) -> Result<Report, Exit> {
    let source = source(options)?;
    let mut probe = Probe::new();
    let gpu_before = memory::of_gpus(&probe.read());
    let began = Instant::now();
    let (engine, _hosts) = engines::open_for_command(source, apart).await?;
    let load = began.elapsed();
    let rows = rows(&engine).await?;
    let info = engine.info();
    Ok(Report {
        model: info.name.clone(),
        device: info.device.clone(),
        warning: info.warning.clone(),
        load_seconds: load.as_secs_f64(),
        resident_bytes: memory::resident(),
        gpu_bytes: memory::of_gpus(&probe.read()).saturating_sub(gpu_before),
        rows,
    })
}

fn source(options: Options) -> Result<Source, Exit> {
    let Options { model, device, threads, data, .. } = options;
    let place = Place::new(&program::data_dir(data, "node")?);
    let (threads, saved_bytes) = (threads.map(Into::into), Some(0));
    let slots = SEQUENCES.last().copied();
    let Some(model) = model else {
        let cache_dir = place.store.folder().to_owned();
        return Ok(Source::Demo { cache_dir, context_tokens: None, slots, threads, saved_bytes, device });
    };
    let path = place.resolve(&model)?;
    let trained = ModelFile::open(&path).map_err(|error| Exit::usage(&error, error.hint()))?.header.context_tokens();
    let context_tokens = trained.and_then(|tokens| u32::try_from(tokens).ok()).map(|most| most.min(CONTEXT_TOKENS));
    Ok(Source::Gguf { path, context_tokens, slots, threads, saved_bytes, hashes: Some(place.hashes), device })
}

async fn rows(engine: &Handle) -> Result<Vec<Row>, Exit> {
    let mut rows = vec![];
    let mut prompts = measure::Prompts::fitting(engine).await?;
    for sequences in SEQUENCES.into_iter().filter(|sequences| *sequences <= engine.info().slots) {
        let mut rounds = vec![];
        for round in 1..=ROUNDS {
            note(&format!("{sequences} at once, round {round} of {ROUNDS} …"));
            rounds.push(measure::round(engine, &mut prompts, sequences).await?);
        }
        rows.push(Row {
            sequences,
            prompt_tokens: prompts.tokens,
            prefill_tokens_per_second: median(rounds.iter().filter_map(|round| round.prefill)),
            decode_tokens_per_second: median(rounds.iter().filter_map(|round| round.decode)),
        });
    }
    Ok(rows)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn shown(report: &Report) -> String {
    let speed = |speed: Option<f64>| speed.map_or_else(|| "-".to_owned(), |speed| format!("{speed:.1}"));
    let mut cells =
        vec![["at once", "prompt tokens", "prefill tokens/s", "decode tokens/s", "decode each"].map(str::to_owned)];
    cells.extend(report.rows.iter().map(|row| {
        let each = row.decode_tokens_per_second.map(|all| all / f64::from(row.sequences));
        [
            row.sequences.to_string(),
            row.prompt_tokens.to_string(),
            speed(row.prefill_tokens_per_second),
            speed(row.decode_tokens_per_second),
            speed(each),
        ]
    }));
    let mut text = format!("{} on {}\n", report.model, report.device);
    if !report.warning.is_empty() {
        text += &format!("WARNING: {}\n", report.warning);
    }
    text += &format!("loaded in {:.2} s, {} of memory", report.load_seconds, size(report.resident_bytes));
    if report.gpu_bytes > 0 {
        text += &format!(", {} on the GPU", size(report.gpu_bytes));
    }
    format!("{text}\n\n{}", table(&cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn a_report_is_a_table_that_says_what_is_not_known() {
        let row = |sequences, decode_tokens_per_second| Row {
            sequences,
            prompt_tokens: 256,
            prefill_tokens_per_second: Some(94.26),
            decode_tokens_per_second,
        };
        let report = Report {
            model: "m".into(),
            device: "CPU".into(),
            warning: "an NVIDIA GPU is not used".into(),
            load_seconds: 1.234,
            resident_bytes: 913_000_000,
            gpu_bytes: 0,
            rows: vec![row(1, Some(18.6)), row(4, Some(42.0)), row(8, None)],
        };
        let text = shown(&report);
        let expected = "m on CPU\n\
            WARNING: an NVIDIA GPU is not used\n\
            loaded in 1.23 s, 913.0 MB of memory\n\n\
            at once  prompt tokens  prefill tokens/s  decode tokens/s  decode each\n\
            1        256            94.3              18.6             18.6\n\
            4        256            94.3              42.0             10.5\n\
            8        256            94.3              -                -";
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn the_demo_model_has_a_row_for_each_number() {
        let data = tempfile::tempdir().unwrap();
        let data = Some(data.path().to_owned());
        let device = DeviceChoice::Cpu;
        let options = Options { model: None, device, threads: None, data, json: false };
        let report = Box::pin(measured(options, &Apart::default())).await.map_err(|exit| format!("{exit:?}")).unwrap();
        assert_eq!(report.rows.iter().map(|row| row.sequences).collect::<Vec<_>>(), SEQUENCES);
        for row in &report.rows {
            let speeds = [row.prefill_tokens_per_second, row.decode_tokens_per_second];
            assert!(speeds.iter().all(|speed| speed.is_some_and(|speed| speed > 0.0)), "{row:?}");
        }
        assert!(report.device.starts_with("CPU: ") && report.resident_bytes > 0, "{report:?}");
    }
}
