//! `starling-node status`: how the node does that runs on this machine.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use starling_protocol::program::{self, Exit, say};

use crate::{
    desk::{self, LoadableState, ModelState, NodeState},
    models::show,
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
    let data = program::data_dir(options.data, "node")?;
    let asked = desk::ask(&data).await.map_err(|error| Exit::failed(format!("the node does not answer: {error}")))?;
    let Some(state) = asked else {
        return Err(Exit::usage(
            format!("no node runs with the folder {}", data.display()),
            "start it with starling-node run, or name its folder with --data",
        ));
    };
    if options.json {
        say(serde_json::to_string_pretty(&state).map_err(Exit::failed)?);
    } else {
        say(shown(&state, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)));
    }
    Ok(())
}

fn shown(state: &NodeState, now: Duration) -> String {
    let up = now.as_secs().saturating_sub(state.started_at);
    let since = format!("{} h {:02} min", up / 3600, up / 60 % 60);
    let mut lines =
        vec![("node", format!("{} ({}), starling-node {}, up {since}", state.name, state.peer, state.version))];
    if state.stopping {
        lines.push(("state", "stopping: takes no more jobs".to_owned()));
    }
    lines.extend(state.models.iter().map(|model| ("model", model_line(model))));
    lines.extend(state.loadable.iter().map(|model| ("on demand", loadable_line(model))));
    lines.extend(state.network.lines());
    let mut text: String = lines.iter().map(|(name, value)| format!("{name:12} {value}\n")).collect();
    let warnings = Some(&state.warning).filter(|warning| !warning.is_empty()).cloned();
    for warning in warnings.into_iter().chain(state.network.advice()) {
        text += &format!("\nWARNING: {warning}\n");
    }
    text.trim_end().to_owned()
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
    fn a_node_is_shown_line_by_line() {
        let model =
            ModelState { name: "m".into(), device: "CPU".into(), slots: 2, slots_free: 1, ..ModelState::default() };
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
        assert!(text.contains("\non demand    big, 5.00 GB, loads in about 20 s\n"), "{text}");
        assert!(text.contains("\non demand    next, loading: 42 %\n"), "{text}");
        assert!(text.contains("\nWARNING: look\n"), "{text}");
    }
}
