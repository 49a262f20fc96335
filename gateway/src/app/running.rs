//! A gateway that runs: which parts it has, and in which order they stop.

use std::{net::SocketAddr, time::Duration};

use starling_protocol::{
    members,
    membership::Clock,
    program::Exit,
    swarm::{self, Multiaddr, PeerId},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{App, Ingredients, Origin, Shared};
use crate::{
    api,
    config::Config,
    dispatch, drained, figures, http,
    membership::{Joining, Network, Places},
    releases::Releases,
    setup::SetupCode,
    store::{OpenError, Sealing, Store},
    tls::{self, Reloader, Tls, TlsFiles},
};

/// How long what was cancelled may take to keep what it has.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long the swarm may take to say good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts gateways.
pub struct Gateway;

/// A gateway that runs. Dropping it ends it at once; [`shutdown`](Self::shutdown) ends it in order.
pub struct Running {
    app: App,
    http: SocketAddr,
    parts: Parallel,
    grace: Duration,
}

/// The parts that run as long as the gateway does, and what ends them.
#[derive(Default)]
struct Parallel {
    tasks: JoinSet<&'static str>,
    close: CancellationToken,
}

impl Parallel {
    fn spawn(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            part.await;
            name
        });
    }
}

impl Gateway {
    /// Opens the database, listens, and starts the few parts that run as long as the gateway does.
    ///
    /// # Errors
    /// A mistake that the operator can correct, mostly.
    pub async fn start(config: Config) -> Result<Running, Exit> {
        let store = open_store(&config).await?;
        let (tls, renewal) = config.tls.map(secure).transpose()?.unzip();
        let listener = http::listen(config.http).map_err(|error| {
            let hint = "another program may use this port: choose another with --http, or port 0 for a free one";
            Exit::usage(format!("cannot listen on {}: {error}", config.http), hint)
        })?;
        let http = listener.local_addr().map_err(Exit::failed)?;
        let (external, bootstrap) = (config.swarm.external.clone(), config.swarm.bootstrap.clone());
        let (swarm, inbound, swarm_actor) = swarm::new(config.swarm)?;
        let (members, members_actor) = members::new(members::Config {
            swarm: swarm.clone(),
            inbound: inbound.member,
            standing: config.standing,
            revocations: Some(config.files.revocations),
            membership: Some(config.files.membership),
            clock: Clock::default(),
        })?;
        let (dispatch, dispatcher) = dispatch::new(swarm.clone(), inbound.status, members.clone(), config.rules);
        let network = Network { places: Places::new(&swarm, external, bootstrap), swarm, members };
        let joining = Joining::new(store.clone(), network.clone(), Clock::default());
        let (releases, keeper) = Releases::new(&config.releases, config.public_origin.clone());
        let origin = Origin { public: config.public_origin, tls: tls.is_some() };
        let over = config.redis.map(|redis| (redis, network.members.swarm()));
        let (shared, (link, carrier)) = Shared::new(&store, over, &config.master);
        let (titles, memory, accounts, master) = (config.titles, config.memory, config.accounts, config.master);
        let ingredients =
            Ingredients { store, dispatch, network, origin, titles, memory, accounts, master, shared, releases };
        let app = Box::pin(App::new(ingredients)).await.map_err(Exit::failed)?;

        let mut parts = Parallel::default();
        let stop = || parts.close.clone();
        let (router, life) = (api::router(app.clone()), app.life.clone());
        let whereabouts = app.network.clone().keep_whereabouts(app.store.clone(), stop());
        let (joining, dispatching) = (joining.run(inbound.join, stop()), dispatcher.run(stop()));
        let counting = app.metrics.upgrades().run(app.network.swarm.clone(), app.dispatch.view(), stop());
        let figuring = figures::keep(app.figures.clone(), app.dispatch.jobs().clone(), stop());
        let (swarming, meeting) = (swarm_actor.run(stop()), members_actor.run(stop()));
        let draining = drained::keep(app.store.clone(), app.dispatch.clone(), stop());
        let (renewing, keeping) = (renewal.map(|renewal| renewal.run(stop())), app.turns.clone().keep(stop()));
        let (watching, carrying) = (app.turns.clone().watch_over(stop()), carrier.run(stop()));
        let sharing = link.map(|link| (link.run(stop()), app.turns.clone().mirror(stop())));
        let (remembering, obeying) = (app.memory.clone().run(stop()), app.clone().obey(stop()));
        let (picturing, releasing) = (app.topology.clone().run(stop()), keeper.run(stop()));
        let (sealing, counting_tokens) = (app.store.clone().seal_old(stop()), app.ledger.clone().run(stop()));
        parts.spawn("the swarm", swarming);
        parts.spawn("who is a member", meeting.instrument(tracing::info_span!("members")));
        parts.spawn("the scheduler", dispatching.instrument(tracing::info_span!("dispatch")));
        parts.spawn("letting members in", joining.instrument(tracing::info_span!("join")));
        parts.spawn("keeping its addresses", whereabouts);
        parts.spawn("the count of upgrades", counting);
        parts.spawn("the figures of the last day", figuring);
        parts.spawn("which nodes are drained", draining);
        parts.spawn("sealing", sealing.instrument(tracing::info_span!("seal")));
        parts.spawn("the picture of the swarm", picturing);
        parts.spawn("counting tokens", counting_tokens.instrument(tracing::info_span!("ledger")));
        parts.spawn("keeping answers", keeping.instrument(tracing::info_span!("keep")));
        parts.spawn("watching over answers", watching.instrument(tracing::info_span!("owners")));
        parts.spawn("carrying events", carrying);
        parts.spawn("looking after the release", releasing);
        parts.spawn("turning people out", obeying);
        if let Some((linking, mirroring)) = sharing {
            parts.spawn("the way to the Redis", linking.instrument(tracing::info_span!("cache")));
            parts.spawn("showing answers to other gateways", mirroring);
        }
        renewing.into_iter().for_each(|renewing| parts.spawn("keeping the certificate", renewing));
        parts.spawn("memory", remembering.instrument(tracing::info_span!("memory")));
        parts.spawn("the HTTP server", http::serve(listener, tls, router, life));
        Ok(Running { app, http, parts, grace: config.grace })
    }
}

