//! What a monitoring system reads, as text.

use std::sync::Arc;

use starling_protocol::{
    ModelId,
    limits::MAX_OFFERS,
    message::{
        Accepted, Done, Finish, Gpu, JobFailure, Memory, Network, Offer, PauseKind, Paused, Private, Timings, Usage,
    },
    swarm::PeerId,
};
use tokio::sync::watch;

use super::*;
use crate::dispatch::{AnswerEvent, DispatchError, Estimate, NodeView, Placement, View};

pub(super) fn node(number: u8) -> NodeView {
    NodeView {
        peer: PeerId::random(),
        name: format!("node {number}"),
        version: String::new(),
        device: "CPU".into(),
        relayed: false,
        rtt: None,
        models: vec![],
        slots: 0,
        slots_free: 0,
        decode_tokens_per_second: 0.0,
        warning: String::new(),
        gpus: vec![],
        ram: Memory { total: 8, used: 3 },
        offers: vec![],
        network: Network::default(),
        loadable: vec![],
        drained: false,
        paused: None,
    }
}

fn text(nodes: Vec<NodeView>) -> String {
    let (_sender, view) = watch::channel(Arc::new(View { nodes, ..View::default() }));
    let mut registry = Registry::with_prefix("starling");
    registry.register_collector(Box::new(Nodes::new(view)));
    Metrics { registry, upgrades: Upgrades::default() }.text()
}

/// The value of the series whose line begins so.
fn value(text: &str, begin: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(begin))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_node_shows_its_models_its_gpus_and_its_memory() {
    let mut shown = node(1);
    shown.offers = vec![Offer { slots: 4, slots_free: 1, restarts: 2, ..Offer::new(ModelId::new([1; 32]), "m") }];
    let memory = Memory { total: 100, used: 60 };
    shown.gpus = vec![Gpu { name: "card".into(), memory, temperature_celsius: Some(70), ..Gpu::default() }];
    shown.paused = Some(Paused { kind: PauseKind::Battery, seconds: None, returning: false });
    let text = text(vec![shown]);
    assert_eq!(value(&text, "starling_nodes "), Some(1.0), "{text}");
    assert_eq!(value(&text, "starling_nodes_paused "), Some(1.0), "{text}");
    assert_eq!(value(&text, "starling_node_ram_used_bytes{"), Some(3.0));
    assert_eq!(value(&text, "starling_model_slots_free{"), Some(1.0));
    assert_eq!(value(&text, "starling_model_restarts{"), Some(2.0));
    assert_eq!(value(&text, "starling_gpu_memory_used_bytes{"), Some(60.0));
    assert_eq!(value(&text, "starling_gpu_temperature_celsius{"), Some(70.0));
    assert_eq!(value(&text, "starling_gpu_power_watts{"), None, "what a card does not say is no figure");
}

