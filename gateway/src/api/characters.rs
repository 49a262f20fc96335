//! Characters: a person's own, and those that others share.

use axum::{
    Json as Answer,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use starling_protocol::{limits::MAX_CONTINUE_TOKENS, message::Private};

use super::{
    auth::SignedIn,
    error::ApiError,
    extract::{InPath, Json},
    wire::{self, CharacterAnswer, CharacterList, NewCharacter, NewPicture},
};
use crate::{
    app::App,
    id::{CharacterId, UserId},
    store::characters::{Character, Defaults, Persona, PictureKind},
};

/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Longest instructions, in bytes: they are read again with every answer.
pub(super) const MAX_SYSTEM_BYTES: usize = 16 << 10;
/// Longest first words, in bytes.
const MAX_GREETING_BYTES: usize = 4 << 10;
/// Largest picture, in bytes.
const MAX_PICTURE_BYTES: usize = 256 << 10;

/// `GET /api/characters`
#[utoipa::path(
    get,
    path = "/api/characters",
    summary = "Characters, own and shared",
    responses((status = 200, description = "", body = CharacterList)),
)]
pub(super) async fn list(State(app): State<App>, by: SignedIn) -> Result<Answer<CharacterList>, ApiError> {
    let all = app.store.characters(by.user.id).await?;
    Ok(Answer(CharacterList { characters: all.into_iter().map(|one| shown(one, by.user.id)).collect() }))
}

/// `POST /api/characters`
#[utoipa::path(
    post,
    path = "/api/characters",
    summary = "Makes a character",
    request_body(content = NewCharacter, example = json!({"name": "Ada", "system_prompt": "You are Ada.", "greeting": "Good day."})),
    responses((status = 201, description = "", body = CharacterAnswer)),
)]
pub(super) async fn create(
    State(app): State<App>,
    by: SignedIn,
    Json(new): Json<NewCharacter>,
) -> Result<(StatusCode, Answer<CharacterAnswer>), ApiError> {
    let made = app.store.create_character(by.user.id, &check(new)?).await?.ok_or(ApiError::TooManyCharacters)?;
    Ok((StatusCode::CREATED, Answer(CharacterAnswer { character: shown(made, by.user.id) })))
}

/// `PUT /api/characters/{id}`: all of it anew, but for the picture.
#[utoipa::path(
    put,
    path = "/api/characters/{id}",
    summary = "Changes a character, all of it but its picture",
    params(("id" = CharacterId, Path)),
    request_body = NewCharacter,
    responses((status = 200, description = "", body = CharacterAnswer)),
)]
pub(super) async fn change(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<CharacterId>,
    Json(new): Json<NewCharacter>,
) -> Result<Answer<CharacterAnswer>, ApiError> {
    if !app.store.change_character(by.user.id, id, &check(new)?).await? {
        return Err(ApiError::NoSuchCharacter);
    }
    let changed = app.store.character(by.user.id, id).await?.ok_or(ApiError::NoSuchCharacter)?;
    Ok(Answer(CharacterAnswer { character: shown(changed, by.user.id) }))
}

/// `DELETE /api/characters/{id}`. Conversations with it stay as they are.
#[utoipa::path(
    delete,
    path = "/api/characters/{id}",
    summary = "Deletes a character",
    params(("id" = CharacterId, Path)),
    responses((status = 204, description = "It is gone")),
)]
pub(super) async fn delete(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<CharacterId>,
) -> Result<StatusCode, ApiError> {
    let was_there = app.store.delete_character(by.user.id, id).await?;
    was_there.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NoSuchCharacter)
}

/// `PUT /api/characters/{id}/picture`
#[utoipa::path(
    put,
    path = "/api/characters/{id}/picture",
    summary = "Sets or takes away a picture",
    params(("id" = CharacterId, Path)),
    request_body = NewPicture,
    responses((status = 204, description = "It is set")),
)]
pub(super) async fn set_picture(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<CharacterId>,
    Json(NewPicture { base64 }): Json<NewPicture>,
) -> Result<StatusCode, ApiError> {
    let picture = base64.as_deref().map(check_picture).transpose()?;
    let was_there = app.store.set_picture(by.user.id, id, picture).await?;
    was_there.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NoSuchCharacter)
}

