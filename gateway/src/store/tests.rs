//! The store on a real database: a SQLite file in a temporary folder, or, where `STARLING_TEST_DATABASE` names a server
//! (`mysql://root@127.0.0.1:3306`), a database of its own there for each test. `cargo xtask test` runs all of them both
//! ways. What can only be seen on a server is `#[ignore]`d by that name, and run where there is one.

mod branches;
mod export;
mod membership;
mod memories;
mod owners;
mod portable;
mod progress;
mod sealed;
mod sessions;
mod sqlite;
mod tokens;

use std::{sync::LazyLock, time::Duration};

use sqlx::Connection;
use starling_protocol::{JobId, ModelId, message::Private};

use super::{
    branches::UpTo,
    conversations::Change,
    keys::NewKey,
    messages::{Answer, FinishReason, Message, Status, TurnError},
    progress::Progress,
    turns::{Ending, Place},
    users::{Role, User},
    *,
};
use crate::{
    clock::Timestamp,
    id::{ConversationId, TurnId},
    master::MasterKey,
    secret::{Digest, Token},
};

/// A store with nothing in it; a file goes away with the folder.
pub(crate) async fn store() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    (store, dir)
}

/// The folder's database, with the master key of all tests.
pub(crate) async fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(&database(dir).await, &sealing()).await.unwrap()
}

pub(crate) fn sealing() -> Sealing {
    static MASTER: LazyLock<MasterKey> = LazyLock::new(MasterKey::generate);
    Sealing::with(MASTER.clone())
}

/// The folder's database, a new one at the first call.
pub(crate) async fn database(dir: &tempfile::TempDir) -> Database {
    let Ok(server) = std::env::var("STARLING_TEST_DATABASE") else {
        return Database::Sqlite(dir.path().join("starling.db"));
    };
    let note = dir.path().join("database");
    let name = std::fs::read_to_string(&note).unwrap_or_else(|_| format!("t{}", uuid::Uuid::new_v4().simple()));
    if !note.exists() {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&server).await.unwrap();
        let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        std::fs::write(note, &name).unwrap();
    }
    Database::MySql(format!("{server}/{name}").parse().unwrap())
}

async fn user(store: &Store, name: &str) -> User {
    store.create_user(name, "hash", Role::User).await.unwrap()
}

fn text(text: &str) -> Private {
    Private(text.to_owned())
}

fn whole(text: &str) -> Ending {
    let answer = Answer {
        node_name: "n".into(),
        node_peer: "p".into(),
        nodes: vec!["n".into()],
        device: "CPU".into(),
        model: "m".into(),
        finish_reason: FinishReason::Stop,
        prompt_tokens: 3,
        completion_tokens: 2,
        first_token_ms: Some(1.5),
        tokens_per_second: None,
    };
    Ending { text: Private(text.into()), status: Status::Complete, error: None, answer: Some(answer), progress: None }
}

async fn ask(store: &Store, user: &User, place: Place) -> (ConversationId, TurnId) {
    let turn = TurnId::generate();
    let accepted = store.accept(user.id, &place, turn, &text("question"), &fresh()).await.unwrap().unwrap();
    (accepted.conversation.id, turn)
}

/// Of an answer that nobody has begun.
pub(crate) fn fresh() -> Progress {
    Progress::new(JobId::generate(), ModelId::new([7; 32]), "m".to_owned(), Some(u64::MAX))
}

fn new_place() -> Place {
    Place::New { id: ConversationId::generate(), title: text("title") }
}

fn named(title: &str) -> Change {
    Change { title: Some(text(title)), ..Change::default() }
}

/// What is shown of a conversation.
async fn shown(store: &Store, user: &User, id: ConversationId) -> Vec<Message> {
    store.branch(user.id, id, UpTo::End).await.unwrap().map_or_else(Vec::new, |branch| branch.messages)
}

/// Behind all that is shown of it.
async fn behind(store: &Store, user: &User, id: ConversationId) -> Place {
    Place::In { id, after: shown(store, user, id).await.last().map_or(0, |last| last.position.number) }
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.0.as_str()).collect()
}

