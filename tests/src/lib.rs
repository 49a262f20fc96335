//! A whole swarm in one process, for tests: a real bootstrap peer, a real gateway, and as many real
//! nodes as a test wants, over loopback and free ports. Everything stops when it is dropped.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test that cannot go on should say so at once")]

mod chat;
pub mod figures;
pub mod mariadb;
mod peer;
#[path = "../../gateway/src/cache/tests/server.rs"]
mod redis_server;
mod restart;
mod wait;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use starling_gateway::{
    app::{Gateway, Running},
    config::Config,
    dispatch::View,
    master::MasterKey,
    store::Database,
};
use starling_inference::{Source, scripted};
use starling_node::{Apart, Node, OnDemand, polite};
use starling_protocol::{
    Identity,
    members::Standing,
    membership::{Clock, MemberRole, Membership, SwarmKey},
    swarm::{self, Multiaddr, PeerId, Role},
};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::{
    chat::{Answer, Chat},
    peer::MemberPeer,
    redis_server::RedisServer,
    restart::Headless,
    wait::{until, until_some},
};

/// How long anything in a test may take before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long a question waits for its memories: in a test that is not about this, for as long as it takes.
const MEMORY_DEADLINE_MS: u64 = 20_000;

/// Name and password of every test swarm's administrator.
pub const ADMIN: (&str, &str) = ("admin", "correct horse");

/// A swarm of one bootstrap peer, one gateway and some nodes.
pub struct TestSwarm {
    /// The gateway.
    pub gateway: Running,
    /// A client without a session.
    pub http: reqwest::Client,
    /// The administrator's access token.
    pub access: String,
    /// An API key of the administrator's.
    pub key: String,
    /// The swarm's key, which the gateway holds too.
    pub swarm_key: SwarmKey,
    /// The first peer.
    pub bootstrap: Multiaddr,
    /// The gateway's folder.
    pub data: TempDir,
    /// Where its nodes listen.
    listen: Vec<Multiaddr>,
    /// Keeps the first peer running.
    first: Option<DropGuard>,
    /// Where the gateway runs, if it can be killed.
    runtime: Option<restart::Own>,
}

/// A node of a test swarm, gone when dropped.
pub struct TestNode {
    /// Its id.
    pub peer: PeerId,
    /// The node itself, until it is stopped.
    pub node: Option<Node>,
}

impl TestSwarm {
    /// A swarm without nodes, and its administrator.
    pub async fn start() -> Self {
        Self::start_with(|_| {}, vec![loopback()]).await
    }

    /// A swarm whose gateway and nodes listen nowhere, as behind NATs that let nothing in: they meet over the
    /// bootstrap peer.
    pub async fn start_relayed() -> Self {
        Self::start_with(|config| config.swarm.listen = vec![], vec![]).await
    }

    /// A swarm whose gateway is as `change` makes it, and whose nodes listen there.
    pub async fn start_with(change: impl FnOnce(&mut Config), listen: Vec<Multiaddr>) -> Self {
        if let Ok(filter) = std::env::var("STARLING_TEST_LOG") {
            starling_protocol::program::init_log(&filter).unwrap_or_else(|exit| panic!("{exit:?}"));
        }
        let (config, swarm_key, bootstrap, data, guard) = Self::founder(change).await;
        Box::pin(Self::run(config, swarm_key, bootstrap, data, listen, Some(guard))).await
    }

    /// A swarm whose gateway can be killed and started again.
    pub async fn start_killable() -> Self {
        Self::start_killable_with(|_| {}).await
    }

    /// A swarm whose gateway is as `change` makes it, and can be killed.
    pub async fn start_killable_with(change: impl FnOnce(&mut Config)) -> Self {
        let (config, swarm_key, bootstrap, data, guard) = Self::founder(change).await;
        let (gateway, runtime) = restart::Own::start(config).await;
        let listen = vec![loopback()];
        let swarm = Self::with_gateway(gateway, swarm_key, bootstrap, data, listen, Some(guard)).await;
        Self { runtime: Some(runtime), ..swarm }
    }

    async fn founder(change: impl FnOnce(&mut Config)) -> (Config, SwarmKey, Multiaddr, TempDir, DropGuard) {
        let data = tempfile::tempdir().unwrap();
        let (bootstrap, guard) = start_bootstrap().await;
        let mut config = Config::loopback(data.path()).unwrap();
        config.swarm.bootstrap = vec![bootstrap.clone()];
        config.memory.memory_deadline_ms = MEMORY_DEADLINE_MS;
        config.database = database(data.path(), &config.database).await;
        let swarm_key = key_of(&config);
        change(&mut config);
        (config, swarm_key, bootstrap, data, guard)
    }

