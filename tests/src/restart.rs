//! A gateway that can be killed: it runs in a runtime of its own, and once that has ended none of its tasks says or
//! stores another word, as in a process that was killed.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use starling_gateway::{
    app::{Gateway, Running},
    config::Config,
};
use starling_protocol::{membership::SwarmKey, swarm::Multiaddr};
use tokio::runtime::{Builder, Runtime};

use crate::{PATIENCE, TestSwarm};

/// A runtime that may be dropped anywhere.
pub(crate) struct Own(Option<Runtime>);

impl Own {
    /// Starts a gateway in a runtime of its own.
    pub(crate) async fn start(config: Config) -> (Running, Self) {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // Waited for from outside: the compiler cannot see that a future with a migration in it may be sent.
        let start = move || (runtime.block_on(Gateway::start(config)), runtime);
        let (started, runtime) = tokio::task::spawn_blocking(start).await.unwrap();
        (started.map_err(|exit| format!("{exit:?}")).unwrap(), Self(Some(runtime)))
    }

    /// Returns when none of its tasks runs any more.
    async fn end(mut self) {
        let Some(runtime) = self.0.take() else { return };
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await.unwrap();
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A swarm whose gateway is gone; its nodes run.
pub struct Headless {
    /// All but the gateway.
    rest: Box<dyn FnOnce(Running, SwarmKey, Own) -> TestSwarm + Send>,
    again: Again,
}

/// What a gateway is started with again: its folder and its ports.
struct Again {
    data: PathBuf,
    http: SocketAddr,
    listen: Vec<Multiaddr>,
    bootstrap: Multiaddr,
}

impl TestSwarm {
    /// Ends a killable gateway without a word, as `kill -9` would.
    pub async fn kill_gateway(self) -> Headless {
        let (headless, gateway, runtime) = self.behead().await;
        runtime.end().await;
        drop(gateway);
        headless
    }

    /// Stops a killable gateway in order; what runs has so long to end.
    pub async fn stop_gateway_within(self, grace: Duration) -> Headless {
        let (headless, gateway, runtime) = self.behead().await;
        gateway.shutdown_within(grace).await;
        runtime.end().await;
        headless
    }

    async fn behead(self) -> (Headless, Running, Own) {
        let again = Again {
            data: self.data.path().to_owned(),
            http: self.gateway.http(),
            listen: self.gateway.p2p_addresses().await.iter().map(without_id).collect(),
            bootstrap: self.bootstrap.clone(),
        };
        // Its key's file is held for as long as the key is.
        let Self { gateway, http, access, key, swarm_key: _, bootstrap, data, listen, first, runtime } = self;
        let runtime = runtime.expect("start_killable makes those that can be killed");
        let rest = move |gateway, swarm_key, runtime| {
            let runtime = Some(runtime);
            Self { gateway, http, access, key, swarm_key, bootstrap, data, listen, first, runtime }
        };
        (Headless { rest: Box::new(rest), again }, gateway, runtime)
    }
}

impl Headless {
    /// Starts the gateway again where it was.
    pub async fn start(self) -> TestSwarm {
        let Again { data, http, listen, bootstrap } = self.again;
        let mut config = Config::loopback(&data).unwrap();
        config.http = http;
        config.swarm.listen = listen;
        config.swarm.bootstrap = vec![bootstrap];
        config.memory.memory_deadline_ms = crate::MEMORY_DEADLINE_MS;
        config.database = crate::database(&data, &config.database).await;
        let swarm_key = crate::key_of(&config);
        let (gateway, runtime) = Own::start(config).await;
        (self.rest)(gateway, swarm_key, runtime)
    }
}

fn without_id(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !part.to_string().starts_with("/p2p")).collect()
}
