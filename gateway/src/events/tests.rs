//! Windows in one process, and over a real Redis at two gateways.

use std::time::Duration;

use starling_protocol::{membership::SwarmKey, message::Private};
use tokio::time::timeout;

use super::*;
use crate::{
    cache::tests::server::RedisServer,
    master::MasterKey,
    store::{tests::store, users::Role},
};

async fn heard(window: &mut Window) -> String {
    let event = timeout(Duration::from_secs(20), window.next()).await.expect("no event came");
    match event {
        Event::Changed(conversation) => format!("changed {}", conversation.title.0),
        Event::Titled(conversation) => format!("titled {}", conversation.title.0),
        Event::Deleted(_) => "deleted".into(),
        Event::Reread(_) => "reread".into(),
        Event::Began(..) => "began".into(),
        Event::Ended(..) => "ended".into(),
        Event::Missed => "missed".into(),
        Event::Out => "out".into(),
    }
}

#[tokio::test]
async fn all_windows_of_a_person_hear_and_nobody_elses_and_a_slow_one_reads_anew() {
    let (store, _dir) = store().await;
    let (events, _actor) = Events::new(Cache::in_process(), store);
    let (anna, ben, id) = (UserId::generate(), UserId::generate(), ConversationId::generate());
    let (mut one, mut two, mut bens) = (events.window(anna), events.window(anna), events.window(ben));
    events.tell(anna, Event::Deleted(id));
    assert_eq!((heard(&mut one).await, heard(&mut two).await), ("deleted".into(), "deleted".into()));
    for _ in 0..=WINDOW {
        events.tell(anna, Event::Reread(id));
    }
    assert_eq!(heard(&mut one).await, "missed");
    assert_eq!(heard(&mut one).await, "reread", "and goes on");
    events.tell(ben, Event::Reread(id));
    assert_eq!(heard(&mut bens).await, "reread");
    drop(one);
    assert!(events.has_windows(anna));
    drop((two, bens));
    assert!(events.with(|people| people.is_empty()), "nobody is remembered who has gone");
}

#[tokio::test]
async fn windows_at_two_gateways_hear_the_same() {
    let redis = RedisServer::start();
    let (store, _dir) = store().await;
    let (swarm, master, stop) = (SwarmKey::generate().unwrap().id(), MasterKey::generate(), CancellationToken::new());
    let gateway = || {
        let (cache, link) = Cache::over(redis.url().parse().unwrap(), swarm, &master);
        let (events, actor) = Events::new(cache.clone(), store.clone());
        tokio::spawn(link.run(stop.clone()));
        tokio::spawn(actor.run(stop.clone()));
        (cache, events)
    };
    let ((a, at_a), (b, at_b)) = (gateway(), gateway());
    let user = store.create_user("anna", "hash", Role::User).await.unwrap().id;
    let mut window = at_b.window(user);
    let mut orders = at_b.orders();
    let met = async {
        while a.others() == 0 || b.others() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), met).await.expect("they never met");
    let title = Private("what it is called".to_owned());
    let conversation = Arc::new(store.create_conversation(user, Some(title), None).await.unwrap());
    let (id, turn) = (conversation.id, TurnId::generate());
    at_a.tell(user, Event::Changed(Arc::clone(&conversation)));
    at_a.tell(user, Event::Titled(conversation));
    at_a.tell(user, Event::Began(id, turn));
    at_a.tell(user, Event::Ended(id, turn));
    at_a.tell(user, Event::Reread(id));
    at_a.order(&Order::Stop(user, turn));
    at_a.tell(user, Event::Deleted(id));
    for expected in ["changed what it is called", "titled what it is called", "began", "ended", "reread", "deleted"] {
        assert_eq!(heard(&mut window).await, expected);
    }
    assert_eq!(orders.recv().await.unwrap(), Order::Stop(user, turn));
    assert_eq!(orders.recv().await.unwrap(), Order::StopIn(user, id));
    at_a.tell(user, Event::Out);
    assert_eq!(heard(&mut window).await, "out");
    assert_eq!(orders.recv().await.unwrap(), Order::Out(user));
    redis.hang();
    while b.is_up() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    redis.wake();
    assert_eq!(heard(&mut window).await, "missed", "what was said meanwhile is read anew");
    stop.cancel();
}
