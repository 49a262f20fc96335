//! The routes from outside, over requests without a network. There is no node; answers are tested
//! where there is a swarm, in the `tests` crate.

mod accounts;
mod budgets;
mod characters;
mod conversations;
mod errors;
mod export;
mod figures;
mod forged;
mod invites;
mod limits;
mod matrix;
mod memories;
mod metrics;
mod operator;
mod people;
mod releases;
mod sessions;
mod socket;
mod topology;
mod windows;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use starling_protocol::{
    members::{self, Standing},
    membership::{Clock, MemberRole, SwarmKey},
    program::{LogFileOptions, LogFormat, SwarmOptions},
    swarm::{self, Role},
};
use tower::ServiceExt;

use super::router;
use crate::{
    accounts::AccountOptions,
    app::{App, Ingredients, Origin, Shared},
    config::Titles,
    dispatch::Dispatch,
    id::{TurnId, UserId},
    master::MasterKey,
    membership::{Network, Places},
    memory,
    releases::Releases,
    store::{self, tests::store, users},
};

/// A gateway without a network, and a folder that goes away with it.
struct Site {
    app: App,
    router: Router,
    _dir: tempfile::TempDir,
}

/// How a request says who it is from: a page has the cookie and an access token, a program has a key.
#[derive(Clone, Debug, Default)]
struct Guest {
    cookie: Option<String>,
    bearer: Option<String>,
    headers: Vec<(&'static str, String)>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
    text: String,
}

impl Site {
    async fn new() -> Self {
        Self::with_origin(None).await
    }

    async fn with_origin(public_origin: Option<&str>) -> Self {
        Self::with(public_origin, AccountOptions::default()).await
    }

    async fn with(public_origin: Option<&str>, accounts: AccountOptions) -> Self {
        let (none, _) = Releases::new(&Default::default(), None);
        Self::of(public_origin, accounts, none).await
    }

    async fn of(public_origin: Option<&str>, accounts: AccountOptions, releases: Releases) -> Self {
        let (store, dir) = store().await;
        let network = network(dir.path());
        let master = MasterKey::generate();
        let (shared, _) = Shared::new(&store, None, &master);
        let app = App::new(Ingredients {
            store,
            dispatch: Dispatch::detached(),
            network,
            origin: Origin { public: public_origin.map(str::to_owned), tls: false },
            titles: Titles::Words,
            memory: memory::Options::default(),
            accounts,
            master,
            shared,
            releases,
        });
        let app = app.await.unwrap();
        Self { router: router(app.clone()), app, _dir: dir }
    }

    async fn send(&self, method: Method, path: &str, guest: &Guest, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "gateway:80");
        if let Some(cookie) = &guest.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(bearer) = &guest.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        for (name, value) in &guest.headers {
            request = request.header(*name, value);
        }
        let request = match body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(body.to_string().into()),
            None => request.body(Body::empty()),
        };
        self.raw(request.unwrap()).await
    }

    async fn raw(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status: head.status, headers: head.headers, body, text }
    }

    async fn get(&self, path: &str, guest: &Guest) -> Answer {
        self.send(Method::GET, path, guest, None).await
    }

    async fn post(&self, path: &str, guest: &Guest, body: Value) -> Answer {
        self.send(Method::POST, path, guest, Some(body)).await
    }

    /// Makes a user and signs them in; the hash of the password is the only thing that is slow here.
    async fn user(&self, name: &str) -> Guest {
        self.person(name, users::Role::User).await
    }

    async fn person(&self, name: &str, role: users::Role) -> Guest {
        let hash = self.app.passwords.hash("a good password".to_owned().into()).await.unwrap();
        self.app.store.create_user(name, &hash, role).await.unwrap();
        self.sign_in(name).await
    }

    async fn sign_in(&self, name: &str) -> Guest {
        let body = json!({"username": name, "password": "a good password"});
        let answer = self.post("/api/session", &Guest::default(), body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.guest()
    }
}

impl Guest {
    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut guest = self.clone();
        guest.headers.push((name, value.to_owned()));
        guest
    }

    fn bearer(key: &str) -> Self {
        Self { bearer: Some(key.to_owned()), ..Self::default() }
    }
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// Whoever was signed in by it.
    fn guest(&self) -> Guest {
        let bearer = self.body["access_token"].as_str().unwrap().to_owned();
        Guest { cookie: Some(self.cookie()), bearer: Some(bearer), headers: vec![] }
    }

    fn cookie(&self) -> String {
        let set = self.headers[header::SET_COOKIE].to_str().unwrap();
        set.split(';').next().unwrap().to_owned()
    }

    #[track_caller]
    fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.text);
    }
}

/// The founder of a swarm that nobody runs.
fn network(dir: &std::path::Path) -> Network {
    let options = SwarmOptions {
        config: None,
        data: None,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        external: vec!["/ip4/192.0.2.1/tcp/4001".parse().unwrap()],
        no_port_mapping: true,
        bootstrap: vec![],
        log: String::new(),
        log_format: LogFormat::Text,
        log_file: LogFileOptions::default(),
    };
    let (swarm, inbound, _) = swarm::new(options.swarm_config(Role::Gateway, dir, false).unwrap()).unwrap();
    let key = SwarmKey::generate().unwrap();
    let (members, _) = members::new(members::Config {
        swarm: swarm.clone(),
        inbound: inbound.member,
        standing: Standing::Authority { key, role: MemberRole::Gateway },
        revocations: None,
        membership: None,
        clock: Clock::default(),
    })
    .unwrap();
    Network { places: Places::new(&swarm, options.external, vec![]), swarm, members }
}

/// The conversation of a user, for those who try to get at it.
async fn conversation_of(site: &Site, guest: &Guest) -> String {
    let answer = site.post("/api/conversations", guest, json!({"title": "mine"})).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    answer.body["conversation"]["id"].as_str().unwrap().to_owned()
}

/// A whole answer of a user, in a conversation of its own.
async fn answer_of(site: &Site, guest: &Guest) -> String {
    use store::{messages::Status, tests::fresh, turns::Ending};
    let user: UserId = site.get("/api/me", guest).await.body["user"]["id"].as_str().unwrap().parse().unwrap();
    let (place, turn) = (turn_place(), TurnId::generate());
    site.app.store.accept(user, &place, turn, &"q".to_owned().into(), &fresh()).await.unwrap();
    let text = "a".to_owned().into();
    let ending = Ending { text, status: Status::Complete, error: None, answer: None, progress: None };
    site.app.store.finish(turn, &ending).await.unwrap();
    turn.to_string()
}

fn turn_place() -> store::turns::Place {
    store::turns::Place::New { id: crate::id::ConversationId::generate(), title: "t".to_owned().into() }
}
