//! What a person's open windows are told of: conversations that were made, renamed or deleted, and answers that began or
//! ended, in whichever window and at whichever gateway.
//!
//! A bounded queue for each window; who is too slow for it is told to read anew, and so are all when the way to the other
//! gateways was broken. No event says what somebody said: between gateways there are ids only, and each reads for itself.

mod wire;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use self::wire::Said;
use crate::{
    cache::{Cache, Heard},
    id::{ConversationId, TurnId, UserId},
    store::{Store, conversations::Conversation},
};

/// Events that one window may have before it.
const WINDOW: usize = 64;
/// Events that may wait for their way to the other gateways.
const OUTGOING: usize = 1_024;
/// Orders that other gateways may have given before they are followed.
const ORDERS: usize = 256;

/// What has happened to a person's conversations.
#[derive(Clone, Debug)]
pub enum Event {
    /// One is there, or has another title or place in the list.
    Changed(Arc<Conversation>),
    /// A model has found a title for one.
    Titled(Arc<Conversation>),
    /// One is gone.
    Deleted(ConversationId),
    /// Another branch of it is shown.
    Reread(ConversationId),
    /// An answer has begun, or goes on.
    Began(ConversationId, TurnId),
    /// It has ended.
    Ended(ConversationId, TurnId),
    /// Something was missed.
    Missed,
    /// This person may not be here any more.
    Out,
}

/// What another gateway wants to be done here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To stop a person's answer, if it is given here.
    Stop(UserId, TurnId),
    /// To stop what is given in a conversation that was deleted.
    StopIn(UserId, ConversationId),
    /// To look for answers that nobody gives.
    TakeUp,
    /// To end what runs for somebody who may not come in any more, and to forget what is known of them.
    Out(UserId),
}

/// Tells windows, and other gateways. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Parts>);

struct Parts {
    /// Of those who have a window open. The lock is held for a look and never while anything is awaited.
    people: Mutex<HashMap<UserId, broadcast::Sender<Event>>>,
    orders: broadcast::Sender<Order>,
    /// `None`: there are no other gateways.
    outgoing: Option<mpsc::Sender<Said>>,
    /// One of those that were to go out did not.
    lost: AtomicBool,
}

/// What one window hears. Dropping it closes the window.
pub struct Window {
    events: Events,
    user: UserId,
    /// Taken when it is closed, so that the last of a person's windows can be told from the others.
    heard: Option<broadcast::Receiver<Event>>,
}

/// Carries events between the gateways.
pub struct Actor {
    events: Events,
    cache: Cache,
    store: Store,
    outgoing: mpsc::Receiver<Said>,
}

impl Events {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(cache: Cache, store: Store) -> (Self, Actor) {
        let (sender, outgoing) = mpsc::channel(OUTGOING);
        let events = Self(Arc::new(Parts {
            people: Mutex::default(),
            orders: broadcast::Sender::new(ORDERS),
            outgoing: cache.is_shared().then_some(sender),
            lost: AtomicBool::new(false),
        }));
        (events.clone(), Actor { events, cache, store, outgoing })
    }

    /// Opens a window of a person's.
    #[must_use]
    pub fn window(&self, user: UserId) -> Window {
        let heard =
            self.with(|people| people.entry(user).or_insert_with(|| broadcast::Sender::new(WINDOW)).subscribe());
        Window { events: self.clone(), user, heard: Some(heard) }
    }

    /// Tells all of a person's windows, here and elsewhere. Never waits.
    pub fn tell(&self, user: UserId, event: Event) {
        if let Some(said) = Said::of(user, &event) {
            self.send(said);
        }
        self.tell_here(user, &event);
    }

    /// Tells the other gateways to do something. Never waits.
    pub fn order(&self, order: &Order) {
        self.send(Said::order(order));
    }

    /// What other gateways want done here from now on.
    #[must_use]
    pub fn orders(&self) -> broadcast::Receiver<Order> {
        self.0.orders.subscribe()
    }

