//! `starling-node doctor`: what this machine and this program can do together, and what to do about the rest.
//!
//! Everything is looked at before anything is judged, so that one report answers all questions at once.

mod network;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;
use starling_inference::{Message, Output, Request, Role, Source, Survey};
use starling_protocol::{
    message::Gpu,
    program::{self, Exit, SwarmOptions, say},
};
use tokio::time::{Instant, timeout};

use crate::{
    config::this_program,
    engines::{self, Apart},
    hardware::Probe,
    models::{Place, show::size},
    network::Network,
    service,
};

/// How long the self test talks.
const SELF_TEST: Duration = Duration::from_secs(1);
/// How long a tiny model may take to load and to begin: on the slowest machine, or where a GPU's driver compiles kernels.
const PATIENCE: Duration = Duration::from_secs(120);
/// Below this a model of any use has no room.
const LITTLE_DISK: u64 = 5_000_000_000;

/// Windows asks about a program with a window whether others may reach it, and refuses for a service without a word.
const FIREWALL: &str = if cfg!(windows) {
    "nothing to open: connections go out only. Whether Windows lets others in, or asks about it, makes no difference"
} else {
    "nothing to open: connections go out only"
};

/// The flags of `starling-node doctor`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// As for starling-node run.
    #[command(flatten)]
    swarm: SwarmOptions,
    /// Ask nobody outside this machine.
    #[arg(long)]
    offline: bool,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
struct Report {
    version: &'static str,
    /// A prompt would be answered.
    usable: bool,
    backends: String,
    devices: Vec<String>,
    chosen: String,
    /// Why no GPU is among the devices, where that is known; empty otherwise.
    no_gpu: String,
    gpus: Vec<String>,
    driver: Option<String>,
    instructions: Vec<&'static str>,
    ram_total_bytes: u64,
    ram_used_bytes: u64,
    data: PathBuf,
    disk_free_bytes: Option<u64>,
    self_test: Option<SelfTest>,
    /// How others see this machine; none when that was not to be found out.
    network: Option<Network>,
    /// What has to be opened in a firewall.
    firewall: &'static str,
    /// Whether the system starts the node by itself.
    service: String,
    /// What is wrong, and what to do.
    warnings: Vec<String>,
}

/// How the demo model did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct SelfTest {
    load_seconds: f64,
    tokens_per_second: f64,
}

/// Looks, and says what it saw.
///
/// # Errors
/// When this machine cannot serve as it is.
pub async fn run(options: Options) -> Result<(), Exit> {
    program::init_log("error")?;
    let apart = Apart { program: Some(this_program()?), scripted: false };
    let data = options.swarm.data_dir("node")?;
    let mut report = examine(data.clone(), &apart).await;
    if !options.offline {
        match network::look(&options.swarm, &data).await {
            Ok(found) => {
                report.warnings.extend(found.advice());
                report.network = Some(found);
            }
            Err(problem) => report.warnings.push(format!("how others see this machine is not known: {problem}")),
        }
    }
    if options.json {
        say(serde_json::to_string_pretty(&report).map_err(Exit::failed)?);
    } else {
        say(shown(&report));
    }
    if report.usable { Ok(()) } else { Err(Exit::failed("this machine cannot serve as it is")) }
}

async fn examine(data: PathBuf, apart: &Apart) -> Report {
    let (version, instructions) = (env!("CARGO_PKG_VERSION"), instructions());
    let mut report =
        Report { version, instructions, data, firewall: FIREWALL, service: service(), ..Report::default() };
    look_at_hardware(&mut report);
    match starling_inference::survey() {
        Ok(Survey { built, found, chosen, no_gpu, warning, .. }) => {
            (report.backends, report.devices, report.chosen) = (built.to_owned(), found, chosen);
            report.no_gpu = no_gpu;
            report.warnings.extend(Some(warning).filter(|warning| !warning.is_empty()));
        }
        Err(error) => report.warnings.push(format!("{error}; {}", error.hint())),
    }
    match self_test(&report.data, apart).await {
        Ok(test) => (report.usable, report.self_test) = (true, Some(test)),
        Err(problem) => report.warnings.push(format!("the self test failed: {problem}")),
    }
    look_at_disk(&mut report);
    report
}

