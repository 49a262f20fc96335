//! Several gateways on one database: each running answer has one owner.

use super::*;

fn some(tokens: u32) -> Progress {
    let mut progress = fresh();
    assert!(progress.grow(&(0..tokens).collect::<Vec<_>>(), &"x".repeat(tokens as usize)));
    progress
}

fn names(owners: Vec<crate::store::owners::Owner>) -> Vec<(Option<String>, i64)> {
    let mut owners = owners;
    owners.sort();
    owners
}

#[tokio::test]
async fn an_answer_is_kept_and_ended_by_its_owner_only() {
    let (store, _dir) = store().await;
    let (a, b) = (store.clone().of_gateway("a"), store.of_gateway("b"));
    let user = user(&a, "u").await;
    let (conversation, turn) = ask(&a, &user, new_place()).await;
    let interrupted = crate::turn::interrupted();
    assert_eq!(a.running_in(user.id, conversation).await.unwrap().map(|one| one.turn), Some(turn));
    assert_eq!((a.unfinished(9).await.unwrap().len(), b.unfinished(9).await.unwrap().len()), (1, 0));
    assert_eq!(b.interrupt_running(&[], &interrupted).await.unwrap(), 0, "another start leaves it alone");
    assert!(!a.is_given_elsewhere(turn).await.unwrap() && b.is_given_elsewhere(turn).await.unwrap());

    assert_eq!(a.keep(&[(turn, some(1))]).await.unwrap(), []);
    assert_eq!(b.keep(&[(turn, some(2))]).await.unwrap(), [turn]);
    assert_eq!(b.finish(turn, &whole("b")).await.unwrap(), None);
    assert_eq!(a.answers(&[turn]).await.unwrap()[0].progress.tokens.len(), 1);

    assert_eq!(b.claim(Some("c"), 9).await.unwrap(), [], "it was not of that one");
    assert_eq!(b.claim(Some("a"), 9).await.unwrap(), [turn]);
    assert_eq!(b.claim(Some("a"), 9).await.unwrap(), [], "once");
    assert_eq!(a.keep(&[(turn, some(3))]).await.unwrap(), [turn]);
    a.let_go(turn, &some(4)).await.unwrap();
    assert_eq!(a.finish(turn, &whole("a")).await.unwrap(), None);
    assert_eq!(b.answers(&[turn]).await.unwrap()[0].progress.tokens.len(), 1, "the first owner changes nothing more");
    assert_eq!(b.finish(turn, &whole("b")).await.unwrap().unwrap().text, text("b"));
    assert_eq!(b.finish(turn, &whole("again")).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_let_go_is_anybodys_and_one_asks_at_a_time() {
    let (store, _dir) = store().await;
    let (a, b) = (store.clone().of_gateway("a"), store.of_gateway("b"));
    let user = user(&a, "u").await;
    let (conversation, turn) = ask(&a, &user, new_place()).await;
    let place = Place::In { id: conversation, after: 2 };
    let again = |store: &Store| {
        let (store, place, user) = (store.clone(), place.clone(), user.id);
        async move { store.accept(user, &place, TurnId::generate(), &text("q"), &fresh()).await.map(drop) }
    };
    assert!(matches!(again(&b).await, Err(StoreError::Conflict)), "another gateway answers there");
    a.let_go(turn, &some(4)).await.unwrap();
    assert!(matches!(again(&a).await, Err(StoreError::Conflict)), "it goes on soon");
    assert_eq!(names(a.other_owners().await.unwrap()), [(None, 0)]);
    assert_eq!(a.claim(None, 9).await.unwrap(), [turn]);
    assert_eq!(a.answers(&[turn]).await.unwrap()[0].progress.tokens.len(), 4);
    assert_eq!(b.claim(None, 9).await.unwrap(), []);
    a.finish(turn, &whole("done")).await.unwrap();
    again(&b).await.unwrap();
    assert_eq!(names(b.other_owners().await.unwrap()), []);
}

#[tokio::test]
async fn beats_are_seen_by_the_others() {
    let (store, _dir) = store().await;
    let (a, b) = (store.clone().of_gateway("a"), store.of_gateway("b"));
    let user = user(&a, "u").await;
    let (_, turn) = ask(&a, &user, new_place()).await;
    assert_eq!(names(b.other_owners().await.unwrap()), [(Some("a".into()), 0)]);
    for beat in 1..3 {
        a.beat().await.unwrap();
        assert_eq!(names(b.other_owners().await.unwrap()), [(Some("a".into()), beat)]);
    }
    assert_eq!(names(a.other_owners().await.unwrap()), [], "nobody looks at himself");
    b.claim(Some("a"), 9).await.unwrap();
    assert_eq!(names(a.other_owners().await.unwrap()), [(Some("b".into()), 0)]);
    b.finish(turn, &whole("done")).await.unwrap();
    assert_eq!(names(a.other_owners().await.unwrap()), [], "who gives nothing is of no interest");
}
