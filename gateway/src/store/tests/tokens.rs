//! Budgets: what is held, what is counted, and that it is counted once.

use super::*;
use crate::{
    id::UserId,
    store::{
        keys::Scope,
        people::PersonChange,
        tokens::{Account, Exhausted, Expected, Payer, Whose},
    },
};

async fn used(store: &Store, user: UserId) -> u64 {
    store.tokens_of(user).await.unwrap().0
}

async fn give(store: &Store, user: UserId, tokens: Option<u64>) {
    let change = PersonChange { tokens_per_month: Some(tokens), ..PersonChange::default() };
    store.change_person(user, change).await.unwrap();
}

/// A question that is expected to come to so many tokens and was given at most `most`.
async fn question(store: &Store, user: UserId, prompt_tokens: u32, most: u32) -> Result<TurnId, StoreError> {
    let turn = TurnId::generate();
    let progress = Progress { prompt_tokens, max_tokens: Some(most), ..fresh() };
    store.accept(user, &new_place(), turn, &text("question"), &progress).await.map(|_| turn)
}

/// An answer of so many tokens that was cut short, and can go on.
fn cut(tokens: u32) -> Ending {
    let mut ending = whole("a");
    let progress = Progress { tokens: vec![7; tokens as usize], ..fresh() };
    (ending.status, ending.progress) = (Status::Partial, Some(progress));
    if let Some(answer) = &mut ending.answer {
        (answer.prompt_tokens, answer.completion_tokens) = (0, tokens);
    }
    ending
}

#[tokio::test]
async fn an_answer_is_counted_once_when_it_ends() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await.id;
    let turn = question(&store, user, 100, 50).await.unwrap();
    assert_eq!(used(&store, user).await, 0);
    assert!(store.finish(turn, &whole("answer")).await.unwrap().is_some());
    assert!(store.finish(turn, &whole("answer")).await.unwrap().is_none());
    assert_eq!(used(&store, user).await, 5, "three asked and two answered");
}

#[tokio::test]
async fn an_answer_that_goes_on_counts_what_is_new() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await.id;
    let turn = question(&store, user, 100, 50).await.unwrap();
    store.finish(turn, &cut(20)).await.unwrap().unwrap();
    assert_eq!(used(&store, user).await, 120, "the prompt as it was guessed");
    let mut unfinished = store.resumable(user, turn).await.unwrap().unwrap();
    unfinished.progress.prompt_tokens = 100;
    assert!(store.reopen(&unfinished).await.unwrap());
    store.finish(turn, &cut(30)).await.unwrap().unwrap();
    assert_eq!(used(&store, user).await, 120 + 110, "the prompt was read once more, and ten tokens are new");
    let nothing = question(&store, user, 100, 50).await.unwrap();
    store.finish(nothing, &Ending { answer: None, ..cut(0) }).await.unwrap();
    assert_eq!(used(&store, user).await, 230, "nobody came");
}

#[tokio::test]
async fn an_answer_that_another_gateway_ends_is_counted_once() {
    let (store, _dir) = store().await;
    let (a, b) = (store.clone().of_gateway("a"), store.clone().of_gateway("b"));
    let user = user(&store, "a").await.id;
    let turn = question(&a, user, 100, 50).await.unwrap();
    assert_eq!(b.claim(Some("a"), 10).await.unwrap(), [turn]);
    assert!(a.finish(turn, &whole("late")).await.unwrap().is_none());
    assert_eq!(used(&store, user).await, 0);
    b.release_holds().await.unwrap();
    assert!(b.finish(turn, &whole("answer")).await.unwrap().is_some());
    assert!(a.finish(turn, &whole("late")).await.unwrap().is_none());
    assert_eq!(used(&store, user).await, 5);
}

#[tokio::test]
async fn a_deleted_conversation_is_counted_too() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (id, turn) = ask(&store, &user, new_place()).await;
    store.delete_conversation(user.id, id).await.unwrap();
    assert!(store.finish(turn, &whole("answer")).await.unwrap().is_none());
    assert!(store.finish(turn, &whole("answer")).await.unwrap().is_none());
    assert_eq!(used(&store, user.id).await, 5);
}

#[tokio::test]
async fn many_questions_at_once_do_not_get_past_a_budget() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await.id;
    give(&store, user, Some(1_000)).await;
    let all = futures::future::join_all((0..40).map(|_| question(&store, user, 100, 100))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (5, 35));
    let Some(Err(StoreError::Exhausted(Exhausted { whose, budget, until }))) = refused.into_iter().next() else {
        panic!("refused for another reason");
    };
    assert_eq!((whose, budget, until), (Whose::Person, 1_000, Timestamp::now().month().1));
    for turn in taken {
        store.finish(turn.unwrap(), &whole("short")).await.unwrap().unwrap();
    }
    assert_eq!(used(&store, user).await, 25);
    assert!(question(&store, user, 100, 100).await.is_ok(), "what was held and not used is free again");
    give(&store, user, Some(0)).await;
    assert!(question(&store, user, 100, u32::MAX).await.is_ok(), "without a bound");
}

