//! Taking along all that one has said.

use super::*;

#[tokio::test]
async fn conversations_come_in_the_order_they_were_made_in_and_each_once() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let mut made = vec![];
    for title in ["1", "2", "3"] {
        made.push(store.create_conversation(a.id, Some(text(title)), None).await.unwrap().id);
    }
    store.create_conversation(b.id, Some(text("another's")), None).await.unwrap();
    let mut seen = vec![];
    loop {
        let page = store.conversations_made(a.id, seen.last().copied(), 1).await.unwrap();
        let Some(conversation) = page.first() else { break };
        seen.push(conversation.id);
        // Talking on moves it in the list that people see.
        ask(&store, &a, Place::In { id: conversation.id, after: 0 }).await;
        assert!(seen.len() < 9, "{seen:?}");
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn what_was_said_comes_in_pages_and_only_to_whom_it_belongs() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let (id, turn) = ask(&store, &a, new_place()).await;
    assert_eq!(store.said(a.id, id, 0, 9).await.unwrap().len(), 1, "what is being answered is not there yet");
    store.finish(turn, &whole("the answer")).await.unwrap();
    let first = store.said(a.id, id, 0, 1).await.unwrap();
    let second = store.said(a.id, id, first[0].message.position.number, 1).await.unwrap();
    assert_eq!((first[0].follows, second[0].follows), (0, first[0].message.position.number));
    assert_eq!(second[0].message.text, text("the answer"));
    let last = second[0].message.position.number;
    assert!(store.said(a.id, id, last, 1).await.unwrap().is_empty());
    assert_eq!(store.shown(a.id, id).await.unwrap().unwrap_or(last), last);
    assert!(store.said(b.id, id, 0, 9).await.unwrap().is_empty());
    assert_eq!(store.shown(b.id, id).await.unwrap(), None);
}
