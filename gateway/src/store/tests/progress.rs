//! Answers that are kept while they grow.

use starling_protocol::message::Reasoning;

use super::{super::messages::TurnError, *};
use crate::store::progress::{Node, Unfinished};

fn cut(text: &str, progress: Progress) -> Ending {
    Ending { status: Status::Partial, progress: Some(progress), ..whole(text) }
}

fn interrupted() -> TurnError {
    TurnError { code: "interrupted".into(), message: "m".into() }
}

/// Some of an answer.
fn grown(tokens: u32) -> Progress {
    let nodes = vec![Node { name: "attic \"2\"\n".into(), peer: "p".into(), device: "CPU".into() }];
    let mut progress =
        Progress { attempts: 2, reasoning: Reasoning::Open, nodes, first_token_ms: Some(1.5), ..fresh() };
    let ids: Vec<u32> = (0..tokens).map(|token| u32::MAX - token).collect();
    assert!(progress.grow(&ids, &"ß".repeat(tokens as usize)));
    progress
}

async fn found(store: &Store) -> Vec<Unfinished> {
    store.unfinished(10).await.unwrap()
}

#[tokio::test]
async fn a_running_answer_is_found_again_as_it_was_kept() {
    let (store, dir) = store().await;
    let user = user(&store, "a").await;
    let (conversation, turn) = ask(&store, &user, new_place()).await;
    let question = found(&store).await.remove(0);
    assert_eq!((question.progress.tokens.len(), question.progress.seed), (0, Some(u64::MAX)), "from the question on");
    let progress = Progress { job: question.progress.job, ..grown(300) };
    store.keep(&[(turn, progress.clone())]).await.unwrap();
    store.close().await;

    let store = open(&dir).await;
    let unfinished = found(&store).await.remove(0);
    assert_eq!((unfinished.turn, unfinished.user), (turn, user.id));
    assert_eq!(unfinished.accepted.conversation.id, conversation);
    assert_eq!(unfinished.accepted.question.text, text("question"));
    assert_eq!(unfinished.progress, progress);
    assert_eq!(store.interrupt_running(&[unfinished], &interrupted()).await.unwrap(), 0);
}

#[tokio::test]
async fn what_nobody_can_go_on_with_is_marked() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (conversation, old) = ask(&store, &user, new_place()).await;
    // As an earlier release left it.
    sqlx::query("DELETE FROM progress").execute(&store.writer).await.unwrap();
    let (_, damaged) = ask(&store, &user, new_place()).await;
    sqlx::query("UPDATE progress SET nodes = 'nonsense'").execute(&store.writer).await.unwrap();
    let (_, good) = ask(&store, &user, new_place()).await;
    let unfinished = found(&store).await;
    assert_eq!(unfinished.iter().map(|one| one.turn).collect::<Vec<_>>(), [good]);
    assert_eq!(store.interrupt_running(&unfinished, &interrupted()).await.unwrap(), 2);
    let message = store.message(user.id, conversation, old).await.unwrap().unwrap();
    assert_eq!((message.status, message.error), (Status::Partial, Some(interrupted())));
    assert!(!message.resumable && store.resumable(user.id, damaged).await.unwrap().is_none());
}

#[tokio::test]
async fn a_late_write_changes_nothing() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (_, turn) = ask(&store, &user, new_place()).await;
    store.keep(&[(turn, grown(9))]).await.unwrap();
    store.keep(&[(turn, grown(8))]).await.unwrap();
    assert_eq!(found(&store).await[0].progress.tokens.len(), 9, "never less");
    let ended = store.finish(turn, &cut("ßß", grown(10))).await.unwrap().unwrap();
    assert!(ended.resumable);
    store.keep(&[(turn, grown(11))]).await.unwrap();
    assert_eq!(store.resumable(user.id, turn).await.unwrap().unwrap().progress.tokens.len(), 10);
    assert!(found(&store).await.is_empty(), "and it does not run");
}

