//! `starling-node status`: how the node does that runs on this machine.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use starling_protocol::program::{Exit, say};

use crate::{
    desk::{self, LoadableState, ModelState, NodeState, PauseState},
    models::show,
    update,
};

/// The flags of `starling-node status`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The data folder of the node that runs [default: the platform's own].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// Asks the node and says what it says.
///
/// # Errors
/// When none runs.
pub async fn run(options: Options) -> Result<(), Exit> {
    let state = asked(&desk::folders(options.data)?).await?;
    if options.json {
        say(serde_json::to_string_pretty(&state).map_err(Exit::failed)?);
    } else {
        say(shown(&state, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)));
        if let Some(line) = update::last().and_then(|record| record.line()) {
            say(format_args!("{:12} {line}", "updates"));
        }
    }
    Ok(())
}

/// The first of these that runs.
async fn asked(folders: &[PathBuf]) -> Result<NodeState, Exit> {
    for folder in folders {
        let asked = desk::ask(folder).await;
        if let Some(state) = asked.map_err(|error| Exit::failed(format!("the node does not answer: {error}")))? {
            return Ok(state);
        }
    }
    Err(desk::nobody(folders))
}

fn shown(state: &NodeState, now: Duration) -> String {
    let up = now.as_secs().saturating_sub(state.started_at);
    let since = format!("{} h {:02} min", up / 3600, up / 60 % 60);
    let mut lines =
        vec![("node", format!("{} ({}), starling-node {}, up {since}", state.name, state.peer, state.version))];
    if state.stopping {
        lines.push(("state", "stopping: takes no more jobs".to_owned()));
    }
    lines.extend(state.paused.iter().map(|pause| ("state", pause_line(pause))));
    lines.extend(state.models.iter().map(|model| ("model", model_line(model))));
    let chosen = state.models.iter().filter(|model| !model.engine.is_empty());
    lines.extend(chosen.map(|model| ("engine", format!("{}: {}", model.name, model.engine))));
    lines.extend(state.loadable.iter().map(|model| ("on demand", loadable_line(model))));
    lines.extend(state.network.lines());
    let mut text: String = lines.iter().map(|(name, value)| format!("{name:12} {value}\n")).collect();
    let warnings = Some(&state.warning).filter(|warning| !warning.is_empty()).cloned();
    for warning in warnings.into_iter().chain(state.network.advice()) {
        text += &format!("\nWARNING: {warning}\n");
    }
    text.trim_end().to_owned()
}

/// Why it rests, what of it, and when it is back.
fn pause_line(pause: &PauseState) -> String {
    let why = match (pause.reason.as_str(), &pause.program) {
        ("by hand", _) => "you said so; starling-node resume ends it".to_owned(),
        ("full screen", _) => "a full-screen program runs".to_owned(),
        ("process", Some(program)) => format!("{program} runs"),
        ("process", None) => "a program runs that you have named".to_owned(),
        ("battery", _) => "this machine runs on its battery".to_owned(),
        ("temperature", _) => "the graphics card is too warm".to_owned(),
        ("gpu", _) => "others use the graphics card".to_owned(),
        ("schedule", _) => "it is not one of its hours".to_owned(),
        _ => "somebody needs this machine".to_owned(),
    };
    let back = match (pause.returning, pause.seconds) {
        (true, _) => "; its models are being loaded again".to_owned(),
        (false, Some(seconds)) => format!("; back in {}", span(seconds)),
        (false, None) if pause.reason == "by hand" => String::new(),
        (false, None) => "; back a while after that ends".to_owned(),
    };
    let memory = if pause.in_memory { "; its models stay in memory" } else { "" };
    let trouble = if pause.trouble.is_empty() { String::new() } else { format!("; not loaded: {}", pause.trouble) };
    format!("paused: {why}{back}{memory}{trouble}")
}

fn span(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

fn model_line(model: &ModelState) -> String {
    let ModelState { name, device, slots, slots_free, .. } = model;
    let mut line = format!("{name} on {device}, {slots_free} of {slots} slots free");
    if model.decode_tokens_per_second > 0.0 {
        line += &format!(", {:.0} tokens/s", model.decode_tokens_per_second);
    }
    if model.restarts > 0 {
        line += &format!(", engine started again {} times", model.restarts);
    }
    if !model.trouble.is_empty() {
        line += &format!(": {}", model.trouble);
    }
    line
}

fn loadable_line(model: &LoadableState) -> String {
    let LoadableState { name, bytes, loading_permille, seconds, trouble } = model;
    let mut line = match loading_permille {
        Some(permille) => format!("{name}, loading: {} %", permille / 10),
        None => format!("{name}, {}, loads in about {seconds} s", show::size(*bytes)),
    };
    if !trouble.is_empty() {
        line += &format!(": {trouble}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_shown_in_words() {
        let pause = |reason: &str| PauseState { reason: reason.to_owned(), ..PauseState::default() };
        for (pause, expected) in [
            (pause("full screen"), "paused: a full-screen program runs; back a while after that ends"),
            (
                PauseState { seconds: Some(7_260), ..pause("schedule") },
                "paused: it is not one of its hours; back in 2 h 01 min",
            ),
            (pause("by hand"), "paused: you said so; starling-node resume ends it"),
            (
                PauseState { program: Some("game.exe".into()), in_memory: true, ..pause("process") },
                "paused: game.exe runs; back a while after that ends; its models stay in memory",
            ),
            (
                PauseState { returning: true, trouble: "no memory".into(), ..pause("gpu") },
                "paused: others use the graphics card; its models are being loaded again; not loaded: no memory",
            ),
            (pause("something new"), "paused: somebody needs this machine; back a while after that ends"),
        ] {
            let state = NodeState { paused: Some(pause), ..NodeState::default() };
            let text = shown(&state, Duration::ZERO);
            assert!(text.contains(&format!("\nstate        {expected}")), "{text}");
        }
    }

    #[test]
    fn a_node_is_shown_line_by_line() {
        let model =
            ModelState { name: "m".into(), device: "CPU".into(), slots: 2, slots_free: 1, ..ModelState::default() };
        let model = ModelState { engine: "llama.cpp: there is no card".into(), ..model };
        let away = LoadableState { name: "big".into(), bytes: 5_000_000_000, seconds: 20, ..LoadableState::default() };
        let comes = LoadableState { name: "next".into(), loading_permille: Some(421), ..LoadableState::default() };
        let state = NodeState {
            models: vec![model],
            loadable: vec![away, comes],
            name: "desk".into(),
            warning: "look".into(),
            ..NodeState::default()
        };
        let text = shown(&state, Duration::from_secs(3_720));
        assert!(text.starts_with("node         desk (), starling-node , up 1 h 02 min\n"), "{text}");
        assert!(text.contains("\nmodel        m on CPU, 1 of 2 slots free\n"), "{text}");
        assert!(text.contains("\nengine       m: llama.cpp: there is no card\n"), "{text}");
        assert!(text.contains("\non demand    big, 5.00 GB, loads in about 20 s\n"), "{text}");
        assert!(text.contains("\non demand    next, loading: 42 %\n"), "{text}");
        assert!(text.contains("\nWARNING: look\n"), "{text}");
    }
}