#[test]
fn a_strangers_names_stay_inside_their_quotes() {
    let mut shown = node(1);
    shown.name = "a\"} 1\nstarling_nodes 99 \\".into();
    let text = text(vec![shown]);
    assert_eq!(value(&text, "starling_nodes "), Some(1.0), "{text}");
    assert!(text.contains(r#"node="a\"} 1\nstarling_nodes 99 \\""#), "{text}");
}

#[test]
fn a_name_that_is_offered_twice_is_one_series() {
    let mut shown = node(1);
    shown.offers = vec![Offer::new(ModelId::new([1; 32]), "m"); MAX_OFFERS];
    assert_eq!(text(vec![shown]).matches("starling_model_slots{").count(), 1);
}

#[test]
fn many_nodes_make_no_more_series_than_some() {
    let nodes: Vec<_> = (0..=255).chain(0..=100).map(node).collect();
    let text = text(nodes);
    assert_eq!(value(&text, "starling_nodes "), Some(357.0));
    assert_eq!(text.matches("starling_node_ram_bytes{").count(), 256);
}

fn jobs_text(jobs: &Jobs) -> String {
    let mut registry = Registry::default();
    jobs.register(registry.sub_registry_with_prefix("starling"));
    jobs.register_gen_ai(&mut registry);
    Metrics { registry, upgrades: Upgrades::default() }.text()
}

#[test]
fn a_job_is_counted_from_its_beginning_to_its_end() {
    let jobs = Jobs::default();
    let mut done = jobs.begin("chat", Some("m".into()));
    done.see(&Ok(AnswerEvent::Waiting(Estimate { position: 1, seconds: 1 })));
    let text = jobs_text(&jobs);
    assert_eq!(value(&text, "starling_jobs_running "), Some(1.0), "{text}");
    assert_eq!(value(&text, "starling_jobs_waiting "), Some(1.0));
    let piece = AnswerEvent::Piece { tokens: vec![1, 2], text: Private::default(), logprobs: vec![] };
    done.see(&Ok(piece.clone()));
    done.see(&Ok(piece));
    let usage = Usage { prompt_tokens: 7, completion_tokens: 4, cached_tokens: 0 };
    let timings = Timings::default();
    done.see(&Ok(AnswerEvent::Done(Done { finish: Finish::Stop, usage, timings })));
    drop(done);
    drop(jobs.begin("chat", Some("m".into())));
    let mut broken = jobs.begin("chat", Some("m".into()));
    broken.see(&Err(DispatchError::NodeFailed(JobFailure::OutOfMemory)));
    drop(broken);
    let text = jobs_text(&jobs);
    for (series, expected) in [
        ("starling_jobs_running ", 0.0),
        ("starling_jobs_waiting ", 0.0),
        ("starling_answer_tokens_total ", 4.0),
        ("starling_first_token_seconds_count ", 1.0),
        (r#"starling_answers_total{outcome="done"} "#, 1.0),
        (r#"starling_answers_total{outcome="left"} "#, 1.0),
        (r#"starling_answers_total{outcome="node_failed"} "#, 1.0),
        (
            r#"gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starling",gen_ai_response_model="m",gen_ai_token_type="input"} "#,
            7.0,
        ),
        (
            r#"gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="starling",gen_ai_response_model="m"} "#,
            1.0,
        ),
        (
            r#"gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="starling",gen_ai_response_model="m",error_type="left"} "#,
            1.0,
        ),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}: {text}");
    }
}

#[test]
fn models_that_strangers_name_make_no_more_series_than_some() {
    let jobs = Jobs::default();
    for number in 0..100 {
        drop(jobs.begin("chat", Some(format!("model {number}"))));
    }
    let text = jobs_text(&jobs);
    assert_eq!(text.matches("gen_ai_server_request_duration_seconds_count{").count(), 65);
    let other = text.lines().find(|line| line.contains("_duration_seconds_count") && line.contains("\"other\""));
    assert!(other.is_some_and(|line| line.ends_with(" 36")), "{other:?}");
}

#[test]
fn the_same_is_told_as_plain_numbers() {
    let jobs = Jobs::default();
    let started = |relayed| {
        let (device, node_name) = (String::new(), String::new());
        let placement = Placement { peer: PeerId::random(), node_name, device, relayed };
        Ok(AnswerEvent::Started { placement, accepted: Accepted::default(), attempt: 0 })
    };
    let piece = || Ok(AnswerEvent::Piece { tokens: vec![1, 2, 3], text: Private::default(), logprobs: vec![] });
    let mut direct = jobs.begin("chat", None);
    direct.see(&started(false));
    direct.see(&piece());
    let mut relayed = jobs.begin("chat", None);
    relayed.see(&started(true));
    // It goes on elsewhere, and stays one answer.
    relayed.see(&started(false));
    relayed.see(&piece());
    relayed.see(&Err(DispatchError::NodeLost));
    let mut wrong = jobs.begin("chat", None);
    wrong.see(&Err(DispatchError::PromptTooLong { tokens: 9, limit: 8 }));
    drop((relayed, wrong));
    let reading = jobs.reading();
    assert_eq!((reading.running, reading.waiting, reading.tokens), (1, 0, 6));
    assert_eq!((reading.ended, reading.errors), (2, 1), "a prompt that is too long is no fault of ours");
    assert_eq!((reading.begun, reading.relayed), (2, 1));
    assert!(reading.first_token.percentile(50).is_some());
}
