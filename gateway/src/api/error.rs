//! Every way in which a request is not answered as asked: a status, a stable code, and words that say
//! what to do. The cause of a 500 is logged here and never sent.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use thiserror::Error;

use super::wire::{ErrorAnswer, ErrorBody};
use crate::{
    choice::NoModel,
    clock::Timestamp,
    dispatch::{DispatchError, whole_seconds},
    doors::Closed,
    limits::Taken,
    memory::SearchError,
    password::PasswordError,
    store::{
        StoreError, characters::MAX_CHARACTERS, invitations::MAX_INVITATIONS, invites::MAX_LIVE_INVITES,
        keys::MAX_KEYS_PER_USER, memories::MAX_FACTS,
    },
    turn::{self, TurnRefused},
};

/// Why a request was refused, or failed.
#[derive(Debug, Error)]
pub enum ApiError {
    #[error("sign in first")]
    NotSignedIn,
    #[error("the API key is not valid: make one in the web chat under API keys")]
    WrongKey,
    #[error("the user name or the password is wrong")]
    WrongCredentials,
    #[error("the set-up code is wrong: it is the last line with setup-code that the gateway has printed")]
    WrongCode,
    #[error("there is an administrator already: sign in")]
    AlreadySetUp,
    #[error("only an administrator may see this")]
    AdminOnly,
    #[error("this API key may not do this, for it lacks the scope {scope:?}: make one that has it")]
    MissingScope { scope: &'static str },
    #[error("a page of another site may not do this")]
    CrossOrigin,
    #[error("the body must be JSON, with content-type: application/json")]
    NotJson,
    #[error("this address speaks WebSocket only")]
    NotAWebSocket,
    #[error("the body is over the limit of {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body did not arrive in time, or broke off")]
    BodyBroken,
    #[error("the body is not JSON: {reason}")]
    BadJson { reason: String },
    #[error("{field}: {reason}")]
    BadField { field: String, reason: String },
    #[error("there is no such path; the API lies under /api and /v1")]
    NoSuchPath,
    #[error("this path does not take {0}")]
    WrongMethod(axum::http::Method),
    #[error("no account can be made here: ask whoever runs this gateway")]
    SignUpClosed,
    #[error("the invitation is wrong, has run out, or was used: ask an administrator for another one")]
    NotInvited,
    #[error("this name is taken: choose another one")]
    NameTaken,
    #[error("the password is wrong")]
    WrongPassword { field: &'static str },
    #[error("there is no such account")]
    NoSuchUser,
    #[error("this is the last administrator: make another one first")]
    LastAdministrator,
    #[error("there is no such invitation")]
    NoSuchInvitation,
    #[error("{MAX_INVITATIONS} invitations are as many as there may be: delete some first")]
    TooManyInvitations,
    #[error("there is no such session, or it has ended")]
    NoSuchSession,
    #[error("there is no such key")]
    NoSuchKey,
    #[error("{MAX_KEYS_PER_USER} keys are as many as one may have: delete one first")]
    TooManyKeys,
    #[error("there is no such character")]
    NoSuchCharacter,
    #[error("{MAX_CHARACTERS} characters are as many as one may have: delete one first")]
    TooManyCharacters,
    #[error("there is no such memory")]
    NoSuchMemory,
    #[error("{MAX_FACTS} facts are as many as one may have: delete one first")]
    TooManyFacts,
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error("there is no such invite")]
    NoSuchInvite,
    #[error("{MAX_LIVE_INVITES} invites are as many as may wait: revoke some first")]
    TooManyInvites,
    #[error("there is no such member")]
    NoSuchMember,
    #[error("this gateway does not hold the swarm's key: ask on the gateway that founded the swarm")]
    NotAuthority,
    #[error("a gateway cannot turn itself out")]
    Oneself,
    #[error("the gateway has no address yet to put in an invite")]
    NoAddress,
    #[error("too many tries: wait {} seconds", whole_seconds(*.0))]
    TooManyTries(Duration),
    #[error("too many requests: wait {} seconds", whole_seconds(.0.reset))]
    RateLimited(Taken),
    #[error("too many sockets are open: close some of the chat's windows")]
    TooManySockets,
    #[error("too many files are being downloaded: try again in a moment")]
    TooManyDownloads,
    #[error("too many exports are being written: try again in a minute")]
    TooManyExports,
    #[error("there is no such answer, or it was not resumable, or it is too late: ask anew")]
    NoSuchCompletion,
    #[error("the events behind that one are gone, or were never there: ask anew")]
    EventsGone,
    #[error("too many resumable answers are running or kept: wait until some are over, or ask without resuming")]
    TooManyResumable,
    #[error(transparent)]
    Turn(#[from] TurnRefused),
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("a handler panicked")]
    Panic,
}

/// A refusal, ready for either of the two forms that errors have.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub field: Option<String>,
}