#[tokio::test]
async fn only_one_first_user_is_made() {
    let (store, _dir) = store().await;
    assert!(store.has_no_users().await.unwrap());
    let (a, b) = tokio::join!(store.create_first_user("a", "hash"), store.create_first_user("b", "hash"));
    let made: Vec<_> = [a.unwrap(), b.unwrap()].into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].role, Role::Admin);
    assert!(!store.has_no_users().await.unwrap());
    let (found, hash) = store.credentials(&made[0].username).await.unwrap().unwrap();
    assert_eq!((found, hash.as_str()), (made[0].clone(), "hash"));
    assert!(matches!(store.create_user(&made[0].username, "x", Role::User).await, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn a_user_has_only_so_many_keys() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    for _ in 0..keys::MAX_KEYS_PER_USER {
        assert!(store.create_key(user.id, &NewKey::open("k"), &Token::generate("").digest()).await.unwrap().is_some());
    }
    assert!(store.create_key(user.id, &NewKey::open("k"), &Token::generate("").digest()).await.unwrap().is_none());
}

#[tokio::test]
async fn keys_belong_to_their_user() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let secret = Token::generate("").digest();
    let key = store.create_key(a.id, &NewKey::open("laptop"), &secret).await.unwrap().unwrap();
    assert!(key.is_stale(Timestamp::now()));
    assert_eq!(
        store.key_user(&secret).await.unwrap(),
        Some(keys::Held { user: a.clone(), key: key.clone(), users_tokens: None })
    );
    store.touch_key(key.id, Timestamp::now()).await.unwrap();
    assert!(!store.keys(a.id).await.unwrap()[0].0.is_stale(Timestamp::now()));
    assert_eq!(store.keys(b.id).await.unwrap(), []);
    assert!(!store.delete_key(b.id, key.id).await.unwrap());
    assert!(store.delete_key(a.id, key.id).await.unwrap());
    assert_eq!(store.key_user(&secret).await.unwrap(), None);
}

#[tokio::test]
async fn a_turn_is_a_question_and_then_an_answer() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (conversation, turn) = ask(&store, &user, new_place()).await;
    assert_eq!(texts(&shown(&store, &user, conversation).await), ["question"], "a running answer is not shown");
    let message = store.finish(turn, &whole("answer")).await.unwrap().unwrap();
    assert_eq!(message.answer, whole("").answer);
    assert_eq!(texts(&shown(&store, &user, conversation).await), ["question", "answer"]);
    assert!(store.finish(turn, &whole("again")).await.unwrap().is_none(), "a turn ends once");
    ask(&store, &user, behind(&store, &user, conversation).await).await;
    assert_eq!(texts(&shown(&store, &user, conversation).await), ["question", "answer", "question"]);
}

#[tokio::test]
async fn anothers_conversation_is_not_there() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let (id, turn) = ask(&store, &a, new_place()).await;
    assert_eq!(store.conversation(b.id, id).await.unwrap(), None);
    assert_eq!(store.change_conversation(b.id, id, &named("x")).await.unwrap(), None);
    assert_eq!(store.message(b.id, id, turn).await.unwrap(), None);
    assert!(!store.delete_conversation(b.id, id).await.unwrap());
    assert!(
        store
            .accept(b.id, &Place::In { id, after: 0 }, TurnId::generate(), &text("x"), &fresh())
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(store.change_conversation(a.id, id, &named("x")).await.unwrap().unwrap().title, text("x"));
    assert!(store.delete_conversation(a.id, id).await.unwrap());
    assert!(shown(&store, &a, id).await.is_empty());
    assert!(store.finish(turn, &whole("late")).await.unwrap().is_none());
}

#[tokio::test]
async fn conversations_come_in_pages_newest_first() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(store.create_conversation(a.id, Some(text("t")), None).await.unwrap().id);
    }
    made.reverse();
    let first = store.conversations(a.id, None, 3).await.unwrap();
    let rest = store.conversations(a.id, Some(first[2].id), 3).await.unwrap();
    let ids: Vec<_> = first.iter().chain(&rest).map(|conversation| conversation.id).collect();
    assert_eq!(ids, made);
    assert!(store.conversations(b.id, None, 3).await.unwrap().is_empty());
    assert!(store.conversations(b.id, Some(made[0]), 3).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(2)).await;
    ask(&store, &a, behind(&store, &a, made[4]).await).await;
    assert_eq!(store.conversations(a.id, None, 1).await.unwrap()[0].id, made[4], "the last used comes first");
}

#[tokio::test]
async fn what_people_say_stays_out_of_debug_output() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let place = Place::New { id: ConversationId::generate(), title: text("a marked title") };
    let accepted = store.accept(user.id, &place, TurnId::generate(), &text("a marked text"), &fresh()).await.unwrap();
    assert!(!format!("{accepted:?} {place:?} {:?}", whole("a marked answer")).contains("marked"));
}
