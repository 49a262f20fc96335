//! `/v1/models`

use axum::{
    Json,
    extract::{RawPathParams, State},
};
use serde::Serialize;

use crate::{
    api::{auth::Caller, error::ApiError},
    app::App,
    choice::choose,
};

#[derive(Serialize)]
pub(in crate::api) struct Models {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Serialize)]
pub(in crate::api) struct Model {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

/// `GET /v1/models`
pub(in crate::api) async fn list(State(app): State<App>, _: Caller) -> Json<Models> {
    let view = app.dispatch.view().borrow().clone();
    let data = view.models.iter().map(|found| model(&app, found.name.clone())).collect();
    Json(Models { object: "list", data })
}

/// `GET /v1/models/{id}`
pub(in crate::api) async fn show(
    State(app): State<App>,
    _: Caller,
    path: RawPathParams,
) -> Result<Json<Model>, ApiError> {
    let id = path.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned());
    let found = choose(&app.dispatch.view().borrow(), Some(&id.unwrap_or_default()))?;
    Ok(Json(model(&app, found.name)))
}

/// A model has no birthday here: the gateway's own start stands for it.
fn model(app: &App, id: String) -> Model {
    Model { id, object: "model", created: app.began.seconds(), owned_by: "starling" }
}
