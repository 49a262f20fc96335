//! The gateway's HTTP side: the table of routes, and what holds for all of them.
//!
//! Handlers are thin: they check, call the store or a turn, and convert. Every route stands in
//! [`routes`], so that a test can ask of each who may use it.

mod account;
mod audit;
pub mod auth;
mod characters;
mod chat;
mod conversations;
mod cookie;
pub mod entries;
pub mod error;
mod export;
pub mod extract;
mod figures;
mod forwarded;
mod guard;
mod health;
mod invitations;
mod invites;
mod keys;
mod limits;
mod members;
mod memories;
mod messages;
mod metrics;
mod models;
mod nodes;
mod openai;
mod openapi;
mod portable;
mod rate;
mod releases;
mod session;
mod setup;
mod sockets;
mod swarm;
mod terms;
mod ui;
mod users;
pub mod wire;

use axum::{
    Router,
    extract::{Request, State},
    handler::Handler,
    http::{Method, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use tower_http::catch_panic::CatchPanicLayer;

pub use export::Exports;
pub use openai::Tapes;
pub use releases::Downloads;
pub use sockets::Sockets;

use crate::app::App;
use error::ApiError;

/// One line of the table.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{id}` for an id.
    pub path: &'static str,
    serve: MethodRouter<App>,
}

/// Every route there is, apart from the page's files.
#[must_use]
pub fn routes() -> Vec<Route> {
    [for_people(), for_operators(), for_programs()].into_iter().flatten().collect()
}

fn for_people() -> Vec<Route> {
    vec![
        get("/healthz", health::alive),
        get("/readyz", health::ready),
        get("/metrics", metrics::text),
        get("/install.sh", releases::install_sh),
        get("/install.ps1", releases::install_ps1),
        get("/releases/{name}", releases::file),
        get("/api/setup", setup::state),
        post("/api/setup", setup::set_up),
        post("/api/session", session::sign_in),
        delete("/api/session", session::sign_out),
        post("/api/session/refresh", session::refresh),
        get("/api/sessions", session::list),
        delete("/api/sessions", session::sign_out_everywhere),
        delete("/api/sessions/{id}", session::revoke),
        get("/api/me", session::me),
        post("/api/account", account::sign_up),
        put("/api/account/password", account::change_password),
        delete("/api/account", account::delete),
        get("/api/account/export", export::export),
        get("/api/my/nodes", nodes::mine),
        get("/api/models", models::list),
        get("/api/swarm", swarm::view),
        get("/api/conversations", conversations::list),
        post("/api/conversations", conversations::create),
        get("/api/conversations/{id}", conversations::show),
        route(Method::PATCH, MethodFilter::PATCH, "/api/conversations/{id}", conversations::change),
        delete("/api/conversations/{id}", conversations::delete),
        post("/api/conversations/import", portable::import),
        get("/api/conversations/{id}/export", portable::export),
        post("/api/messages/{id}/go-on", messages::go_on),
        post("/api/messages/{id}/show", messages::show),
        get("/api/characters", characters::list),
        post("/api/characters", characters::create),
        put("/api/characters/{id}", characters::change),
        delete("/api/characters/{id}", characters::delete),
        get("/api/characters/{id}/picture", characters::picture),
        put("/api/characters/{id}/picture", characters::set_picture),
        get("/api/memories", memories::list),
        post("/api/memories", memories::create),
        delete("/api/memories", memories::delete_all),
        get("/api/memories/{id}", memories::show),
        route(Method::PATCH, MethodFilter::PATCH, "/api/memories/{id}", memories::change),
        delete("/api/memories/{id}", memories::delete),
        get("/api/memory", memories::standing),
        put("/api/memory", memories::switch),
        get("/api/keys", keys::list),
        post("/api/keys", keys::create),
        delete("/api/keys/{id}", keys::delete),
        get("/api/openapi.json", openapi::document),
        get("/api/docs", openapi::page),
        get("/api/docs.css", openapi::style),
        get("/api/chat", chat::connect),
    ]
}

/// What those who run the gateway use, and those who bring nodes in.
fn for_operators() -> Vec<Route> {
    vec![
        get("/api/users", users::list),
        route(Method::PATCH, MethodFilter::PATCH, "/api/users/{id}", users::change),
        delete("/api/users/{id}", users::delete),
        get("/api/invitations", invitations::list),
        post("/api/invitations", invitations::create),
        delete("/api/invitations/{id}", invitations::delete),
        get("/api/invites", invites::list),
        post("/api/invites", invites::create),
        delete("/api/invites/{id}", invites::revoke),
        get("/api/members", members::list),
        delete("/api/members/{id}", members::revoke),
        route(Method::PATCH, MethodFilter::PATCH, "/api/nodes/{id}", nodes::change),
        get("/api/audit", audit::list),
        get("/api/figures", figures::list),
        get("/api/limits", limits::list),
    ]
}

/// OpenAI's API.
fn for_programs() -> Vec<Route> {
    vec![
        get("/v1/models", openai::models::list),
        // A model's name may hold slashes.
        get("/v1/models/{*id}", openai::models::show),
        post("/v1/chat/completions", openai::chat::create),
        get("/v1/chat/completions/{id}/events", openai::chat::events),
        post("/v1/completions", openai::completions::create),
        post("/v1/responses", openai::responses::create),
        post("/v1/embeddings", openai::embeddings::create),
    ]
}

/// All of it, as one service.
pub fn router(app: App) -> Router {
    let router = routes().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.serve));
    router
        .fallback(elsewhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), guard::same_origin))
        .layer(middleware::from_fn_with_state(app.clone(), rate::limit))
        .layer(middleware::from_fn_with_state(app.clone(), forwarded::resolve))
        .layer(CatchPanicLayer::custom(|_| ApiError::Panic.into_response()))
        .layer(middleware::from_fn(openai::error::form))
        .layer(middleware::from_fn(openai::stamp::stamp))
        .layer(middleware::from_fn_with_state(app.clone(), guard::headers))
        .layer(middleware::from_fn(guard::log))
        .with_state(app)
}

fn get<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(Method::GET, MethodFilter::GET, path, handler)
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(Method::POST, MethodFilter::POST, path, handler)
}

fn put<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(Method::PUT, MethodFilter::PUT, path, handler)
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(Method::DELETE, MethodFilter::DELETE, path, handler)
}

fn route<H: Handler<T, App>, T: 'static>(
    method: Method,
    filter: MethodFilter,
    path: &'static str,
    handler: H,
) -> Route {
    Route { method, path, serve: on(filter, handler) }
}

/// Whether a path belongs to programs and not to the page.
fn is_api(uri: &Uri) -> bool {
    ["/api", "/v1", "/metrics"]
        .iter()
        .any(|root| uri.path().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Whether requests for it are counted: the page's files cost nothing, all else does.
fn is_counted(uri: &Uri) -> bool {
    is_api(uri) || uri.path().starts_with("/releases/") || ["/install.sh", "/install.ps1"].contains(&uri.path())
}

async fn elsewhere(State(_): State<App>, request: Request) -> Response {
    if is_api(request.uri()) {
        return ApiError::NoSuchPath.into_response();
    }
    match *request.method() {
        Method::GET | Method::HEAD => ui::file(request.uri().path(), request.headers()),
        _ => ApiError::WrongMethod(request.method().clone()).into_response(),
    }
}

async fn wrong_method(method: Method) -> ApiError {
    ApiError::WrongMethod(method)
}

#[cfg(test)]
mod tests;
