//! `/v1/models`

use axum::{
    Json,
    extract::{RawPathParams, State},
};
use serde::Serialize;
use starling_protocol::message::Kind;
use utoipa::ToSchema;

use crate::{
    api::{auth::Caller, error::ApiError},
    app::App,
    choice::{NoModel, choose},
    dispatch::{ModelState, ModelView},
    store::keys::Scope,
};

#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiModels)]
pub(in crate::api) struct Models {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiModel)]
pub(in crate::api) struct Model {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
    /// Not of OpenAI's: which of the two APIs it is for.
    kind: &'static str,
    /// Nor this: `loaded`, `loading`, `loadable` or `away`.
    state: &'static str,
}

/// `GET /v1/models`
#[utoipa::path(
    get,
    path = "/v1/models",
    summary = "Models",
    responses((status = 200, description = "", body = Models)),
)]
pub(in crate::api) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Models>, ApiError> {
    caller.may(Scope::Models)?;
    let view = app.dispatch.view().borrow().clone();
    let data = view.models.iter().chain(&view.away).map(|found| model(&app, found)).collect();
    Ok(Json(Models { object: "list", data }))
}

/// `GET /v1/models/{id}`
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    summary = "A model",
    params(("id" = String, Path, description = "Its name, in which slashes may stand")),
    responses((status = 200, description = "", body = Model)),
)]
pub(in crate::api) async fn show(
    State(app): State<App>,
    caller: Caller,
    path: RawPathParams,
) -> Result<Json<Model>, ApiError> {
    caller.may(Scope::Models)?;
    let id = path.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned());
    let (id, view) = (id.unwrap_or_default(), app.dispatch.view().borrow().clone());
    match view.models.iter().chain(&view.away).find(|model| model.name == id) {
        Some(found) => Ok(Json(model(&app, found))),
        // One that is there was found, so this is always an error, and says what there is.
        None => Err(choose(&view, Kind::Chat, Some(&id)).err().unwrap_or(NoModel::NoNode).into()),
    }
}

/// A model has no birthday here: the gateway's own start stands for it.
fn model(app: &App, found: &ModelView) -> Model {
    let kind = match found.kind {
        Kind::Chat => "chat",
        Kind::Embedding => "embedding",
    };
    let state = match found.state() {
        ModelState::Loaded => "loaded",
        ModelState::Loading => "loading",
        ModelState::Loadable => "loadable",
        ModelState::Away => "away",
    };
    Model { id: found.name.clone(), object: "model", created: app.began.seconds(), owned_by: "starling", kind, state }
}