    /// Another gateway of the same swarm, a member of it like any other, with people and keys of its own.
    pub async fn another_gateway(&self, change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::loopback(data.path()).unwrap();
        config.swarm.swarm = Some(self.swarm_key.id());
        config.swarm.bootstrap = vec![self.bootstrap.clone()];
        config.standing = Standing::Member(self.certify(config.swarm.peer(), MemberRole::Gateway));
        change(&mut config);
        let listen = self.listen.clone();
        Box::pin(Self::run(config, self.swarm_key.clone(), self.bootstrap.clone(), data, listen, None)).await
    }

    /// Another gateway of the same swarm on the same database, with its own folder; it goes on with this one's answers.
    pub async fn beside(&self, change: impl FnOnce(&mut Config)) -> (Running, TempDir) {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::loopback(data.path()).unwrap();
        config.database = Database::Sqlite(self.data.path().join("starling.db"));
        config.master = MasterKey::load_or_create(&self.data.path().join("master.key")).unwrap();
        config.swarm.swarm = Some(self.swarm_key.id());
        config.swarm.bootstrap = vec![self.bootstrap.clone()];
        config.standing = Standing::Member(self.certify(config.swarm.peer(), MemberRole::Gateway));
        change(&mut config);
        (Box::pin(Gateway::start(config)).await.map_err(|exit| format!("{exit:?}")).unwrap(), data)
    }

    async fn run(
        config: Config,
        swarm_key: SwarmKey,
        bootstrap: Multiaddr,
        data: TempDir,
        listen: Vec<Multiaddr>,
        first: Option<DropGuard>,
    ) -> Self {
        let gateway = Box::pin(Gateway::start(config)).await.map_err(|exit| format!("{exit:?}")).unwrap();
        Self::with_gateway(gateway, swarm_key, bootstrap, data, listen, first).await
    }

    async fn with_gateway(
        gateway: Running,
        swarm_key: SwarmKey,
        bootstrap: Multiaddr,
        data: TempDir,
        listen: Vec<Multiaddr>,
        first: Option<DropGuard>,
    ) -> Self {
        let http = reqwest::Client::new();
        let access = set_up(&gateway, &http).await;
        let key = make_key(&gateway, &http, &access).await;
        Self { gateway, http, access, key, swarm_key, bootstrap, data, listen, first, runtime: None }
    }

    /// Ends the first peer.
    pub fn kill_bootstrap(&mut self) {
        self.first = None;
    }

    /// A swarm with one node for each of these options, all of them known to the gateway.
    pub async fn with_nodes(options: &[&str]) -> (Self, Vec<TestNode>) {
        let swarm = Self::start().await;
        let mut nodes = vec![];
        for options in options {
            nodes.push(swarm.add_node(options).await);
        }
        (swarm, nodes)
    }

    /// Adds a scripted node and waits until the gateway has found it.
    pub async fn add_node(&self, options: &str) -> TestNode {
        self.add_node_of(&[options]).await
    }

    /// Adds a node with one scripted model for each of these options, and waits until the gateway has found it.
    pub async fn add_node_of(&self, options: &[&str]) -> TestNode {
        self.add(self.node_config(options)).await
    }

    /// Starts a node and waits until the gateway has found it.
    pub async fn add(&self, config: starling_node::Config) -> TestNode {
        let node = starling_node::start(config).await.map_err(|exit| format!("{exit:?}")).unwrap();
        let peer = node.swarm().local_peer();
        self.sees("the node", |view| view.nodes.iter().any(|node| node.peer == peer && !node.models.is_empty())).await;
        TestNode { peer, node: Some(node) }
    }

    /// A member with one scripted model for each of these options, not yet started.
    #[must_use]
    pub fn node_config(&self, options: &[&str]) -> starling_node::Config {
        let source = |options: &&str| Source::Scripted(options.parse().unwrap());
        let swarm = swarm::Config { listen: self.listen.clone(), ..self.peer_config(Role::Node) };
        starling_node::Config {
            membership: self.certify(swarm.peer(), MemberRole::Node),
            swarm,
            name: "test node".to_owned(),
            sources: options.iter().map(source).collect(),
            engines: Apart::default(),
            on_demand: OnDemand::default(),
            polite: polite::Options::default(),
            tensorrt: None,
            data: None,
        }
    }

    /// What makes a peer a member, without an invite.
    #[must_use]
    pub fn certify(&self, peer: PeerId, role: MemberRole) -> Membership {
        let certificate = self.swarm_key.certify(peer, role, Clock::default().now());
        Membership { certificate, addresses: vec![self.bootstrap.clone()] }
    }

    /// A peer that looks for this swarm's members and is none yet.
    #[must_use]
    pub fn peer_config(&self, role: Role) -> swarm::Config {
        let config = peer_config(role, vec![self.bootstrap.clone()]);
        swarm::Config { swarm: Some(self.swarm_key.id()), ..config }
    }

    /// Waits until the gateway's view of the swarm is as it should be.
    pub async fn sees(&self, what: &str, mut condition: impl FnMut(&View) -> bool) {
        let mut view = self.gateway.app().dispatch.view();
        let seen = tokio::time::timeout(PATIENCE, view.wait_for(|view| condition(view))).await;
        assert!(seen.is_ok(), "the gateway never saw {what}");
    }

