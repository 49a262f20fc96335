//! Sessions, and the refresh tokens that carry them on.

use super::*;
use crate::store::sessions::{Device, LIFE, NewSession, Rotated};

fn device() -> Device {
    Device { agent: "Firefox on Linux".to_owned(), network: "192.0.2.0/24".to_owned() }
}

fn token() -> Digest {
    Token::generate("").digest()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(1_000_000_000_000).after(Duration::from_secs(seconds))
}

/// A session that began at 0.
async fn begin(store: &Store, user: &User) -> (crate::id::SessionId, Digest) {
    let first = token();
    let new = NewSession { user: user.id, token: first, device: device() };
    (store.create_session(&new, at(0)).await.unwrap(), first)
}

async fn rotate(store: &Store, old: &Digest, seconds: u64) -> (Rotated, Digest) {
    let next = token();
    (store.rotate(old, &next, &device(), at(seconds)).await.unwrap(), next)
}

#[tokio::test]
async fn a_session_goes_on_with_each_token_and_ends_without() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (session, first) = begin(&store, &user).await;
    assert_eq!(store.session_user(session, at(1)).await.unwrap(), Some(user.clone()));
    let (rotated, second) = rotate(&store, &first, 600).await;
    assert_eq!(rotated, Rotated::Next(user.clone(), session));
    let listed = store.sessions(user.id, at(601)).await.unwrap();
    assert_eq!((listed[0].created_at, listed[0].last_used_at), (at(0), at(600)));
    let end = LIFE.as_secs() + 600;
    assert_eq!(store.session_user(session, at(end - 1)).await.unwrap(), Some(user.clone()), "each use carries it on");
    assert_eq!(store.session_user(session, at(end)).await.unwrap(), None);
    assert_eq!(rotate(&store, &second, end).await.0, Rotated::Unknown);
    assert_eq!(rotate(&store, &token(), 601).await.0, Rotated::Unknown);
    assert!(store.sessions(user.id, at(end)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_used_token_ends_the_session_for_whoever_has_it() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (session, first) = begin(&store, &user).await;
    let (_, second) = rotate(&store, &first, 600).await;
    assert_eq!(rotate(&store, &first, 630).await.0, Rotated::Stolen(user.id));
    assert_eq!(store.session_user(session, at(631)).await.unwrap(), None);
    assert_eq!(rotate(&store, &second, 631).await.0, Rotated::Unknown);
}

#[tokio::test]
async fn two_tabs_may_refresh_at_once() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (session, first) = begin(&store, &user).await;
    let (_, second) = rotate(&store, &first, 600).await;
    let (again, third) = rotate(&store, &first, 629).await;
    assert_eq!(again, Rotated::Next(user.clone(), session));
    // The browser keeps either.
    let (next, fourth) = rotate(&store, &second, 1200).await;
    assert_eq!(next, Rotated::Next(user.clone(), session));
    assert_eq!(rotate(&store, &third, 1231).await.0, Rotated::Stolen(user.id), "the other is used up with it");
    assert_eq!(rotate(&store, &fourth, 1232).await.0, Rotated::Unknown);
}

#[tokio::test]
async fn the_grace_has_a_bound() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (_, first) = begin(&store, &user).await;
    for _ in 0..16 {
        assert!(matches!(rotate(&store, &first, 600).await.0, Rotated::Next(..)));
    }
    assert_eq!(rotate(&store, &first, 600).await.0, Rotated::TooOften);
}

#[tokio::test]
async fn used_tokens_are_forgotten_one_day() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (_, first) = begin(&store, &user).await;
    let mut now = first;
    for turn in 1..=120 {
        let (rotated, next) = rotate(&store, &now, turn * 600).await;
        assert!(matches!(rotated, Rotated::Next(..)), "{turn}");
        now = next;
    }
    assert_eq!(rotate(&store, &first, 121 * 600).await.0, Rotated::Unknown, "too old to be known again");
    assert!(matches!(rotate(&store, &now, 121 * 600).await.0, Rotated::Next(..)));
}

#[tokio::test]
async fn sessions_are_ended_by_their_owner_only() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let (session, token) = begin(&store, &a).await;
    assert!(!store.delete_session(b.id, session).await.unwrap());
    let kept = begin(&store, &a).await.0;
    store.delete_sessions(b.id, None).await.unwrap();
    store.delete_sessions(a.id, Some(kept)).await.unwrap();
    assert_eq!(store.session_user(session, at(1)).await.unwrap(), None);
    assert_eq!(store.session_user(kept, at(1)).await.unwrap(), Some(a.clone()));
    assert_eq!(store.end_session_of(&token, at(1)).await.unwrap(), None, "its session is over");
    let (last, token) = begin(&store, &a).await;
    assert_eq!(store.end_session_of(&token, at(1)).await.unwrap(), Some(a.id));
    assert_eq!(store.session_user(last, at(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_user_has_only_so_many_sessions() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (oldest, _) = begin(&store, &user).await;
    for second in 1..=64 {
        let new = NewSession { user: user.id, token: token(), device: device() };
        store.create_session(&new, at(second)).await.unwrap();
    }
    assert_eq!(store.session_user(oldest, at(65)).await.unwrap(), None, "the oldest made room");
    assert_eq!(store.sessions(user.id, at(65)).await.unwrap().len(), 64);
}
