//! What is remembered: the worker's queue, whose it is, and what goes with what.

use starling_index::Vector;

use super::*;
use crate::{
    id::MemoryId,
    store::memories::{Kind, recalled::Recalled, work::Unread},
};

const MODEL: ModelId = ModelId::new([5; 32]);
const OTHER: ModelId = ModelId::new([9; 32]);

fn axis(at: usize) -> Vector {
    let mut values = [0.0; 8];
    values[at % 8] = 1.0;
    Vector::new(&values).unwrap()
}

async fn fact(store: &Store, user: &User, words: &str) -> MemoryId {
    store.add_fact(user.id, &text(words)).await.unwrap().unwrap().id
}

/// A whole turn, of which nothing is cut yet.
async fn talk(store: &Store, user: &User) -> (ConversationId, TurnId) {
    let (conversation, turn) = ask(store, user, new_place()).await;
    store.finish(turn, &whole("answer")).await.unwrap();
    (conversation, turn)
}

async fn cut(store: &Store, most: i64) {
    for said in store.said_and_uncut(100).await.unwrap() {
        let passages = if said.counts { vec![said.text.0.clone()] } else { vec![] };
        store.keep_passages(&said, &passages, most).await.unwrap();
    }
}

async fn due(store: &Store, model: ModelId) -> Vec<String> {
    store.to_embed(model, 100).await.unwrap().into_iter().map(|unread| unread.text.0).collect()
}

async fn embed(store: &Store, model: ModelId) {
    loop {
        let unread = store.to_embed(model, 3).await.unwrap();
        if unread.is_empty() {
            return;
        }
        let made: Vec<(Unread, Option<Vector>)> = unread.into_iter().map(|unread| (unread, Some(axis(1)))).collect();
        store.keep_vectors(model, &made).await.unwrap();
    }
}

async fn remembered(store: &Store, user: &User) -> Vec<String> {
    let all = store.memories(user.id, None, None, 100).await.unwrap();
    all.into_iter().map(|memory| memory.text.0).collect()
}

#[tokio::test]
async fn what_has_no_vector_of_the_present_model_is_due_and_facts_go_first() {
    let (store, dir) = store().await;
    let user = user(&store, "a").await;
    talk(&store, &user).await;
    cut(&store, 100).await;
    fact(&store, &user, "fact").await;
    assert_eq!(due(&store, MODEL).await, ["fact", "answer", "question"]);
    store.close().await;
    let store = open(&dir).await;
    assert_eq!(due(&store, MODEL).await.len(), 3, "a restart loses nothing");
    embed(&store, MODEL).await;
    assert!(due(&store, MODEL).await.is_empty());
    assert_eq!(store.model_of_most_vectors().await.unwrap(), Some(MODEL));
    for model in [OTHER, ModelId::new([1; 32])] {
        assert_eq!(due(&store, model).await.len(), 3, "whatever was read by another model is due anew");
        assert!(store.vectors_behind(user.id, model, 0, 100).await.unwrap().is_empty(), "and not found until then");
    }
    embed(&store, OTHER).await;
    assert_eq!(store.vectors_behind(user.id, OTHER, 0, 100).await.unwrap().len(), 3);
    assert!(store.vectors_behind(user.id, MODEL, 0, 100).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_has_read_up_to_a_place_reads_on_behind_it() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    for number in 0..5 {
        fact(&store, &a, &format!("{number}")).await;
    }
    fact(&store, &b, "b's").await;
    embed(&store, MODEL).await;
    let (mut seen, mut place) = (vec![], 0);
    loop {
        let page = store.vectors_behind(a.id, MODEL, place, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        place = last.place;
        seen.extend(page.iter().map(|placed| placed.id));
    }
    assert_eq!(seen.len(), 5, "and nothing of another's");
    let changed = store.change_memory(a.id, seen[0], &text("changed")).await.unwrap().unwrap();
    assert_eq!(changed.text, text("changed"));
    embed(&store, MODEL).await;
    let again = store.vectors_behind(a.id, MODEL, place, 10).await.unwrap();
    assert_eq!(again.iter().map(|placed| placed.id).collect::<Vec<_>>(), [seen[0]]);
}

#[tokio::test]
async fn a_vector_of_words_that_were_changed_meanwhile_is_not_kept() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let id = fact(&store, &user, "before").await;
    let unread = store.to_embed(MODEL, 10).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    store.change_memory(user.id, id, &text("after")).await.unwrap();
    let made: Vec<_> = unread.into_iter().map(|unread| (unread, Some(axis(0)))).collect();
    store.keep_vectors(MODEL, &made).await.unwrap();
    assert_eq!(due(&store, MODEL).await, ["after"]);
}

#[tokio::test]
async fn a_text_that_a_model_cannot_read_waits_for_another_model() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    fact(&store, &user, "unreadable").await;
    let unread = store.to_embed(MODEL, 10).await.unwrap().remove(0);
    store.keep_vectors(MODEL, &[(unread, None)]).await.unwrap();
    assert!(due(&store, MODEL).await.is_empty());
    assert!(store.vectors_behind(user.id, MODEL, 0, 10).await.unwrap().is_empty());
    assert_eq!(due(&store, OTHER).await, ["unreadable"]);
}

#[tokio::test]
async fn the_oldest_passages_make_room_and_facts_do_not() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    fact(&store, &user, "fact").await;
    for _ in 0..4 {
        talk(&store, &user).await;
        cut(&store, 3).await;
    }
    assert_eq!(remembered(&store, &user).await, ["question", "answer", "question", "fact"]);
}

