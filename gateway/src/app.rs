//! The gateway, put together: what its handlers share.

mod running;

use std::{ops::Deref, sync::Arc};

use starling_protocol::membership::SwarmId;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

pub use self::running::{Gateway, Running};
use crate::{
    access::{self, AccessTokens},
    accounts::AccountOptions,
    api::{Downloads, Exports, Sockets, Tapes, auth::Address},
    cache::{self, Cache, RedisUrl},
    clock::Timestamp,
    config::Titles,
    dispatch::Dispatch,
    doors::Doors,
    events::{self, Event, Events, Order},
    figures::Figures,
    id::UserId,
    ledger::Ledger,
    life::Life,
    limits::Limits,
    master::MasterKey,
    membership::Network,
    memory::{self, Memory},
    metrics::Metrics,
    password::Passwords,
    releases::Releases,
    sessions::Sessions,
    setup::SetupDoor,
    store::{
        Store, StoreError,
        audit::{Action, Entry},
        progress::Unfinished,
        users::User,
    },
    topology::Topology,
    turn::{self, MAX_TURNS, Means, Turns},
};

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What is in an [`App`].
pub struct Parts {
    pub store: Store,
    pub access: AccessTokens,
    pub sessions: Sessions,
    pub accounts: AccountOptions,
    pub limits: Limits,
    pub passwords: Passwords,
    pub doors: Doors,
    pub setup: SetupDoor,
    pub memory: Memory,
    pub turns: Turns,
    pub dispatch: Dispatch,
    pub metrics: Metrics,
    pub figures: Figures,
    pub network: Network,
    pub sockets: Sockets,
    pub tapes: Tapes,
    pub exports: Exports,
    pub releases: Releases,
    pub downloads: Downloads,
    pub ledger: Ledger,
    pub events: Events,
    pub topology: Topology,
    pub cache: Cache,
    pub life: Life,
    pub began: Timestamp,
    public_origin: Option<String>,
    tls: bool,
}

/// What an [`App`] is made of.
pub struct Ingredients {
    pub store: Store,
    pub dispatch: Dispatch,
    pub network: Network,
    pub origin: Origin,
    pub titles: Titles,
    pub memory: memory::Options,
    pub accounts: AccountOptions,
    pub master: MasterKey,
    pub shared: Shared,
    pub releases: Releases,
}

impl App {
    /// Puts it together; nobody has used it yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn new(ingredients: Ingredients) -> Result<Self, StoreError> {
        let Ingredients { store, dispatch, network, origin, titles, memory, accounts, master, shared, releases } =
            ingredients;
        let life = Life::default();
        let Shared { cache, events } = shared;
        let memory = Memory::new(store.clone(), dispatch.clone(), memory, life.clone());
        let turns = Turns::new(Means {
            store: store.clone(),
            dispatch: dispatch.clone(),
            memory: memory.clone(),
            life: life.clone(),
            cache: cache.clone(),
            events: events.clone(),
            titles,
        });
        turns.take_up(running(&store).await?);
        store.release_holds().await?;
        let mut metrics = Metrics::new(&dispatch, network.swarm.clone());
        metrics.count_cache(&cache);
        Ok(Self(Arc::new(Parts {
            setup: SetupDoor::new(store.has_no_users().await?),
            memory,
            turns,
            access: AccessTokens::new(&master.derive(access::PURPOSE), accounts.access_life()),
            sessions: Sessions::new(store.clone()),
            limits: Limits::new(accounts.limits(), cache.clone()),
            accounts,
            passwords: Passwords::default(),
            doors: Doors::new(cache.clone()),
            sockets: Sockets::default(),
            tapes: Tapes::default(),
            exports: Exports::default(),
            releases,
            downloads: Downloads::default(),
            figures: Figures::default(),
            topology: Topology::new(&dispatch, &network),
            ledger: Ledger::new(store.clone()),
            began: Timestamp::now(),
            metrics,
            events,
            cache,
            store,
            dispatch,
            network,
            life,
            public_origin: origin.public,
            tls: origin.tls,
        })))
    }

    /// Notes what somebody has done. What was done stays done when the note cannot be written.
    pub async fn note(&self, by: &User, action: Action, target: impl ToString, from: Address) {
        let entry = Entry::now(&by.username, action, target, from.0);
        tracing::info!(by = %entry.actor, action = action.name(), target = %entry.target, "noted");
        if let Err(error) = self.store.note(&entry).await {
            tracing::warn!(%error, "the audit log lacks an entry");
        }
    }

    /// Ends what runs for somebody who may not come in any more, here and at the other gateways: answers, streams and
    /// sockets.
    pub fn turn_out(&self, user: UserId) {
        self.forget(user);
        self.events.tell(user, Event::Out);
    }

    /// Ends what is computed here for somebody, and forgets what is known here of them.
    fn forget(&self, user: UserId) {
        self.sessions.forget(user);
        self.dispatch.turn_out(user);
        self.memory.forget_all(user);
        self.store.forget_keys(user);
    }

    /// Turns people out as other gateways say, until it is told to stop.
    async fn obey(self, stop: CancellationToken) {
        let mut orders = self.events.orders();
        while let Some(order) = stop.run_until_cancelled(orders.recv()).await {
            match order {
                Ok(Order::Out(user)) => self.forget(user),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return stop.cancelled().await,
            }
        }
    }

    /// The origin of our pages when it is not what `Host` says.
    #[must_use]
    pub fn public_origin(&self) -> Option<&str> {
        self.public_origin.as_deref()
    }

    /// Whether it is we who speak TLS.
    #[must_use]
    pub fn is_https_here(&self) -> bool {
        self.tls
    }

    /// Whether people reach us over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.tls || self.public_origin().is_some_and(|origin| origin.starts_with("https://"))
    }
}

/// How people reach the gateway.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The origin of our pages when it is not what `Host` says.
    pub public: Option<String>,
    /// The gateway speaks TLS itself.
    pub tls: bool,
}

/// What a gateway shares with the others on its database.
pub struct Shared {
    cache: Cache,
    events: Events,
}

impl Shared {
    /// What it shares over a Redis; without one there is nobody. The parts are to be run.
    #[must_use]
    pub fn new(store: &Store, over: Option<(RedisUrl, SwarmId)>, master: &MasterKey) -> (Self, SharedParts) {
        let (cache, link) = match over {
            Some((redis, swarm)) => {
                let (cache, link) = Cache::over(redis, swarm, master);
                (cache, Some(link))
            }
            None => (Cache::in_process(), None),
        };
        let (events, carrier) = Events::new(cache.clone(), store.clone());
        (Self { cache, events }, (link, carrier))
    }
}

/// The way to the Redis, if there is one, and who carries events between gateways.
pub type SharedParts = (Option<cache::Actor>, events::Actor);

/// What an earlier process left running, as far as one can go on with it, and what is nobody's.
async fn running(store: &Store) -> Result<Vec<Unfinished>, StoreError> {
    store.claim(None, MAX_TURNS).await?;
    let unfinished = store.unfinished(MAX_TURNS).await?;
    let interrupted = store.interrupt_running(&unfinished, &turn::interrupted()).await?;
    if !unfinished.is_empty() || interrupted > 0 {
        tracing::info!(taken_up = unfinished.len(), interrupted, "answers were running when the gateway last ended");
    }
    Ok(unfinished)
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
