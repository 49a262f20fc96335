//! Accounts, for administrators.

use axum::{
    Json as Answer,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};

use super::{
    auth::{Address, SignedInAdministrator},
    error::ApiError,
    extract::{InPath, Json},
    keys::check_budget,
    wire::{self, ChangePerson, PersonAnswer, PersonList, PersonPage},
};
use crate::{
    app::App,
    id::UserId,
    store::{
        audit::Action,
        people::{Changed, MAX_LISTED, Person, PersonChange},
    },
};

/// `GET /api/users?limit=…&behind=…`: by name, from behind the given one.
#[utoipa::path(
    get,
    path = "/api/users",
    summary = "Accounts by name",
    params(("behind" = Option<String>, Query, description = "Those behind this name"), ("limit" = Option<u32>, Query, description = "1 to 200; 50 when missing")),
    responses((status = 200, description = "", body = PersonList)),
)]
pub(super) async fn list(
    State(app): State<App>,
    _: SignedInAdministrator,
    page: Result<Query<PersonPage>, QueryRejection>,
) -> Result<Answer<PersonList>, ApiError> {
    let Query(page) = page.map_err(|_| ApiError::field("limit", "must be a number"))?;
    let limit = page.limit.unwrap_or(50);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {MAX_LISTED}")));
    }
    let people = app.store.people(&page.behind.unwrap_or_default(), limit).await?;
    let default = app.accounts.tokens_per_month;
    let shown = |(person, used)| wire::Person::new(person, used, default);
    Ok(Answer(PersonList { users: people.into_iter().map(shown).collect() }))
}

/// `PATCH /api/users/{id}`
#[utoipa::path(
    patch,
    path = "/api/users/{id}",
    summary = "Changes an account",
    params(("id" = UserId, Path)),
    request_body = ChangePerson,
    responses((status = 200, description = "", body = PersonAnswer)),
)]
pub(super) async fn change(
    State(app): State<App>,
    SignedInAdministrator(by): SignedInAdministrator,
    from: Address,
    InPath(id): InPath<UserId>,
    Json(asked): Json<ChangePerson>,
) -> Result<Answer<PersonAnswer>, ApiError> {
    let ChangePerson { role, disabled, tokens_per_month, own_budget } = asked;
    let tokens_per_month = match (tokens_per_month.map(check_budget).transpose()?, own_budget) {
        (Some(tokens), _) => Some(Some(tokens)),
        (None, Some(false)) => Some(None),
        (None, _) => None,
    };
    let change = PersonChange { role: role.map(Into::into), disabled, tokens_per_month };
    let changed = app.store.change_person(id, change).await?;
    app.sessions.forget(id);
    let person = done(changed)?;
    if person.disabled {
        app.turn_out(id);
    }
    for (changed, action) in [
        (role.is_some(), Action::RoleChanged),
        (disabled.is_some(), Action::UserChanged),
        (tokens_per_month.is_some(), Action::LimitsChanged),
    ] {
        if changed {
            app.note(&by, action, &person.user.username, from).await;
        }
    }
    let (used, _) = app.store.tokens_of(id).await?;
    Ok(Answer(PersonAnswer { user: wire::Person::new(person, used, app.accounts.tokens_per_month) }))
}

/// `DELETE /api/users/{id}`
#[utoipa::path(
    delete,
    path = "/api/users/{id}",
    summary = "Deletes an account and all that is its own",
    params(("id" = UserId, Path)),
    responses((status = 204, description = "It is gone")),
)]
pub(super) async fn delete(
    State(app): State<App>,
    SignedInAdministrator(by): SignedInAdministrator,
    from: Address,
    InPath(id): InPath<UserId>,
) -> Result<StatusCode, ApiError> {
    let person = done(app.store.delete_person(id).await?)?;
    app.turn_out(id);
    app.note(&by, Action::UserDeleted, &person.user.username, from).await;
    Ok(StatusCode::NO_CONTENT)
}

fn done(changed: Changed) -> Result<Person, ApiError> {
    match changed {
        Changed::Now(person) => Ok(person),
        Changed::Unknown => Err(ApiError::NoSuchUser),
        Changed::LastAdministrator => Err(ApiError::LastAdministrator),
    }
}
