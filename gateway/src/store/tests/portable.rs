//! The list of conversations: pins and words in them.

use super::*;

#[tokio::test]
async fn pinned_conversations_come_first_and_pages_keep_to_it() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let mut ids = vec![];
    for title in ["1", "2", "3"] {
        ids.push(store.create_conversation(user.id, Some(text(title)), None).await.unwrap().id);
    }
    let pin = Change { pinned: Some(true), ..Change::default() };
    let pinned = store.change_conversation(user.id, ids[0], &pin).await.unwrap().unwrap();
    assert_eq!((pinned.pinned, pinned.title.0.as_str()), (true, "1"));
    let mut seen = vec![];
    for _ in 0..3 {
        let before = seen.last().copied();
        seen.push(store.conversations(user.id, before, 1).await.unwrap()[0].id);
    }
    assert_eq!(seen, [ids[0], ids[2], ids[1]]);
}

#[tokio::test]
async fn words_are_found_in_titles_and_messages_of_ones_own() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let (_, turn) =
        ask(&store, &a, Place::New { id: ConversationId::generate(), title: text("100% Zugvögel, birds") }).await;
    store.finish(turn, &whole("They Murmurate")).await.unwrap();
    store.create_conversation(a.id, Some(text("other")), None).await.unwrap();
    for (words, found) in
        [("BIRDS", 1), ("murmurate", 1), ("question", 1), ("0%", 1), ("%", 1), ("_", 0), ("r%d", 0), ("ZUGVÖGEL", 1)]
    {
        assert_eq!(store.search(a.id, words, 9).await.unwrap().len(), found, "{words}");
    }
    assert_eq!(store.search(a.id, "r", 1).await.unwrap().len(), 1, "no more than are wanted");
    assert!(store.search(b.id, "birds", 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_first_question_names_what_nobody_has_named() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    for (title, named) in [(None, "question"), (Some(text("mine")), "mine")] {
        let id = store.create_conversation(user.id, title, None).await.unwrap().id;
        ask(&store, &user, Place::In { id, after: 0 }).await;
        assert_eq!(store.conversation(user.id, id).await.unwrap().unwrap().title, text(named));
    }
}

#[tokio::test]
async fn a_model_never_replaces_a_title_of_a_person() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (id, _) = ask(&store, &user, new_place()).await;
    assert_eq!(store.title_by_model(id, &text("birds")).await.unwrap().unwrap().title, text("birds"));
    assert!(store.title_by_model(id, &text("again")).await.unwrap().is_none(), "once is enough");
    let (id, _) = ask(&store, &user, new_place()).await;
    store.change_conversation(user.id, id, &named("mine")).await.unwrap();
    assert!(store.title_by_model(id, &text("birds")).await.unwrap().is_none());
    assert_eq!(store.conversation(user.id, id).await.unwrap().unwrap().title, text("mine"));
}
