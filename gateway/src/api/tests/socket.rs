//! The chat socket, over a real connection: what is said without a node.

use std::{net::SocketAddr, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{Guest, Site};
use crate::http;

pub(super) struct Page(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Page {
    /// A socket on which the page has said who it is.
    pub(super) async fn open(address: SocketAddr, guest: &Guest) -> Result<Self, u16> {
        let mut page = Self::knock(address, guest).await?;
        page.authenticate(guest.bearer.as_deref().unwrap_or_default()).await;
        Ok(page)
    }

    pub(super) async fn authenticate(&mut self, token: &str) {
        self.say(json!({"type": "authenticate", "token": token})).await;
    }

    pub(super) async fn knock(address: SocketAddr, guest: &Guest) -> Result<Self, u16> {
        let mut request = format!("ws://{address}/api/chat").into_client_request().unwrap();
        for (name, value) in &guest.headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame, or the code that the socket was closed with.
    pub(super) async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(Duration::from_secs(10), self.0.next()).await.expect("a frame within ten seconds") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(super) async fn serve(site: &Site) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(http::serve(listener, None, site.router.clone(), site.app.life.clone()));
    address
}

#[tokio::test]
async fn a_page_is_greeted_and_told_that_there_is_no_node() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let mut page = Page::open(serve(&site).await, &anna).await.unwrap();
    let hello = json!({"type": "hello", "version": 3, "swarm": {"nodes": 0, "models": []}});
    assert_eq!(page.hear().await.unwrap(), hello);
    page.say(json!({"type": "ask", "request": "r1", "conversation": null, "text": "hi", "model": null})).await;
    let refused = page.hear().await.unwrap();
    assert_eq!((&refused["type"], &refused["request"]), (&json!("failed"), &json!("r1")));
    assert_eq!((&refused["error"]["code"], &refused["turn"]), (&json!("no_node"), &json!(null)));
    page.say(json!({"type": "ask", "request": "r2", "conversation": null, "text": " ", "model": null})).await;
    assert_eq!(page.hear().await.unwrap()["error"]["field"], "text");
    let id = crate::id::ConversationId::generate().to_string();
    page.say(json!({"type": "join", "conversation": id, "turn": null, "last_seq": 0})).await;
    assert_eq!(page.hear().await.unwrap(), json!({"type": "idle", "conversation": id}));
    page.say(json!({"type": "again", "request": "r3", "conversation": id, "answer": id, "model": null})).await;
    assert_eq!(page.hear().await.unwrap()["request"], "r3");
    let stop = json!({"type": "stop", "turn": id});
    page.say(stop).await;
    assert!(site.get("/api/conversations", &anna).await.body["conversations"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn the_end_of_a_turn_that_was_missed_is_told() {
    use crate::store::{messages::Status, tests::fresh, turns};
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let (user, _) = site.app.store.credentials("anna").await.unwrap().unwrap();
    let (place, turn) = (super::turn_place(), crate::id::TurnId::generate());
    site.app.store.accept(user.id, &place, turn, &"q".to_owned().into(), &fresh()).await.unwrap();
    let text = "all of it".to_owned().into();
    let ending = turns::Ending { text, status: Status::Complete, error: None, answer: None, progress: None };
    site.app.store.finish(turn, &ending).await.unwrap();
    let address = serve(&site).await;
    let join = json!({"type": "join", "conversation": place.id(), "turn": turn, "last_seq": 3});
    let mut page = Page::open(address, &anna).await.unwrap();
    page.hear().await.unwrap();
    page.say(join.clone()).await;
    let done = page.hear().await.unwrap();
    assert_eq!((&done["type"], &done["message"]["text"]), (&json!("done"), &json!("all of it")));
    let mut other = Page::open(address, &site.user("other").await).await.unwrap();
    other.hear().await.unwrap();
    other.say(join).await;
    assert_eq!(other.hear().await.unwrap()["type"], "idle", "another's turn is not there");
}

#[tokio::test]
async fn frames_that_make_no_sense_are_answered_and_then_the_socket_closes() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let mut page = Page::open(serve(&site).await, &anna).await.unwrap();
    page.hear().await.unwrap();
    let long = "x".repeat(300 * 1024);
    for bad in
        [json!(1), json!({"type": "x"}), json!({"type": "stop"}), json!({"type": "stop", "turn": "x"}), json!(long)]
    {
        page.say(bad).await;
        assert_eq!(page.hear().await.unwrap()["type"], "error");
    }
    page.say(json!({"type": "ask", "request": "r".repeat(65), "conversation": null, "text": "x", "model": null})).await;
    assert_eq!(page.hear().await.unwrap()["error"]["field"], "request");
    for _ in 0..4 {
        page.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
        assert_eq!(page.hear().await.unwrap()["type"], "error");
    }
    assert_eq!(page.hear().await, Err(1008));
}

#[tokio::test]
async fn who_may_open_a_socket_and_how_many() {
    let site = Site::new().await;
    let anna = site.user("anna").await;
    let address = serve(&site).await;
    assert_eq!(Page::open(address, &Guest::default()).await.unwrap().hear().await, Err(4401));
    assert_eq!(Page::open(address, &anna.with("origin", "http://evil")).await.err(), Some(403));
    let ours = anna.with("origin", &format!("http://{address}"));
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut page = Page::open(address, &ours).await.unwrap();
        page.hear().await.unwrap();
        open.push(page);
    }
    assert_eq!(Page::open(address, &ours).await.unwrap().hear().await, Err(4429));
}

#[tokio::test]
async fn signing_out_closes_the_socket_and_so_does_the_end() {
    let site = Site::new().await;
    let (anna, address) = (site.user("anna").await, serve(&site).await);
    let mut page = Page::open(address, &anna).await.unwrap();
    page.hear().await.unwrap();
    site.send(axum::http::Method::DELETE, "/api/session", &anna, Some(json!({}))).await;
    page.say(json!({"type": "ask", "request": "r", "conversation": null, "text": "x", "model": null})).await;
    assert_eq!(page.hear().await, Err(4401));
    let mut page = Page::open(address, &site.sign_in("anna").await).await.unwrap();
    page.hear().await.unwrap();
    site.app.life.drain.cancel();
    assert_eq!(page.hear().await, Err(1001));
    site.app.life.tasks.close();
    timeout(Duration::from_secs(5), site.app.life.tasks.wait()).await.expect("nothing is left running");
}

#[tokio::test]
async fn a_socket_says_nothing_before_it_knows_who_it_is_for() {
    let site = Site::new().await;
    let (anna, address) = (site.user("anna").await, serve(&site).await);
    let token = anna.bearer.clone().unwrap();
    for (first, code) in [
        (json!({"type": "join", "conversation": "x", "turn": null, "last_seq": 0}), 4401),
        (json!({"type": "authenticate"}), 4401),
        (json!({"type": "authenticate", "token": 1}), 4401),
        (json!({"type": "authenticate", "token": ""}), 4401),
        (json!({"type": "authenticate", "token": format!("{token}x")}), 4401),
        (json!({"type": "authenticate", "token": "x".repeat(5_000)}), 1008),
        (json!([]), 4401),
    ] {
        let mut page = Page::knock(address, &anna).await.unwrap();
        page.say(first.clone()).await;
        assert_eq!(page.hear().await, Err(code), "{first}");
    }
    let mut page = Page::knock(address, &anna).await.unwrap();
    page.0.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(page.hear().await, Err(1008));
    // The cookie alone opens nothing.
    let mut page = Page::knock(address, &anna).await.unwrap();
    site.app.life.drain.cancel();
    assert_eq!(page.hear().await, Err(1001));
}

#[tokio::test]
async fn those_who_have_not_said_who_they_are_are_counted() {
    let site = Site::new().await;
    let (anna, address) = (site.user("anna").await, serve(&site).await);
    let mut strangers = Vec::new();
    for _ in 0..64 {
        strangers.push(Page::knock(address, &Guest::default()).await.unwrap());
    }
    assert_eq!(Page::knock(address, &anna).await.err(), Some(429));
    strangers[0].authenticate(anna.bearer.as_deref().unwrap()).await;
    assert_eq!(strangers[0].hear().await.unwrap()["type"], "hello");
    assert!(Page::knock(address, &anna).await.is_ok(), "who has said it is counted elsewhere");
}

#[tokio::test]
async fn a_token_is_renewed_on_the_same_socket() {
    let site = Site::new().await;
    let (anna, ben, address) = (site.user("anna").await, site.user("ben").await, serve(&site).await);
    let mut page = Page::open(address, &anna).await.unwrap();
    page.hear().await.unwrap();
    let refreshed = site.post("/api/session/refresh", &anna, json!({})).await;
    page.authenticate(refreshed.body["access_token"].as_str().unwrap()).await;
    let id = crate::id::ConversationId::generate().to_string();
    page.say(json!({"type": "join", "conversation": id, "turn": null, "last_seq": 0})).await;
    assert_eq!(page.hear().await.unwrap()["type"], "idle", "it goes on");
    page.authenticate(ben.bearer.as_deref().unwrap()).await;
    assert_eq!(page.hear().await, Err(4401), "nobody takes over another's socket");
    let mut page = Page::open(address, &ben).await.unwrap();
    page.hear().await.unwrap();
    page.authenticate("nonsense").await;
    assert_eq!(page.hear().await, Err(4401));
}

#[tokio::test]
async fn a_socket_ends_with_its_token() {
    let site = Site::new().await;
    let (anna, address) = (site.user("anna").await, serve(&site).await);
    let me = anna.bearer.as_deref().and_then(|token| site.app.access.check(token, crate::clock::Timestamp::now()));
    let user = site.app.sessions.user(me.unwrap().sid).await.unwrap().unwrap();
    // Made long ago: it has a second left.
    let life = Duration::from_secs(599);
    let old = site.app.access.issue(&user, session_of(&site, &anna), crate::clock::Timestamp::now().before(life));
    let mut page = Page::knock(address, &anna).await.unwrap();
    page.authenticate(&old.text).await;
    page.hear().await.unwrap();
    assert_eq!(page.hear().await, Err(4401));
}

fn session_of(site: &Site, guest: &Guest) -> crate::id::SessionId {
    let token = guest.bearer.as_deref().unwrap();
    site.app.access.check(token, crate::clock::Timestamp::now()).unwrap().sid
}