    fn send(&self, said: Said) {
        if let Some(outgoing) = &self.0.outgoing
            && outgoing.try_send(said).is_err()
        {
            self.0.lost.store(true, Ordering::Relaxed);
        }
    }

    fn tell_here(&self, user: UserId, event: &Event) {
        self.with(|people| people.get(&user).map(|windows| windows.send(event.clone())));
    }

    fn tell_all(&self, event: &Event) {
        self.with(|people| people.values().for_each(|windows| drop(windows.send(event.clone()))));
    }

    fn has_windows(&self, user: UserId) -> bool {
        self.with(|people| people.contains_key(&user))
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<UserId, broadcast::Sender<Event>>) -> T) -> T {
        // A panic under the lock cannot leave the map half changed: each use is one insert or remove.
        look(&mut self.0.people.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Window {
    /// The next event.
    pub async fn next(&mut self) -> Event {
        let heard = self.heard.as_mut().expect("it is taken when the window is dropped");
        match heard.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => Event::Missed,
            // The sender is there as long as a window is.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.heard = None;
        self.events.with(|people| {
            if people.get(&self.user).is_some_and(|windows| windows.receiver_count() == 0) {
                people.remove(&self.user);
            }
        });
    }
}

impl Actor {
    /// Carries events until it is told to stop. What is to go out by then goes out.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut heard = self.cache.events();
        loop {
            tokio::select! {
                biased;
                Some(said) = self.outgoing.recv() => self.send(&said).await,
                heard = heard.recv() => match heard {
                    Ok(Heard::Said(said)) => self.hear(&said).await,
                    Ok(Heard::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => self.missed(),
                    // It has a sender of its own.
                    Err(broadcast::error::RecvError::Closed) => return stop.cancelled().await,
                },
                () = stop.cancelled() => return,
            }
        }
    }

    async fn send(&self, said: &Said) {
        self.cache.publish(&said.to_bytes()).await;
        if self.events.0.lost.swap(false, Ordering::Relaxed) {
            self.cache.publish(&Said::Missed.to_bytes()).await;
        }
    }

    async fn hear(&self, said: &[u8]) {
        match Said::from_bytes(said) {
            Some(Said::Changed { user, conversation, titled }) => self.changed(user, conversation, titled).await,
            Some(Said::Deleted { user, conversation }) => {
                self.events.tell_here(user, &Event::Deleted(conversation));
                self.follow(Order::StopIn(user, conversation));
            }
            Some(Said::Reread { user, conversation }) => self.events.tell_here(user, &Event::Reread(conversation)),
            Some(Said::Began { user, conversation, turn }) => {
                self.events.tell_here(user, &Event::Began(conversation, turn));
            }
            Some(Said::Ended { user, conversation, turn }) => {
                self.events.tell_here(user, &Event::Ended(conversation, turn));
            }
            Some(Said::Stop { user, turn }) => self.follow(Order::Stop(user, turn)),
            Some(Said::TakeUp) => self.follow(Order::TakeUp),
            Some(Said::Out { user }) => {
                self.events.tell_here(user, &Event::Out);
                self.follow(Order::Out(user));
            }
            Some(Said::Missed) => self.missed(),
            // A newer gateway says more than we know.
            None => {}
        }
    }

    async fn changed(&self, user: UserId, conversation: ConversationId, titled: bool) {
        if !self.events.has_windows(user) {
            return;
        }
        let found = self.store.conversation(user, conversation).await;
        let event = match found {
            Ok(Some(found)) if titled => Event::Titled(Arc::new(found)),
            Ok(Some(found)) => Event::Changed(Arc::new(found)),
            Ok(None) => return,
            Err(_) => Event::Missed,
        };
        self.events.tell_here(user, &event);
    }

    fn missed(&self) {
        self.events.tell_all(&Event::Missed);
        self.follow(Order::TakeUp);
    }

    fn follow(&self, order: Order) {
        let _ = self.events.0.orders.send(order);
    }
}

#[cfg(test)]
mod tests;
