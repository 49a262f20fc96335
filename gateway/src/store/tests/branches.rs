//! Versions of questions and answers, and which of them are shown.

use super::*;
use crate::{id::MessageId, store::branches::Branch};

/// A question behind that number and its answer, with the numbers that they get.
async fn say(store: &Store, user: &User, id: ConversationId, after: i64, words: &str) -> (MessageId, TurnId) {
    let (place, turn) = (Place::In { id, after }, TurnId::generate());
    let accepted = store.accept(user.id, &place, turn, &text(words), &fresh()).await.unwrap().unwrap();
    store.finish(turn, &whole(&format!("{words}!"))).await.unwrap();
    (accepted.question.id, turn)
}

async fn before(store: &Store, user: &User, id: ConversationId, message: MessageId) -> Branch {
    store.branch(user.id, id, UpTo::Before(message)).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_edited_question_begins_another_branch_and_the_first_stays() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let id = store.create_conversation(user.id, Some(text("t")), None).await.unwrap().id;
    let (_, first) = say(&store, &user, id, 0, "a").await;
    let (old, _) = say(&store, &user, id, 2, "b").await;
    let (new, _) = say(&store, &user, id, 2, "c").await;
    let messages = shown(&store, &user, id).await;
    assert_eq!(texts(&messages), ["a", "a!", "c", "c!"]);
    assert_eq!(messages[2].position.versions, [old, new]);
    assert_eq!(messages[2].position.parent, Some(first));
    assert_eq!(messages[3].position.versions.len(), 1);
    store.show_branch(id, old).await.unwrap();
    assert_eq!(texts(&shown(&store, &user, id).await), ["a", "a!", "b", "b!"]);
    let branch = before(&store, &user, id, new).await;
    assert_eq!((texts(&branch.messages), branch.versions, branch.total), (vec!["a", "a!"], 2, 6));
    // What is said next is said in the branch that is shown.
    ask(&store, &user, behind(&store, &user, id).await).await;
    assert_eq!(texts(&shown(&store, &user, id).await), ["a", "a!", "b", "b!", "question"]);
    assert_eq!(store.message(user.id, id, new).await.unwrap().unwrap().position.versions, [old, new]);
}

#[tokio::test]
async fn another_answer_stands_beside_the_first() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (id, first) = ask(&store, &user, new_place()).await;
    store.finish(first, &whole("one")).await.unwrap();
    let question = before(&store, &user, id, first).await.messages.remove(0);
    let second = TurnId::generate();
    let accepted = store.accept_again(user.id, id, &question, second, &fresh()).await.unwrap().unwrap();
    assert_eq!(accepted.question, question);
    assert_eq!(texts(&shown(&store, &user, id).await), ["question"], "a running answer is not shown");
    let found = store.unfinished(9).await.unwrap().remove(0);
    assert_eq!(found.accepted.question, question, "and goes on behind its own question");
    let done = store.finish(second, &whole("two")).await.unwrap().unwrap();
    assert_eq!((done.position.parent, &done.position.versions), (Some(question.id), &vec![first, second]));
    assert_eq!(texts(&shown(&store, &user, id).await), ["question", "two"]);
    let other = user_b(&store).await;
    assert!(store.accept_again(other.id, id, &question, TurnId::generate(), &fresh()).await.unwrap().is_none());
    assert!(store.branch(other.id, id, UpTo::End).await.unwrap().is_none());
    assert!(store.conversation_of(other.id, first).await.unwrap().is_none());
    assert_eq!(store.conversation_of(user.id, first).await.unwrap(), Some(id));
}

#[tokio::test]
async fn what_the_release_before_writes_follows_what_was_there() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let id = store.create_conversation(user.id, Some(text("t")), None).await.unwrap().id;
    say(&store, &user, id, 0, "a").await;
    sqlx::query(
        "INSERT INTO messages (id, conversation_id, position, role, text, status, created_at)
         VALUES ('019ac000-0000-7000-8000-000000000003', ?, 3, 'user', 'q', 'complete', 1)",
    )
    .bind(id.to_string())
    .execute(&store.writer)
    .await
    .unwrap();
    assert_eq!(texts(&shown(&store, &user, id).await), ["a", "a!", "q"]);
}

async fn user_b(store: &Store) -> User {
    user(store, "b").await
}