    /// An address of the gateway.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.http())
    }

    /// A chat completion, asked with the API key.
    pub async fn complete(&self, body: &Value) -> reqwest::Response {
        self.http.post(self.url("/v1/chat/completions")).bearer_auth(&self.key).json(body).send().await.unwrap()
    }

    /// A GET of the administrator's.
    pub async fn get(&self, path: &str) -> Value {
        let response = self.http.get(self.url(path)).bearer_auth(&self.access).send().await.unwrap();
        response.json().await.unwrap()
    }

    /// A POST of the administrator's.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(self.url(path)).bearer_auth(&self.access).json(body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// A DELETE of the administrator's; its status.
    pub async fn delete(&self, path: &str) -> u16 {
        let request = self.http.delete(self.url(path)).bearer_auth(&self.access).json(&json!({}));
        request.send().await.unwrap().status().as_u16()
    }

    /// The administrator's chat socket.
    pub async fn chat(&self) -> Chat {
        Chat::connect(&format!("ws://{}/api/chat", self.gateway.http()), &self.access).await
    }

    /// Every connection between the gateway and the node breaks; they dial each other again.
    pub async fn cut(&self, node: &TestNode) {
        let mut peers = self.gateway.swarm().peers();
        peers.borrow_and_update();
        self.gateway.swarm().expel(node.peer).await;
        let gone = peers.wait_for(|peers| peers.get(&node.peer).is_none());
        tokio::time::timeout(PATIENCE, gone).await.expect("the connection never broke").unwrap();
    }

    /// Waits until no slot of any node is taken: nothing was left running.
    pub async fn is_idle(&self) {
        self.sees("every slot free", |view| view.nodes.iter().all(|node| node.slots == node.slots_free)).await;
    }
}

impl TestNode {
    /// Ends the node without a word, as a power cut would.
    pub fn kill(&mut self) {
        self.node = None;
    }

    /// Stops it in order.
    pub async fn stop(&mut self, grace: Duration) {
        if let Some(node) = self.node.take() {
            node.stop(grace).await;
        }
    }
}

/// What a scripted node of these options answers to one user message.
#[must_use]
pub fn expected_text(options: &str, prompt: &str, max_tokens: Option<u32>) -> String {
    let options: scripted::Options = options.parse().unwrap();
    let message = starling_inference::Message::new(starling_inference::Role::User, prompt);
    options.expected_text(&starling_inference::Request {
        messages: vec![message],
        max_tokens,
        ..starling_inference::Request::default()
    })
}

/// A first peer and its address; it ends with the guard.
pub async fn start_bootstrap() -> (Multiaddr, DropGuard) {
    let (handle, _inbound, actor) = swarm::new(peer_config(Role::Bootstrap, vec![])).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(actor.run(stop.clone()));
    let mut addresses = handle.addresses();
    let address = addresses.wait_for(|addresses| !addresses.is_empty()).await.unwrap()[0].clone();
    (address, stop.drop_guard())
}

/// The gateway's own, or one on the server that `STARLING_TEST_DATABASE` names: the same at each call with a folder.
async fn database(data: &Path, own: &Database) -> Database {
    let Ok(server) = std::env::var("STARLING_TEST_DATABASE") else { return own.clone() };
    let note = data.join("database");
    if !note.exists() {
        std::fs::write(&note, mariadb::new_database(&server).await).unwrap();
    }
    Database::MySql(std::fs::read_to_string(note).unwrap().parse().unwrap())
}

fn key_of(config: &Config) -> SwarmKey {
    let Standing::Authority { key, .. } = &config.standing else { panic!("not a founder") };
    key.clone()
}

fn peer_config(role: Role, bootstrap: Vec<Multiaddr>) -> swarm::Config {
    swarm::Config {
        identity: Identity::generate().unwrap(),
        swarm: None,
        role,
        listen: vec![loopback()],
        external: vec![],
        bootstrap,
        serve_relay: role == Role::Bootstrap,
        port_mapping: false,
        address_book: None,
        passing: false,
        agent: "test".to_owned(),
    }
}

/// Any free port of this machine.
#[must_use]
pub fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().unwrap()
}

async fn set_up(gateway: &Running, http: &reqwest::Client) -> String {
    let code = gateway.setup_code().borrow().clone().unwrap();
    let body = json!({"code": code.reveal(), "username": ADMIN.0, "password": ADMIN.1});
    let url = format!("http://{}/api/setup", gateway.http());
    let response = http.post(url).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 201);
    response.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
}

async fn make_key(gateway: &Running, http: &reqwest::Client, access: &str) -> String {
    let url = format!("http://{}/api/keys", gateway.http());
    let response = http.post(url).bearer_auth(access).json(&json!({"label": "test"})).send().await.unwrap();
    response.json::<Value>().await.unwrap()["secret"].as_str().unwrap().to_owned()
}
