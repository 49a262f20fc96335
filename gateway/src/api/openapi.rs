//! What this gateway's API is, said by its code: `GET /api/openapi.json`, and a page for people, `GET /api/docs`.
//!
//! Each handler says what it takes and gives beside itself, in `#[utoipa::path]`; here they are gathered, and what holds
//! for all of them is added: who may ask, how errors look, under which heading they stand. A test compares this with
//! the table of routes.

mod page;

use std::sync::LazyLock;

use axum::{
    Json,
    http::header,
    response::{Html, IntoResponse},
};
use serde_json::json;
use utoipa::{
    OpenApi, PartialSchema, ToSchema,
    openapi::{
        Content, OneOfBuilder, Ref, RefOr, Response as Described, ResponseBuilder, Schema,
        path::{Operation, PathItem},
        schema::ArrayBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    account, audit, characters, chat, conversations, cookie, export, figures, health, invitations, invites, keys,
    limits, members, memories, messages, metrics, models, nodes, openai, portable, releases, session, setup, swarm,
    users, wire,
};

/// What people sign in with.
const SESSION: &str = "session";
/// What signs them in again.
const REFRESH: &str = "refresh";
/// What programs have.
const KEY: &str = "key";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Starling gateway",
        description = "A swarm of computers that run language models, behind one server. Under `/v1` it speaks OpenAI's \
            API, so that existing programs need a base URL and a key and nothing else; under `/api` lies what the web \
            page uses."
    ),
    paths(
        health::alive,
        health::ready,
        metrics::text,
        releases::install_sh,
        releases::install_ps1,
        releases::file,
        setup::state,
        setup::set_up,
        session::sign_in,
        session::sign_out,
        session::refresh,
        session::list,
        session::sign_out_everywhere,
        session::revoke,
        session::me,
        account::sign_up,
        account::change_password,
        account::delete,
        export::export,
        users::list,
        users::change,
        users::delete,
        invitations::list,
        invitations::create,
        invitations::delete,
        nodes::mine,
        models::list,
        swarm::view,
        conversations::list,
        conversations::create,
        conversations::show,
        conversations::change,
        conversations::delete,
        portable::import,
        portable::export,
        messages::go_on,
        messages::show,
        characters::list,
        characters::create,
        characters::change,
        characters::delete,
        characters::picture,
        characters::set_picture,
        memories::list,
        memories::create,
        memories::delete_all,
        memories::show,
        memories::change,
        memories::delete,
        memories::standing,
        memories::switch,
        keys::list,
        keys::create,
        keys::delete,
        invites::list,
        invites::create,
        invites::revoke,
        members::list,
        members::revoke,
        nodes::change,
        audit::list,
        figures::list,
        limits::list,
        chat::connect,
        document,
        page,
        style,
        openai::models::list,
        openai::models::show,
        openai::chat::create,
        openai::chat::events,
        openai::completions::create,
        openai::responses::create,
        openai::embeddings::create,
    ),
    components(schemas(
        wire::ErrorAnswer,
        openai::error::ErrorAnswer,
        openai::chat::request::TextPart,
        openai::responses::InputItem,
        openai::responses::InputPart,
        portable::Format
    ))
)]
struct Annotated;

static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(gather);
static PAGE: LazyLock<String> = LazyLock::new(|| page::write(&json!(*DOCUMENT)));

/// `GET /api/openapi.json`
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    summary = "This description",
    responses((status = 200, description = "An OpenAPI document", body = serde_json::Value)),
    security(()),
)]
pub(super) async fn document() -> Json<&'static utoipa::openapi::OpenApi> {
    Json(&DOCUMENT)
}

/// `GET /api/docs`
#[utoipa::path(
    get,
    path = "/api/docs",
    summary = "The same as a page",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")),
    security(()),
)]
pub(super) async fn page() -> Html<&'static str> {
    Html(&PAGE)
}

/// `GET /api/docs.css`: the page's own, since nothing may stand inline.
#[utoipa::path(
    get,
    path = "/api/docs.css",
    summary = "How that page looks",
    responses((status = 200, description = "A style sheet", body = String, content_type = "text/css")),
    security(()),
)]
pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("openapi/page.css"))
}

/// An event of a streamed answer, as its lines say it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is described, and written by axum")]
pub(super) struct StreamEvent {
    /// The answer's id and the event's number.
    id: String,
    /// What kind it is, in a stream of responses.
    #[schema(required = false)]
    event: String,
    /// JSON, and `[DONE]` at the end of some.
    data: String,
}

/// For a field that is a text or a list of texts.
pub(super) fn text_or_texts() -> Schema {
    OneOfBuilder::new().item(String::schema()).item(Vec::<String>::schema()).build().into()
}

/// For a field that is a text or a list of these.
pub(super) fn text_or_list<T: ToSchema>() -> Schema {
    let list = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
    OneOfBuilder::new().item(String::schema()).item(list).build().into()
}

/// All that the handlers say, and what holds for each.
fn gather() -> utoipa::openapi::OpenApi {
    let mut document = Annotated::openapi();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(operation, method, path);
        }
    }
    let components = document.components.get_or_insert_default();
    for (name, words) in [(SESSION, "The access token of a session"), (KEY, "An API key")] {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(words)).build();
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    let refresh =
        ApiKeyValue::with_description(cookie::name(true), "The refresh token of a session, where TLS is used");
    components.add_security_scheme(REFRESH, SecurityScheme::ApiKey(ApiKey::Cookie(refresh)));
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("get", get), ("put", put), ("post", post), ("delete", delete), ("patch", patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn complete(operation: &mut Operation, method: &str, path: &str) {
    let words: Vec<&str> = path.split(['/', '.']).skip(1).map(|word| word.trim_matches(['{', '}'])).collect();
    let is_openai = words.first() == Some(&"v1");
    operation.operation_id = Some(words.iter().fold(method.to_owned(), |id, word| id + "_" + word).replace('-', "_"));
    let heading = match &words[..] {
        ["api", resource, ..] => resource,
        ["v1", ..] => "openai",
        _ => "operation",
    };
    operation.tags = Some(vec![heading.to_owned()]);
    // It repeats the method and the path, which stand there anyway.
    operation.description = operation.description.take().filter(|words| !words.starts_with('`'));
    let requirement = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    if operation.security.is_none() {
        let session = requirement(SESSION);
        operation.security = Some(if is_openai { vec![requirement(KEY), session] } else { vec![session] });
    }
    for answer in operation.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer
            && answer.description.is_empty()
        {
            "As asked".clone_into(&mut answer.description);
        }
    }
    let form = if is_openai { "OpenAiError" } else { "ErrorAnswer" };
    operation.responses.responses.entry("default".to_owned()).or_insert_with(|| RefOr::T(refusal(form)));
}

fn refusal(form: &str) -> Described {
    let content = Content::new(Some(Ref::from_schema_name(form)));
    ResponseBuilder::new()
        .description("It was refused or failed; `code` says why, and `message` what to do")
        .content("application/json", content)
        .build()
}

#[cfg(test)]
mod tests;