#[tokio::test]
async fn what_was_said_goes_with_its_conversation_and_everything_with_its_account() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (conversation, _) = talk(&store, &user).await;
    cut(&store, 100).await;
    fact(&store, &user, "fact").await;
    embed(&store, MODEL).await;
    assert!(store.delete_conversation(user.id, conversation).await.unwrap());
    assert_eq!(remembered(&store, &user).await, ["fact"]);
    sqlx::query("DELETE FROM users").execute(&store.writer).await.unwrap();
    for table in ["memories", "memory_settings", "recalled"] {
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")));
        let count: i64 = count.fetch_one(&store.readers).await.unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

#[tokio::test]
async fn nothing_is_embedded_while_memory_is_off() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    fact(&store, &a, "a's").await;
    fact(&store, &b, "b's").await;
    assert!(store.remembers(a.id).await.unwrap(), "it is on unless it is switched off");
    store.set_remembers(a.id, false).await.unwrap();
    assert_eq!(due(&store, MODEL).await, ["b's"]);
    assert_eq!(remembered(&store, &a).await, ["a's"], "what is there stays");
    store.set_remembers(a.id, true).await.unwrap();
    assert_eq!(due(&store, MODEL).await.len(), 2);
}

#[tokio::test]
async fn an_answer_that_goes_on_is_cut_anew() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (_, turn) = ask(&store, &user, new_place()).await;
    let half = Ending { status: Status::Partial, progress: Some(fresh()), ..whole("half") };
    store.finish(turn, &half).await.unwrap();
    cut(&store, 100).await;
    assert_eq!(remembered(&store, &user).await, ["question", "half"]);
    let unfinished = store.resumable(user.id, turn).await.unwrap().unwrap();
    assert!(store.reopen(&unfinished).await.unwrap());
    assert!(store.said_and_uncut(10).await.unwrap().is_empty(), "it runs");
    store.finish(turn, &whole("half and more")).await.unwrap();
    cut(&store, 100).await;
    assert_eq!(remembered(&store, &user).await, ["half and more", "question"]);
}

#[tokio::test]
async fn an_answer_keeps_what_it_was_given_with_until_that_is_deleted() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (first, second) = (fact(&store, &user, "first").await, fact(&store, &user, "second").await);
    let recalled = |memory, words: &str| Recalled { memory, text: text(words), similarity: 0.5 };
    // The third was deleted just before.
    let all = vec![recalled(second, "second"), recalled(first, "first"), recalled(MemoryId::generate(), "gone")];
    let (turn, place) = (TurnId::generate(), new_place());
    let progress = Progress { recalled: all.clone(), ..fresh() };
    store.accept(user.id, &place, turn, &text("q"), &progress).await.unwrap().unwrap();
    let unfinished = store.unfinished(1).await.unwrap().remove(0);
    assert_eq!(unfinished.progress.recalled, all[..2]);
    store.change_memory(user.id, first, &text("other words")).await.unwrap();
    let message = store.finish(turn, &whole("answer")).await.unwrap().unwrap();
    assert_eq!(message.recalled, all[..2], "in the words of that time");
    assert!(store.delete_memory(user.id, second).await.unwrap());
    assert_eq!(shown(&store, &user, place.id()).await[1].recalled, all[1..2]);
    assert_eq!(store.message(user.id, place.id(), turn).await.unwrap().unwrap().recalled, all[1..2]);
}

#[tokio::test]
async fn anothers_memories_are_not_there() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let id = fact(&store, &a, "a's").await;
    embed(&store, MODEL).await;
    assert!(store.memories(b.id, None, None, 10).await.unwrap().is_empty());
    assert!(store.memories(b.id, Some(Kind::Fact), Some(MemoryId::generate()), 10).await.unwrap().is_empty());
    assert!(store.memories_of(b.id, &[id]).await.unwrap().is_empty());
    assert_eq!(store.change_memory(b.id, id, &text("x")).await.unwrap(), None);
    assert!(!store.delete_memory(b.id, id).await.unwrap());
    assert!(!store.has_vectors(b.id, MODEL).await.unwrap());
    store.delete_memories(b.id, None).await.unwrap();
    assert_eq!(remembered(&store, &a).await, ["a's"]);
}

#[tokio::test]
async fn many_are_deleted_bit_by_bit() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (_, turn) = talk(&store, &user).await;
    let said = store.said_and_uncut(10).await.unwrap().into_iter().find(|said| said.id == turn).unwrap();
    let passages: Vec<String> = (0..4_500).map(|number| number.to_string()).collect();
    store.keep_passages(&said, &passages, 10_000).await.unwrap();
    fact(&store, &user, "fact").await;
    store.delete_memories(user.id, Some(Kind::Message)).await.unwrap();
    assert_eq!(remembered(&store, &user).await, ["fact"]);
    assert!(store.said_and_uncut(10).await.unwrap().is_empty(), "the question is not cut any more either");
}

#[tokio::test]
async fn memories_stay_out_of_debug_output() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let memory = store.add_fact(user.id, &text("a marked fact")).await.unwrap();
    let unread = store.to_embed(MODEL, 1).await.unwrap();
    let recalled = Recalled { memory: unread[0].id, text: text("a marked note"), similarity: 1.0 };
    assert!(!format!("{memory:?} {unread:?} {recalled:?}").contains("marked"));
}
