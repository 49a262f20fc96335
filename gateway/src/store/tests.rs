//! The store on a real file in a temporary folder.

mod branches;
mod membership;
mod portable;
mod progress;

use std::time::Duration;

use starling_protocol::{JobId, ModelId, message::Private};

use super::{
    branches::UpTo,
    conversations::Change,
    messages::{Answer, FinishReason, Message, Status},
    progress::Progress,
    turns::{Ending, Place},
    users::{Role, User},
    *,
};
use crate::{
    clock::Timestamp,
    id::{ConversationId, TurnId},
    secret::{Digest, Token},
};

/// A store whose file goes away with it.
pub(crate) async fn store() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("starling.db")).await.unwrap();
    (store, dir)
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
    Change { title: Some(text(title)), pinned: None }
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
async fn sessions_end() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (live, dead) = (Token::generate("").digest(), Token::generate("").digest());
    let now = Timestamp::now();
    store.create_session(&dead, user.id, now.before(Duration::from_secs(1))).await.unwrap();
    store.create_session(&live, user.id, now.after(Duration::from_secs(60))).await.unwrap();
    assert_eq!(store.session_user(&live).await.unwrap(), Some(user));
    assert_eq!(store.session_user(&dead).await.unwrap(), None);
    store.delete_session(&live).await.unwrap();
    assert_eq!(store.session_user(&live).await.unwrap(), None);
}

#[tokio::test]
async fn a_user_has_only_so_many_sessions_and_keys() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let later = Timestamp::now().after(Duration::from_secs(60));
    let first = Token::generate("").digest();
    store.create_session(&first, user.id, later).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    for _ in 0..64 {
        store.create_session(&Token::generate("").digest(), user.id, later).await.unwrap();
    }
    assert_eq!(store.session_user(&first).await.unwrap(), None, "the oldest made room");
    for _ in 0..keys::MAX_KEYS_PER_USER {
        assert!(store.create_key(user.id, "k", &Token::generate("").digest()).await.unwrap().is_some());
    }
    assert!(store.create_key(user.id, "k", &Token::generate("").digest()).await.unwrap().is_none());
}

#[tokio::test]
async fn keys_belong_to_their_user() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let secret = Token::generate("").digest();
    let key = store.create_key(a.id, "laptop", &secret).await.unwrap().unwrap();
    assert!(key.is_stale(Timestamp::now()));
    assert_eq!(store.key_user(&secret).await.unwrap(), Some((a.clone(), key.clone())));
    store.touch_key(key.id, Timestamp::now()).await.unwrap();
    assert!(!store.keys(a.id).await.unwrap()[0].is_stale(Timestamp::now()));
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
async fn a_lock_held_by_another_process_is_busy_not_broken() {
    let (store, dir) = store().await;
    let user = user(&store, "a").await;
    let mut other = sqlx::SqliteConnection::connect_with(&options(&dir.path().join("starling.db"))).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert!(matches!(store.create_conversation(user.id, Some(text("t")), None).await, Err(StoreError::Busy(_))));
    assert!(store.conversations(user.id, None, 1).await.is_ok(), "readers are not held up");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(store.create_conversation(user.id, Some(text("t")), None).await.is_ok());
}

#[tokio::test]
async fn a_full_disk_is_full_not_broken() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
    let long = text(&"x".repeat(1 << 20));
    assert!(matches!(
        store.accept(user.id, &new_place(), TurnId::generate(), &long, &fresh()).await,
        Err(StoreError::Full(_))
    ));
    assert!(store.conversations(user.id, None, 9).await.unwrap().is_empty(), "nothing of it was kept");
    sqlx::query("PRAGMA max_page_count = 100000").execute(&store.writer).await.unwrap();
    ask(&store, &user, new_place()).await;
}

#[tokio::test]
async fn a_transaction_that_sqlite_has_ended_by_itself_is_in_nobodys_way() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let mut write = store.write().await.unwrap();
    // As it does where the disk is full.
    sqlx::query("ROLLBACK").execute(&mut *write).await.unwrap();
    assert!(write.commit().await.is_err());
    ask(&store, &user, new_place()).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starling.db");
    std::fs::write(&path, "not a database, and long enough to be looked at as one".repeat(40)).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error}");
    assert!(error.hint().contains("--data"));
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (store, dir) = store().await;
    user(&store, "a").await;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn what_people_say_stays_out_of_debug_output() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let place = Place::New { id: ConversationId::generate(), title: text("a marked title") };
    let accepted = store.accept(user.id, &place, TurnId::generate(), &text("a marked text"), &fresh()).await.unwrap();
    assert!(!format!("{accepted:?} {place:?} {:?}", whole("a marked answer")).contains("marked"));
}
