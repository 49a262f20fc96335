//! The OpenAI-compatible API, `/v1`. A file, or a folder, for each of its endpoints; nothing of it is stored.

mod call;
pub(super) mod chat;
mod choices;
mod collected;
pub(super) mod completions;
pub(super) mod embeddings;
pub(super) mod entries;
pub(super) mod error;
mod facts;
mod fields;
mod flow;
mod head;
mod logprobs;
pub(super) mod models;
mod order;
mod replay;
pub(super) mod responses;
pub(super) mod stamp;

use axum::http::HeaderMap;
use starling_protocol::message::Kind;
use tokio_util::sync::CancellationToken;

use super::{auth::Caller, error::ApiError};
use crate::{
    app::App,
    choice::{Choice, choose},
    dispatch::DispatchError,
    turn::TurnRefused,
};
use choices::{Choices, News};
use order::Order;
pub use replay::Tapes;

/// Answers, of one of which the first token is here, or is known to take a while.
struct Begun {
    choices: Choices,
    first: News,
}

impl Begun {
    /// Starts the jobs and waits for the first token: what fails before it fails with a status of its own. A stream
    /// begins earlier where the model has to be loaded first, which takes longer than a line stays open in silence.
    async fn wait(app: &App, by: &Caller, order: Order, streamed: bool) -> Result<Self, ApiError> {
        let tab = by.open_tab(app, order.expected()).await?;
        let mut choices = Choices::start(&app.dispatch, order, tab);
        let begin = async {
            loop {
                match choices.next().await? {
                    Some(News { loading: Some(_), .. }) if !streamed => {}
                    Some(first) => return Ok(first),
                    // There is at least one choice, and none ends without a word.
                    None => return Err(DispatchError::NodeLost),
                }
            }
        };
        let first = until(&app.life.cancel, begin).await?;
        Ok(Self { choices, first })
    }

    /// What is known of the answer now.
    fn headers(&self) -> HeaderMap {
        self.choices.facts(self.first.choice).map(|facts| facts.headers()).unwrap_or_default()
    }
}

/// The model that a request names, when it answers and the gateway takes new work.
fn model(app: &App, name: &str) -> Result<Choice, ApiError> {
    let model = choose(&app.dispatch.view().borrow(), Kind::Chat, Some(name))?;
    if app.life.drain.is_cancelled() { Err(TurnRefused::Stopping.into()) } else { Ok(model) }
}

/// The gateway's end is an answer too, and not a line that is cut.
async fn until<T, E: Into<ApiError>>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    match cancel.run_until_cancelled(work).await {
        Some(result) => result.map_err(Into::into),
        None => Err(DispatchError::Stopping.into()),
    }
}