/// The service in a line.
fn service() -> String {
    service::report().map_or_else(|_| "the system does not say".to_owned(), |report| report.line())
}

fn look_at_hardware(report: &mut Report) {
    let mut probe = Probe::new();
    let hardware = probe.read();
    report.driver = probe.driver();
    report.gpus = hardware.gpus.iter().map(gpu).collect();
    (report.ram_total_bytes, report.ram_used_bytes) = (hardware.ram.total, hardware.ram.used);
}

/// After the self test, which makes the folder.
fn look_at_disk(report: &mut Report) {
    report.disk_free_bytes = fs4::available_space(&report.data).ok();
    if let Some(free) = report.disk_free_bytes.filter(|free| *free < LITTLE_DISK) {
        let folder = report.data.display();
        report.warnings.push(format!("only {} are free in {folder}: make room, or choose --data", size(free)));
    }
}

fn gpu(gpu: &Gpu) -> String {
    let mut text = format!("{}, {} of {} taken", gpu.name, size(gpu.memory.used), size(gpu.memory.total));
    if let Some(degrees) = gpu.temperature_celsius {
        text += &format!(", {degrees} °C");
    }
    text
}

/// The demo model, as in service.
async fn self_test(data: &std::path::Path, apart: &Apart) -> Result<SelfTest, String> {
    let cache_dir = Place::new(data).store.folder().to_owned();
    let (context_tokens, slots, threads, saved_bytes) = (None, Some(1), None, Some(0));
    let device = starling_inference::DeviceChoice::Auto;
    let source = Source::Demo { cache_dir, context_tokens, slots, threads, saved_bytes, device };
    let began = Instant::now();
    let late = |_| "the engine hangs".to_owned();
    let opened = timeout(PATIENCE, engines::open_for_command(source, apart)).await.map_err(late)?;
    let (engine, _hosts) = opened.map_err(|exit| match exit {
        Exit::Usage { what, hint } => format!("{what}; {hint}"),
        Exit::Failed(what) => what,
    })?;
    let load_seconds = began.elapsed().as_secs_f64();
    let (mut given, begun) = (0, Instant::now());
    while begun.elapsed() < SELF_TEST {
        let messages = vec![Message::new(Role::User, "What is the swarm?")];
        let request = Request { messages, ..Request::default() };
        let asked = timeout(PATIENCE, engine.generate(request)).await.map_err(late)?;
        let mut answer = asked.map_err(|refused| refused.to_string())?;
        while let Some(output) = timeout(PATIENCE, answer.next()).await.map_err(late)? {
            match output {
                Output::Piece { tokens, .. } => given += tokens.len(),
                Output::Failed(failure) => return Err(failure.to_string()),
                _ => {}
            }
        }
        if given == 0 {
            return Err("the demo model says nothing".to_owned());
        }
    }
    Ok(SelfTest { load_seconds, tokens_per_second: given as f64 / begun.elapsed().as_secs_f64() })
}

/// What makes a model fast on this processor.
#[cfg(target_arch = "x86_64")]
fn instructions() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;

    let known = [
        ("AVX", has!("avx")),
        ("AVX2", has!("avx2")),
        ("FMA", has!("fma")),
        ("F16C", has!("f16c")),
        ("AVX-VNNI", has!("avxvnni")),
        ("AVX-512", has!("avx512f")),
        ("AVX-512-VNNI", has!("avx512vnni")),
        ("AVX-512-BF16", has!("avx512bf16")),
    ];
    known.into_iter().filter_map(|(name, is)| is.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> Vec<&'static str> {
    vec![std::env::consts::ARCH]
}

