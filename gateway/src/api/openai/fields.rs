//! Fields that more than one endpoint has, each with its limit.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use starling_protocol::{
    limits,
    message::{Bias, Private, Sampling},
};
use utoipa::ToSchema;

use crate::api::error::ApiError;

/// Most answers to one prompt.
pub(super) const MAX_CHOICES: u32 = 8;

/// `stream_options`
#[derive(Deserialize, ToSchema)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
}

/// Where an answer ends: a text, or several.
///
/// Read by hand and not as an untagged enum, which could not say where in the list the mistake is.
#[derive(Default)]
pub(super) struct Stop(Vec<String>);

impl StreamOptions {
    /// Whether the usage is to be the stream's last chunk.
    pub(super) fn wants_usage(options: Option<Self>) -> bool {
        options.and_then(|options| options.include_usage).unwrap_or(false)
    }
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Stop;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Stop, E> {
                Ok(Stop(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Stop, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = texts.next_element()? {
                    all.push(text);
                }
                Ok(Stop(all))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl Stop {
    /// The stop strings, when there are not too many and none is too long.
    pub(super) fn check(stop: Option<Self>) -> Result<Vec<Private>, ApiError> {
        let stop = stop.unwrap_or_default().0;
        if stop.len() > limits::MAX_STOPS {
            return Err(ApiError::field("stop", format!("must be at most {} strings", limits::MAX_STOPS)));
        }
        if stop.iter().any(|stop| !(1..=limits::MAX_STOP_BYTES).contains(&stop.len())) {
            return Err(ApiError::field("stop", format!("must have 1 to {} bytes", limits::MAX_STOP_BYTES)));
        }
        Ok(stop.into_iter().map(Private).collect())
    }
}

/// `n`: how many answers.
pub(super) fn check_choices(n: Option<u32>) -> Result<u32, ApiError> {
    let choices = n.unwrap_or(1);
    if (1..=MAX_CHOICES).contains(&choices) {
        return Ok(choices);
    }
    Err(ApiError::field("n", format!("must be 1 to {MAX_CHOICES}")))
}

/// The most tokens of an answer, in a field of this name.
pub(super) fn check_max(tokens: Option<u32>, field: &str) -> Result<Option<u32>, ApiError> {
    let most = limits::MAX_ANSWER_TOKENS;
    if tokens.is_some_and(|tokens| !(1..=most).contains(&tokens)) {
        return Err(ApiError::field(field, format!("must be 1 to {most}")));
    }
    Ok(tokens)
}

/// `logit_bias`
pub(super) fn biases(of: Option<&BTreeMap<String, f32>>) -> Result<Vec<Bias>, ApiError> {
    of.into_iter().flatten().map(bias).collect()
}

fn bias((token, bias): (&String, &f32)) -> Result<Bias, ApiError> {
    let token = token.parse().map_err(|_| ApiError::field("logit_bias", "must have token ids as its keys"))?;
    Ok(Bias { token, bias: *bias })
}

/// The same, when each of its values is in its range.
pub(super) fn check_sampling(sampling: Sampling) -> Result<Sampling, ApiError> {
    sampling.validate().map_err(|invalid| ApiError::field(invalid.field, invalid.reason))?;
    Ok(sampling)
}
/// How tokens are chosen, by the fields that the requests of both older endpoints have.
macro_rules! sampling {
    ($request:expr, $top_logprobs:expr) => {
        $crate::api::openai::fields::check_sampling(::starling_protocol::message::Sampling {
            temperature: $request.temperature,
            top_p: $request.top_p,
            top_k: $request.top_k,
            min_p: $request.min_p,
            repetition_penalty: $request.repetition_penalty,
            // Any number is a seed; a negative one is just another.
            seed: $request.seed.map(i64::cast_unsigned),
            drawn: false,
            frequency_penalty: $request.frequency_penalty,
            presence_penalty: $request.presence_penalty,
            logit_bias: $crate::api::openai::fields::biases($request.logit_bias.as_ref())?,
            top_logprobs: $top_logprobs,
        })
    };
}
pub(super) use sampling;