/// `GET /api/characters/{id}/picture`
#[utoipa::path(
    get,
    path = "/api/characters/{id}/picture",
    summary = "A picture",
    params(("id" = CharacterId, Path)),
    responses((status = 200, description = "", content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp")))),
)]
pub(super) async fn picture(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<CharacterId>,
) -> Result<Response, ApiError> {
    let (kind, bytes) = app.store.picture(by.user.id, id).await?.ok_or(ApiError::NoSuchCharacter)?;
    // What is told of every answer, `nosniff` above all, keeps a browser from taking it for anything else.
    Ok(([(header::CONTENT_TYPE, mime(kind))], bytes).into_response())
}

pub(super) fn mime(kind: PictureKind) -> &'static str {
    match kind {
        PictureKind::Png => "image/png",
        PictureKind::Jpeg => "image/jpeg",
        PictureKind::Webp => "image/webp",
    }
}

pub(super) fn shown(character: Character, to: UserId) -> wire::Character {
    let Persona { name, system_prompt, greeting, sampling, shared } = character.persona;
    wire::Character {
        id: character.id,
        name: name.0,
        system_prompt: system_prompt.0,
        greeting: greeting.0,
        sampling: sampling.into(),
        shared,
        mine: character.owner == to,
        has_picture: character.has_picture,
        updated_at: character.updated_at,
    }
}

fn check(new: NewCharacter) -> Result<Persona, ApiError> {
    let name = new.name.trim();
    if !(1..=MAX_NAME_BYTES).contains(&name.len()) || name.chars().any(char::is_control) {
        return Err(ApiError::field("name", format!("must be 1 to {MAX_NAME_BYTES} bytes on one line")));
    }
    Ok(Persona {
        name: Private(name.to_owned()),
        system_prompt: check_text("system_prompt", new.system_prompt, MAX_SYSTEM_BYTES)?,
        greeting: check_text("greeting", new.greeting, MAX_GREETING_BYTES)?,
        sampling: check_sampling(new.sampling)?,
        shared: new.shared,
    })
}

pub(super) fn check_text(field: &str, text: String, limit: usize) -> Result<Private, ApiError> {
    if text.len() > limit {
        return Err(ApiError::field(field, format!("must be at most {limit} bytes")));
    }
    Ok(Private(text.trim().to_owned()))
}

pub(super) fn check_sampling(wanted: wire::SamplingDefaults) -> Result<Defaults, ApiError> {
    let wire::SamplingDefaults { temperature, top_p, max_tokens } = wanted;
    if temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
        return Err(ApiError::field("sampling.temperature", "must be 0 to 2"));
    }
    if top_p.is_some_and(|value| !(0.01..=1.0).contains(&value)) {
        return Err(ApiError::field("sampling.top_p", "must be 0.01 to 1"));
    }
    if max_tokens.is_some_and(|value| value == 0 || value as usize > MAX_CONTINUE_TOKENS) {
        return Err(ApiError::field("sampling.max_tokens", format!("must be 1 to {MAX_CONTINUE_TOKENS}")));
    }
    Ok(Defaults { temperature, top_p, max_tokens })
}

fn check_picture(base64: &str) -> Result<(PictureKind, Vec<u8>), ApiError> {
    let wrong = |reason: String| ApiError::field("base64", reason);
    let bytes = BASE64_STANDARD.decode(base64).map_err(|_| wrong("is not base64".to_owned()))?;
    if bytes.len() > MAX_PICTURE_BYTES {
        return Err(wrong(format!("is over the limit of {MAX_PICTURE_BYTES} bytes")));
    }
    let kind = kind_of(&bytes).ok_or_else(|| wrong("is no PNG, JPEG or WebP picture".to_owned()))?;
    Ok((kind, bytes))
}

/// By the first bytes that each of these formats prescribes.
fn kind_of(bytes: &[u8]) -> Option<PictureKind> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(PictureKind::Png),
        [0xff, 0xd8, 0xff, ..] => Some(PictureKind::Jpeg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(PictureKind::Webp),
        _ => None,
    }
}