fn shown(report: &Report) -> String {
    let none = |list: &str, otherwise: &str| if list.is_empty() { otherwise.to_owned() } else { list.to_owned() };
    let ram_free = report.ram_total_bytes.saturating_sub(report.ram_used_bytes);
    let test = report.self_test.map_or_else(
        || "failed".to_owned(),
        |test| format!("demo model loaded in {:.2} s, {:.0} tokens/s", test.load_seconds, test.tokens_per_second),
    );
    let disk = report.disk_free_bytes.map_or_else(|| "not known".to_owned(), |free| format!("{} free", size(free)));
    let devices = none(&report.devices.join("; "), "none");
    let no_gpu = if report.no_gpu.is_empty() { String::new() } else { format!("; no GPU: {}", report.no_gpu) };
    let lines = [
        ("program", format!("starling-node {}", report.version)),
        ("backends", none(&report.backends, "none")),
        ("devices", devices + &no_gpu),
        ("computes on", none(&report.chosen, "nothing")),
        ("GPUs", none(&report.gpus.join("; "), "none that a driver shows")),
        ("GPU driver", report.driver.clone().unwrap_or_else(|| "none from NVIDIA".to_owned())),
        ("processor", none(&report.instructions.join(" "), "no vector instructions that are known")),
        ("memory", format!("{} of {} free", size(ram_free), size(report.ram_total_bytes))),
        ("disk", format!("{disk} in {}", report.data.display())),
        ("self test", test),
        ("firewall", report.firewall.to_owned()),
        ("service", report.service.clone()),
    ];
    let network = report.network.iter().flat_map(Network::lines);
    let lines: Vec<_> = lines.into_iter().chain(network).map(|(name, value)| format!("{name:12} {value}")).collect();
    let mut text = lines.join("\n");
    for warning in &report.warnings {
        text += &format!("\n\nWARNING: {warning}");
    }
    text + if report.usable { "\n\nThis machine can serve." } else { "\n\nThis machine cannot serve as it is." }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_machine_with_a_processor_can_serve() {
        let data = tempfile::tempdir().unwrap();
        let report = examine(data.path().to_owned(), &Apart::default()).await;
        assert!(report.usable, "{report:?}");
        assert!(report.self_test.unwrap().tokens_per_second > 0.0);
        assert!(report.disk_free_bytes.unwrap() > 0 && report.ram_total_bytes > 0);
        assert!(report.devices.iter().any(|device| device.starts_with("CPU: ")), "{report:?}");
        let text = shown(&report);
        assert!(text.ends_with("This machine can serve.") && text.contains("self test    demo model loaded"), "{text}");
        assert!(text.contains("\nfirewall     nothing to open") && text.contains("\nservice      "), "{text}");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_said() {
        let data = tempfile::tempdir().unwrap();
        let blocked = data.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let report = examine(blocked, &Apart::default()).await;
        assert!(!report.usable);
        assert!(report.warnings.iter().any(|warning| warning.contains("cannot write the demo model")), "{report:?}");
        assert!(shown(&report).ends_with("This machine cannot serve as it is."));
    }

    #[test]
    fn a_missing_driver_is_said_beside_the_devices() {
        let (devices, no_gpu) = (vec!["CPU: Xeon".to_owned()], "there is no Vulkan here".to_owned());
        let report = Report { devices, no_gpu, ..Report::default() };
        assert!(shown(&report).contains("\ndevices      CPU: Xeon; no GPU: there is no Vulkan here\n"));
    }

    #[test]
    fn warnings_are_loud() {
        let warnings = vec!["an NVIDIA GPU is not used".to_owned()];
        let report = Report { warnings, usable: true, ..Report::default() };
        assert!(shown(&report).contains("\n\nWARNING: an NVIDIA GPU is not used\n"));
    }
}