impl ApiError {
    /// A field that is not what it must be.
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::BadField { field: field.into(), reason: reason.into() }
    }

    /// What is sent. The cause of a fault of ours is replaced by a plain sentence.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (status, code) = self.kind();
        let message = match (self, status) {
            (
                Self::Store(_) | Self::Turn(TurnRefused::Store(_)) | Self::Search(SearchError::Store(_)),
                StatusCode::SERVICE_UNAVAILABLE,
            ) => "the database is not available right now: try again in a moment".to_owned(),
            (_, StatusCode::INSUFFICIENT_STORAGE) => "the gateway's disk is full: tell its operator".to_owned(),
            (_, StatusCode::INTERNAL_SERVER_ERROR) => {
                "something went wrong in the gateway: its log says what".to_owned()
            }
            _ => self.to_string(),
        };
        Refusal { status, code, message, field: self.field_name() }
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotSignedIn => (StatusCode::UNAUTHORIZED, "not_signed_in"),
            Self::WrongKey => (StatusCode::UNAUTHORIZED, "invalid_api_key"),
            Self::WrongCredentials => (StatusCode::UNAUTHORIZED, "wrong_credentials"),
            Self::WrongCode => (StatusCode::FORBIDDEN, "wrong_code"),
            Self::AlreadySetUp => (StatusCode::CONFLICT, "already_set_up"),
            Self::AdminOnly => (StatusCode::FORBIDDEN, "admin_only"),
            Self::MissingScope { .. } => (StatusCode::FORBIDDEN, "missing_scope"),
            Self::CrossOrigin => (StatusCode::FORBIDDEN, "cross_origin"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
            Self::NotAWebSocket => (StatusCode::UPGRADE_REQUIRED, "not_a_websocket"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyBroken => (StatusCode::REQUEST_TIMEOUT, "body_broken"),
            Self::BadJson { .. } => (StatusCode::BAD_REQUEST, "invalid_json"),
            Self::BadField { .. } => (StatusCode::BAD_REQUEST, "invalid_field"),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "no_such_path"),
            Self::WrongMethod(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::SignUpClosed => (StatusCode::FORBIDDEN, "sign_up_closed"),
            Self::NotInvited => (StatusCode::FORBIDDEN, "not_invited"),
            Self::NameTaken => (StatusCode::CONFLICT, "name_taken"),
            Self::WrongPassword { .. } => (StatusCode::FORBIDDEN, "wrong_password"),
            Self::NoSuchUser => (StatusCode::NOT_FOUND, "no_such_user"),
            Self::LastAdministrator => (StatusCode::CONFLICT, "last_administrator"),
            Self::NoSuchInvitation => (StatusCode::NOT_FOUND, "no_such_invitation"),
            Self::TooManyInvitations => (StatusCode::CONFLICT, "too_many_invitations"),
            Self::NoSuchSession => (StatusCode::NOT_FOUND, "no_such_session"),
            Self::NoSuchKey => (StatusCode::NOT_FOUND, "no_such_key"),
            Self::TooManyKeys => (StatusCode::CONFLICT, "too_many_keys"),
            Self::NoSuchCharacter => (StatusCode::NOT_FOUND, "no_such_character"),
            Self::TooManyCharacters => (StatusCode::CONFLICT, "too_many_characters"),
            Self::NoSuchMemory => (StatusCode::NOT_FOUND, "no_such_memory"),
            Self::TooManyFacts => (StatusCode::CONFLICT, "too_many_facts"),
            Self::Search(error) => of_search(error),
            Self::NoSuchInvite => (StatusCode::NOT_FOUND, "no_such_invite"),
            Self::TooManyInvites => (StatusCode::CONFLICT, "too_many_invites"),
            Self::NoSuchMember => (StatusCode::NOT_FOUND, "no_such_member"),
            Self::NotAuthority => (StatusCode::CONFLICT, "not_authority"),
            Self::Oneself => (StatusCode::CONFLICT, "oneself"),
            Self::NoAddress => (StatusCode::SERVICE_UNAVAILABLE, "no_address"),
            Self::TooManyTries(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_tries"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Self::TooManyDownloads => (StatusCode::TOO_MANY_REQUESTS, "too_many_downloads"),
            Self::TooManySockets => (StatusCode::TOO_MANY_REQUESTS, "too_many_sockets"),
            Self::TooManyExports => (StatusCode::TOO_MANY_REQUESTS, "too_many_exports"),
            Self::NoSuchCompletion => (StatusCode::NOT_FOUND, "no_such_completion"),
            Self::EventsGone => (StatusCode::GONE, "events_gone"),
            Self::TooManyResumable => (StatusCode::TOO_MANY_REQUESTS, "too_many_resumable"),
            Self::Turn(refused) => of_turn(refused),
            Self::Dispatch(error) => (of_dispatch(error), turn::code(error)),
            Self::Store(error) => of_store(error),
            Self::Password(PasswordError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Password(PasswordError::Broken(_)) | Self::Panic => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn field_name(&self) -> Option<String> {
        match self {
            Self::BadField { field, .. } | Self::Dispatch(DispatchError::Invalid { field, .. }) => Some(field.clone()),
            Self::NotInvited => Some("invitation".to_owned()),
            Self::NameTaken => Some("username".to_owned()),
            Self::WrongPassword { field } => Some((*field).to_owned()),
            Self::Turn(TurnRefused::Empty) => Some("text".to_owned()),
            Self::Turn(TurnRefused::NoModel(NoModel::Unknown { .. } | NoModel::OtherKind { .. })) => {
                Some("model".to_owned())
            }
            Self::Turn(TurnRefused::PromptTooLong { .. }) | Self::Dispatch(DispatchError::PromptTooLong { .. }) => {
                Some("messages".to_owned())
            }
            _ => None,
        }
    }

    /// When to come again; with every 503, 507 and 429.
    fn retry_after(&self, status: StatusCode) -> Option<u64> {
        match (self, status) {
            (Self::TooManyTries(wait), _) => Some(whole_seconds(*wait)),
            (Self::RateLimited(taken), _) => Some(whole_seconds(taken.reset)),
            (
                Self::Store(StoreError::Exhausted(exhausted))
                | Self::Turn(TurnRefused::Store(StoreError::Exhausted(exhausted))),
                _,
            ) => u64::try_from(exhausted.until.seconds() - Timestamp::now().seconds()).ok(),
            (Self::Dispatch(DispatchError::AllBusy { retry_after }), _) => Some(whole_seconds(*retry_after)),
            (
                Self::Dispatch(DispatchError::NoNode) | Self::Turn(TurnRefused::NoModel(_)),
                StatusCode::SERVICE_UNAVAILABLE,
            ) => Some(5),
            (_, StatusCode::INSUFFICIENT_STORAGE) => Some(60),
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => Some(2),
            _ => None,
        }
    }

    fn log(&self, refusal: &Refusal) {
        match refusal.status {
            StatusCode::INTERNAL_SERVER_ERROR => tracing::error!(cause = ?self, "a request failed"),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => {
                tracing::warn!(cause = %self, code = refusal.code, "a request was put off");
            }
            _ => tracing::debug!(code = refusal.code, "a request was refused"),
        }
    }
}

impl Refusal {
    /// As it stands in JSON under `/api`.
    #[must_use]
    pub fn body(self) -> ErrorBody {
        ErrorBody { code: self.code.to_owned(), message: self.message, field: self.field }
    }
}

/// The response carries its [`Refusal`] along, so that `/v1` can give it OpenAI's form.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refusal = self.refusal();
        self.log(&refusal);
        let error = refusal.clone().body();
        let mut response = (refusal.status, Json(ErrorAnswer { error })).into_response();
        if let Some(seconds) = self.retry_after(refusal.status) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(refusal);
        response
    }
}

impl From<NoModel> for ApiError {
    fn from(error: NoModel) -> Self {
        Self::Turn(TurnRefused::NoModel(error))
    }
}

impl From<Closed> for ApiError {
    fn from(Closed(wait): Closed) -> Self {
        Self::TooManyTries(wait)
    }
}

impl From<Infallible> for ApiError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn of_turn(refused: &TurnRefused) -> (StatusCode, &'static str) {
    match refused {
        TurnRefused::NoSuchConversation => (StatusCode::NOT_FOUND, "no_such_conversation"),
        TurnRefused::NoSuchMessage => (StatusCode::NOT_FOUND, "no_such_message"),
        TurnRefused::TooManyVersions => (StatusCode::CONFLICT, "too_many_versions"),
        TurnRefused::ConversationFull => (StatusCode::CONFLICT, "conversation_full"),
        TurnRefused::TurnRunning => (StatusCode::CONFLICT, "turn_running"),
        TurnRefused::TooManyTurns => (StatusCode::TOO_MANY_REQUESTS, "too_many_turns"),
        TurnRefused::Full => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        TurnRefused::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        TurnRefused::NoModel(NoModel::NoNode | NoModel::NoChat | NoModel::Paused | NoModel::Away { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "no_node")
        }
        TurnRefused::NoModel(NoModel::Unknown { .. }) => (StatusCode::NOT_FOUND, "model_not_found"),
        TurnRefused::NoModel(NoModel::OtherKind { .. }) => (StatusCode::BAD_REQUEST, "wrong_model_kind"),
        TurnRefused::NoModel(NoModel::Gone { .. }) => (StatusCode::SERVICE_UNAVAILABLE, "model_not_here"),
        TurnRefused::NothingToGoOnFrom => (StatusCode::CONFLICT, "cannot_go_on"),
        TurnRefused::Empty => (StatusCode::BAD_REQUEST, "invalid_field"),
        TurnRefused::PromptTooLong { .. } => (StatusCode::BAD_REQUEST, "prompt_too_long"),
        TurnRefused::Store(error) => of_store(error),
    }
}

fn of_dispatch(error: &DispatchError) -> StatusCode {
    match error {
        DispatchError::AccountClosed => StatusCode::UNAUTHORIZED,
        DispatchError::NoNode
        | DispatchError::AllBusy { .. }
        | DispatchError::NotLoaded(_)
        | DispatchError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        DispatchError::Invalid { .. } | DispatchError::PromptTooLong { .. } => StatusCode::BAD_REQUEST,
        // No 5xx: clients repeat those by themselves.
        DispatchError::RequestCrashesEngines => StatusCode::UNPROCESSABLE_ENTITY,
        DispatchError::NodeFailed(_) | DispatchError::NodeLost => StatusCode::BAD_GATEWAY,
    }
}

fn of_search(error: &SearchError) -> (StatusCode, &'static str) {
    match error {
        SearchError::NoModel => (StatusCode::SERVICE_UNAVAILABLE, "no_embedding_node"),
        SearchError::Late => (StatusCode::SERVICE_UNAVAILABLE, "search_too_slow"),
        SearchError::Dispatch(error) => (of_dispatch(error), turn::code(error)),
        SearchError::Store(error) => of_store(error),
    }
}

fn of_store(error: &StoreError) -> (StatusCode, &'static str) {
    match error {
        StoreError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "database_busy"),
        StoreError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "database_unavailable"),
        StoreError::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
        StoreError::Conflict => (StatusCode::CONFLICT, "already_there"),
        StoreError::Exhausted(_) => (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota"),
        StoreError::Broken(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}
