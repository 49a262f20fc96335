//! The same answers under the names that monitoring systems for language models know: OpenTelemetry's semantic
//! conventions for generative AI, <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>, written as
//! Prometheus writes them (dots are underscores, the unit is at the end).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};
use starling_protocol::message::Usage;

/// The buckets that the conventions advise, in seconds and tokens.
const DURATION: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const PER_TOKEN: [f64; 13] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
const TOKENS: [f64; 11] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];

/// Models that have series of their own. Nodes choose the names: what comes after these is "other".
const MAX_MODELS: usize = 64;

/// What a series is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: &'static str,
    gen_ai_response_model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    #[prometheus(flatten)]
    of: Of,
    error_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tokens {
    #[prometheus(flatten)]
    of: Of,
    gen_ai_token_type: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The histograms. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct GenAi {
    duration: Histograms<Ended>,
    first_token: Histograms<Of>,
    per_token: Histograms<Of>,
    usage: Histograms<Tokens>,
    models: Arc<Mutex<BTreeSet<String>>>,
}

/// One job as it was when it was over.
#[derive(Debug)]
pub(super) struct Job<'a> {
    /// What was asked for.
    pub operation: &'static str,
    /// Its model, once a node has begun.
    pub model: Option<&'a str>,
    /// From the question to the end.
    pub took: Duration,
    /// From the question to the first token.
    pub first_token: Option<Duration>,
    /// What it cost, when it became whole.
    pub usage: Option<Usage>,
    /// What broke, or that its reader left.
    pub error: Option<&'static str>,
}

impl Default for GenAi {
    fn default() -> Self {
        Self {
            duration: Family::new_with_constructor(|| Histogram::new(DURATION)),
            first_token: Family::new_with_constructor(|| Histogram::new(FIRST_TOKEN)),
            per_token: Family::new_with_constructor(|| Histogram::new(PER_TOKEN)),
            usage: Family::new_with_constructor(|| Histogram::new(TOKENS)),
            models: Arc::default(),
        }
    }
}

impl GenAi {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "From the question to the end of the answer, in seconds";
        registry.register("gen_ai_server_request_duration_seconds", help, self.duration.clone());
        let help = "From the question to the first token, in seconds";
        registry.register("gen_ai_server_time_to_first_token_seconds", help, self.first_token.clone());
        let help = "Between two tokens after the first, in seconds";
        registry.register("gen_ai_server_time_per_output_token_seconds", help, self.per_token.clone());
        registry.register("gen_ai_client_token_usage", "Tokens of prompts and of answers", self.usage.clone());
    }

    /// Counts a job that is over.
    pub(super) fn observe(&self, job: &Job<'_>) {
        let of = Of {
            gen_ai_operation_name: job.operation,
            gen_ai_provider_name: "starling",
            gen_ai_response_model: self.name(job.model),
        };
        let ended = Ended { of: of.clone(), error_type: job.error.unwrap_or_default() };
        self.duration.get_or_create(&ended).observe(job.took.as_secs_f64());
        if let Some(first) = job.first_token {
            self.first_token.get_or_create(&of).observe(first.as_secs_f64());
        }
        let Some(usage) = job.usage else { return };
        for (kind, count) in [("input", usage.prompt_tokens), ("output", usage.completion_tokens)] {
            let tokens = Tokens { of: of.clone(), gen_ai_token_type: kind };
            self.usage.get_or_create(&tokens).observe(f64::from(count));
        }
        if let (Some(first), 2..) = (job.first_token, usage.completion_tokens) {
            let after = job.took.saturating_sub(first).as_secs_f64() / f64::from(usage.completion_tokens - 1);
            self.per_token.get_or_create(&of).observe(after);
        }
    }

    fn name(&self, model: Option<&str>) -> String {
        let Some(model) = model else { return String::new() };
        let mut known = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(model) {
            if known.len() == MAX_MODELS {
                return "other".to_owned();
            }
            known.insert(model.to_owned());
        }
        model.to_owned()
    }
}