impl Running {
    /// Where it serves people.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Its id in the swarm.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.app.network.swarm.local_peer()
    }

    /// Its part in the swarm.
    #[must_use]
    pub fn swarm(&self) -> &swarm::Handle {
        &self.app.network.swarm
    }

    /// Where it listens for peers, once it does; each address ends in its own id.
    pub async fn p2p_addresses(&self) -> Vec<Multiaddr> {
        let mut addresses = self.app.network.swarm.addresses();
        let listening = timeout(CLOSE_TIMEOUT, addresses.wait_for(|addresses| !addresses.is_empty())).await;
        listening.ok().and_then(Result::ok).map(|addresses| addresses.clone()).unwrap_or_default()
    }

    /// The code that makes the first administrator, while it is needed.
    #[must_use]
    pub fn setup_code(&self) -> watch::Receiver<Option<SetupCode>> {
        self.app.setup.code()
    }

    /// What its handlers share: for tests that make users or look at the swarm's view.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Waits until one of its parts has ended, which none should: the process ends with it.
    pub async fn failed(&mut self) -> Exit {
        match self.parts.tasks.join_next().await {
            Some(Ok(part)) => Exit::failed(format_args!("{part} has ended unexpectedly")),
            Some(Err(error)) => Exit::failed(format_args!("a part of the gateway has died: {error}")),
            None => Exit::failed("nothing runs"),
        }
    }

    /// Stops in order: takes no more, and says so; hands what people read over to another gateway on its database, or
    /// else lets answers end for the grace; keeps the rest, which the next start takes up; closes the swarm; closes the
    /// database.
    pub async fn shutdown(self) {
        let grace = self.grace;
        self.shutdown_within(grace).await;
    }

    /// As [`shutdown`](Self::shutdown), with another grace than the configured one.
    pub async fn shutdown_within(mut self, grace: Duration) {
        let life = self.app.life.clone();
        life.drain.cancel();
        life.tasks.close();
        if self.app.turns.hand_over() {
            self.app.tapes.hand_over();
            tracing::info!("other gateways go on with what is being answered");
        }
        // What comes from now on would be handed over to one that stops.
        self.app.cache.retire();
        if timeout(grace, life.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = life.tasks.len(), "the grace is over");
            life.cancel.cancel();
            let _ = timeout(LAST_WORDS, life.tasks.wait()).await;
        }
        life.cancel.cancel();
        // While there is a swarm to tell it through: else nodes would wait for us to come back.
        let _ = timeout(LAST_WORDS, self.app.dispatch.settled()).await;
        self.parts.close.cancel();
        let closed = Instant::now() + CLOSE_TIMEOUT;
        while let Ok(Some(_)) = timeout_at(closed, self.parts.tasks.join_next()).await {}
        self.app.store.close().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.app.life.drain.cancel();
        self.app.life.cancel.cancel();
        self.parts.close.cancel();
    }
}

async fn open_store(config: &Config) -> Result<Store, Exit> {
    let sealing = Sealing { master: config.master.clone(), cipher: config.cipher };
    let store = Store::open(&config.database, &sealing).await.map_err(|error| exit_of(&error))?;
    let store = store.of_gateway(&config.swarm.peer().to_string());
    Ok(store.with_budget(config.accounts.tokens_per_month))
}

fn secure(files: TlsFiles) -> Result<(Tls, Reloader), Exit> {
    tls::open(files).map_err(|error| {
        let hint = "give the PEM files that belong together with --tls-cert and --tls-key, such as certbot's \
                    fullchain.pem and privkey.pem";
        Exit::usage(error, hint)
    })
}

fn exit_of(error: &OpenError) -> Exit {
    Exit::usage(error, error.hint())
}
