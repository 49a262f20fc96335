//! Everything that can refuse a request once its engine is known: template, prompt length, tokens to continue from.

use super::answer::Answer;
use crate::constrain::Forms;
use crate::engine::{Encoded, Engine, Sequence};
use crate::handle::Work;
use crate::{Invalid, RawPrompt, Refused};

/// The answer at its start, and its sequence: the prompt's tokens, then those that were given before.
pub(super) fn prepare(engine: &dyn Engine, forms: &Forms, work: &Work) -> Result<(Answer, Sequence), Refused> {
    let Work::Answer(request) = work else {
        return Err(Invalid::new("model", "it answers conversations and makes no vectors").into());
    };
    for &(token, _) in &request.sampling.logit_bias {
        known(engine, "logit_bias", token)?;
    }
    for &token in &request.continue_from {
        known(engine, "continue_from", token)?;
    }
    if let Some(RawPrompt::Tokens(tokens)) = &request.raw {
        tokens.iter().try_for_each(|&token| known(engine, "prompt", token))?;
    }
    let Encoded { mut tokens, style } = engine.encode(request)?;
    let prompt_tokens = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    let context_tokens = engine.info().context_tokens;
    // At least one token of answer has to fit.
    let limit = context_tokens.saturating_sub(1);
    if prompt_tokens > limit {
        return Err(Refused::PromptTooLong { tokens: prompt_tokens, limit });
    }
    if tokens.is_empty() {
        return Err(Invalid::new(request.text_field(), "there is no text for the model to go on from").into());
    }
    let matcher = forms.matcher(request, style)?;
    let mut answer = Answer::new(request, style, prompt_tokens, context_tokens - prompt_tokens);
    let mut bytes = Vec::new();
    for &token in &request.continue_from {
        bytes.clear();
        engine.token_bytes(token, &mut bytes);
        answer.recall(token, &bytes);
    }
    tokens.extend(&request.continue_from);
    let (sampling, prefixes) = (request.sampling.clone(), request.prefixes.clone());
    Ok((answer, Sequence { tokens, answered: request.continue_from.len(), sampling, matcher, prefixes }))
}

fn known(engine: &dyn Engine, field: &'static str, token: u32) -> Result<(), Invalid> {
    if token < engine.vocabulary() {
        return Ok(());
    }
    Err(Invalid::new(field, format!("{token} is no token of this model; its tokens are below {}", engine.vocabulary())))
}
