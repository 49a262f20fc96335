//! Texts into vectors, on the nodes of the swarm.

use starling_index::Vector;
use starling_protocol::message::Task;

use super::vector;
use crate::{
    choice::Choice,
    dispatch::{AnswerEvent, Dispatch, DispatchError, Job, Priority},
    id::UserId,
};

/// How often a text is shortened that is too long for the model.
const SHORTENINGS: usize = 4;

/// The vectors of some texts, in their order; `None` where there is none of a text. All or nothing.
///
/// # Errors
/// As of any job: [`DispatchError`].
pub(super) async fn all(
    dispatch: &Dispatch,
    model: &Choice,
    texts: Vec<String>,
    priority: Priority,
    owner: UserId,
) -> Result<Vec<Option<Vector>>, DispatchError> {
    let count = texts.len();
    let task = Task::Embed(texts.into_iter().map(Into::into).collect());
    let mut answer = dispatch.start(Job::new(model.id, task, priority, owner));
    let mut vectors = vec![];
    loop {
        match answer.next().await? {
            AnswerEvent::Vectors(all) => vectors = all,
            AnswerEvent::Done(_) => break,
            _ => {}
        }
    }
    let fits = |values: &Vec<f32>| values.len() == model.dimensions as usize;
    if vectors.len() != count || !vectors.iter().all(fits) {
        return Err(DispatchError::NodeLost);
    }
    Ok(vectors.iter().map(|values| vector(values)).collect())
}

/// The vector of one text, or of its beginning where all of it is too long for the model; `None` where the model can
/// make nothing of it.
///
/// # Errors
/// As of any job: [`DispatchError`].
pub(super) async fn one(
    dispatch: &Dispatch,
    model: &Choice,
    text: &str,
    priority: Priority,
    owner: UserId,
) -> Result<Option<Vector>, DispatchError> {
    let mut text = text.to_owned();
    for _ in 0..SHORTENINGS {
        match all(dispatch, model, vec![text.clone()], priority, owner).await {
            Ok(mut vectors) => return Ok(vectors.pop().flatten()),
            Err(DispatchError::PromptTooLong { tokens, limit }) => text = shorter(&text, tokens, limit),
            Err(DispatchError::Invalid { .. } | DispatchError::RequestCrashesEngines) => return Ok(None),
            Err(error) => return Err(error),
        }
        if text.is_empty() {
            break;
        }
    }
    Ok(None)
}

/// As much of a text of so many tokens as is a little below the limit.
fn shorter(text: &str, tokens: u32, limit: u32) -> String {
    let bytes = text.len() as u64 * u64::from(limit) * 9 / 10 / u64::from(tokens.max(1));
    let most = text.len() as u64 * 9 / 10;
    text[..text.floor_char_boundary(usize::try_from(bytes.min(most)).unwrap_or(0))].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_becomes_ever_shorter() {
        assert_eq!(shorter(&"x".repeat(1_000), 500, 250).len(), 450);
        assert_eq!(shorter(&"x".repeat(1_000), 100, 900).len(), 900, "whatever a node says");
        assert_eq!(shorter("é", 2, 1), "");
        assert_eq!(shorter("x", 0, 0), "");
    }
}