#[tokio::test]
async fn an_answer_runs_again_once_and_ends_whole() {
    let (store, _dir) = store().await;
    let (user, other) = (user(&store, "a").await, user(&store, "b").await);
    let (conversation, turn) = ask(&store, &user, new_place()).await;
    assert!(store.resumable(user.id, turn).await.unwrap().is_none(), "it runs");
    store.finish(turn, &cut("half", grown(2))).await.unwrap();
    assert!(store.resumable(other.id, turn).await.unwrap().is_none(), "it is another's");
    let unfinished = store.resumable(user.id, turn).await.unwrap().unwrap();
    assert!(store.reopen(&unfinished).await.unwrap());
    assert!(!store.reopen(&unfinished).await.unwrap(), "twice is once");
    assert_eq!(texts(&shown(&store, &user, conversation).await), ["question"]);
    assert_eq!(found(&store).await[0].progress.tokens.len(), 2, "a restart now would find it");
    let message = store.finish(turn, &whole("half and half")).await.unwrap().unwrap();
    assert_eq!((message.status, message.error, message.resumable), (Status::Complete, None, false));
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM progress").fetch_one(&store.readers).await.unwrap();
    assert_eq!(left, 0, "what is whole needs none");
}

#[tokio::test]
async fn nothing_is_added_to_an_answer_that_something_follows() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (conversation, turn) = ask(&store, &user, new_place()).await;
    store.finish(turn, &cut("half", grown(2))).await.unwrap();
    let unfinished = store.resumable(user.id, turn).await.unwrap().unwrap();
    let (_, next) = ask(&store, &user, behind(&store, &user, conversation).await).await;
    assert!(store.resumable(user.id, turn).await.unwrap().is_none());
    assert!(!store.reopen(&unfinished).await.unwrap());
    assert_eq!(found(&store).await.iter().map(|one| one.turn).collect::<Vec<_>>(), [next]);
}

#[tokio::test]
async fn who_gave_an_answer_is_told_when_it_was_more_than_one() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    for nodes in [vec!["n".to_owned()], vec!["attic, \"2\"".to_owned(), "n".to_owned()]] {
        let (_, turn) = ask(&store, &user, new_place()).await;
        let mut ending = whole("answer");
        ending.answer.as_mut().unwrap().nodes.clone_from(&nodes);
        let message = store.finish(turn, &ending).await.unwrap().unwrap();
        assert_eq!(message.answer.unwrap().nodes, nodes);
    }
}

#[tokio::test]
async fn a_database_of_the_release_before_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let database = database(&dir).await;
    if let Some(file) = database.file() {
        database::create(file).unwrap();
    }
    let writer = database.writers().await.unwrap();
    let all = if writer.dialect() == Dialect::Sqlite { &SQLITE } else { &MYSQL };
    let mut old = writer.plain().await.unwrap();
    for migration in all.iter().filter(|migration| migration.version <= 3) {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut *old).await.unwrap();
    }
    sqlx::raw_sql(
        "INSERT INTO users VALUES ('019ac000-0000-7000-8000-000000000001', 'a', 'hash', 'user', 1);
         INSERT INTO conversations VALUES
             ('019ac000-0000-7000-8000-000000000002', '019ac000-0000-7000-8000-000000000001', 't', 1, 1);
         INSERT INTO messages (id, conversation_id, position, role, text, status, created_at) VALUES
             ('019ac000-0000-7000-8000-000000000003', '019ac000-0000-7000-8000-000000000002', 1, 'user', 'q', 'complete', 1),
             ('019ac000-0000-7000-8000-000000000004', '019ac000-0000-7000-8000-000000000002', 2, 'assistant', '', 'running', 1);",
    )
    .execute(&mut *old)
    .await
    .unwrap();
    for migration in all.iter().filter(|migration| migration.version > 3) {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut *old).await.unwrap();
    }
    drop(old);
    let keyring = Arc::new(Keyring::new(&sealing()));
    let store = Store {
        writer,
        readers: database.readers().await.unwrap(),
        owner: Arc::default(),
        keyring,
        tokens_per_month: 0,
    };
    store.check_master().await.unwrap();
    assert!(found(&store).await.is_empty());
    assert_eq!(store.interrupt_running(&[], &interrupted()).await.unwrap(), 1);
    let user = "019ac000-0000-7000-8000-000000000001".parse().unwrap();
    let conversation = "019ac000-0000-7000-8000-000000000002".parse().unwrap();
    let messages = store.branch(user, conversation, UpTo::End).await.unwrap().unwrap().messages;
    assert_eq!((messages[1].error.clone(), messages[1].resumable), (Some(interrupted()), false));
}