#[tokio::test]
async fn what_all_may_use_holds_for_who_has_no_budget_of_their_own() {
    let (store, _dir) = store().await;
    let store = store.with_budget(10);
    let (a, b) = (user(&store, "a").await.id, user(&store, "b").await.id);
    give(&store, b, Some(0)).await;
    for user in [a, b] {
        assert!(question(&store, user, 10, 10).await.is_ok());
    }
    assert!(matches!(question(&store, a, 10, 10).await, Err(StoreError::Exhausted(_))));
    assert!(question(&store, b, 10, 10).await.is_ok());
    give(&store, a, None).await;
    assert!(question(&store, a, 10, 10).await.is_err());
    assert_eq!(store.tokens_of(a).await.unwrap(), (0, None));
    assert_eq!(store.tokens_of(b).await.unwrap(), (0, Some(0)));
}

#[tokio::test]
async fn a_key_has_a_budget_of_its_own() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await.id;
    let secret = Token::generate("").digest();
    let new = NewKey { scopes: vec![Scope::Models, Scope::Embeddings], tokens_per_month: 50, ..NewKey::open("k") };
    let key = store.create_key(user, &new, &secret).await.unwrap().unwrap();
    let found = store.key_user(&secret).await.unwrap().unwrap().key;
    assert_eq!((found.scopes, found.tokens_per_month), (new.scopes, 50));
    let (by_key, in_chat) = (Payer { user, key: Some(key.id) }, Payer { user, key: None });
    let expected = Expected { prompt: 40, answer: 0 };
    assert_eq!(store.hold(in_chat, expected).await.unwrap(), None, "nothing bounds the person");
    let held = store.hold(by_key, expected).await.unwrap().unwrap();
    let account = Account { payer: by_key, day: Timestamp::now().day() };
    store.count(&[(account, 60)], &[held]).await.unwrap();
    assert!(matches!(
        store.hold(by_key, expected).await,
        Err(StoreError::Exhausted(Exhausted { whose: Whose::Key, budget: 50, .. }))
    ));
    assert_eq!(store.keys(user).await.unwrap()[0].1, 60);
    assert_eq!(used(&store, user).await, 60);
    store.delete_key(user, key.id).await.unwrap();
    assert_eq!(used(&store, user).await, 60, "a key that is gone gives nothing back");
    assert!(store.people("", 10).await.unwrap().iter().any(|(person, used)| person.user.id == user && *used == 60));
}

#[tokio::test]
async fn another_month_begins_anew() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await.id;
    give(&store, user, Some(10)).await;
    let payer = Payer { user, key: None };
    let before = Timestamp::now().month().0 - 1;
    store.count(&[(Account { payer, day: before }, 1_000)], &[]).await.unwrap();
    assert_eq!(used(&store, user).await, 0);
    assert!(store.hold(payer, Expected::default()).await.unwrap().is_some());
    store
        .count(&[(Account { payer, day: before + 1 }, 4), (Account { payer, day: before + 1 }, 6)], &[])
        .await
        .unwrap();
    assert!(matches!(store.hold(payer, Expected::default()).await, Err(StoreError::Exhausted(_))));
}

#[tokio::test]
async fn what_a_gateway_held_when_it_died_is_let_go_at_its_start() {
    let (store, _dir) = store().await;
    let (a, b) = (store.clone().of_gateway("a"), store.clone().of_gateway("b"));
    let user = user(&store, "a").await.id;
    give(&store, user, Some(100)).await;
    let payer = Payer { user, key: None };
    let runs = question(&a, user, 10, 10).await.unwrap();
    a.hold(payer, Expected { prompt: 0, answer: 80 }).await.unwrap();
    b.release_holds().await.unwrap();
    assert!(a.hold(payer, Expected::default()).await.is_err(), "it is another's");
    a.release_holds().await.unwrap();
    a.hold(payer, Expected { prompt: 0, answer: 79 }).await.unwrap();
    a.hold(payer, Expected { prompt: 0, answer: 1 }).await.unwrap();
    assert!(a.hold(payer, Expected::default()).await.is_err(), "what runs is held");
    a.finish(runs, &whole("answer")).await.unwrap().unwrap();
    assert_eq!(used(&store, user).await, 5);
}

#[tokio::test]
async fn nothing_is_counted_for_somebody_who_is_gone() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await.id;
    let turn = question(&store, user, 10, 10).await.unwrap();
    store.delete_person(user).await.unwrap();
    assert!(store.finish(turn, &whole("answer")).await.unwrap().is_none());
    let account = Account { payer: Payer { user, key: None }, day: Timestamp::now().day() };
    store.count(&[(account, 9)], &[]).await.unwrap();
    assert_eq!(used(&store, user).await, 0);
}
