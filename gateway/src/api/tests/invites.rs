//! Invites and members, for administrators.

use axum::http::Method;
use serde_json::{Value, json};
use starling_protocol::{
    membership::{Invite, MemberRole},
    swarm::PeerId,
};

use super::{Answer, Guest, Site};
use crate::{
    clock::Timestamp,
    store::{invites::Bearer, users::Role},
};

async fn admin() -> (Site, Guest) {
    let site = Site::new().await;
    let admin = site.person("admin", Role::Admin).await;
    (site, admin)
}

async fn delete(site: &Site, guest: &Guest, path: &str) -> Answer {
    site.send(Method::DELETE, path, guest, Some(json!({}))).await
}

#[tokio::test]
async fn an_invite_is_shown_once_and_holds_all_that_a_peer_needs() {
    let (site, admin) = admin().await;
    let made = site.post("/api/invites", &admin, json!({"label": " lab ", "max_uses": 3, "role": "gateway"})).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text);
    let text = made.body["text"].as_str().unwrap();
    let invite: Invite = text.parse().unwrap();
    assert_eq!((invite.swarm, invite.gateway), (site.app.network.members.swarm(), site.app.network.swarm.local_peer()));
    assert_eq!(invite.addresses, site.app.network.places.now());
    assert_eq!(made.body["invite"]["label"], "lab");
    let list = site.get("/api/invites", &admin).await;
    assert_eq!(list.body["invites"], json!([made.body["invite"]]));
    assert_eq!(list.body["authority"], true);
    assert!(!list.text.contains("starling-invite-"));

    let bearer = Bearer { digest: invite.secret.digest(), peer: PeerId::random(), name: "n", role: None };
    assert_eq!(site.app.store.redeem(&bearer, Timestamp::now()).await.unwrap(), Ok(MemberRole::Gateway));
    let id = made.body["invite"]["id"].as_str().unwrap();
    assert_eq!(delete(&site, &admin, &format!("/api/invites/{id}")).await.status.as_u16(), 204);
    let list = site.get("/api/invites", &admin).await;
    assert_eq!(list.body["invites"][0]["uses"], 1);
    assert!(list.body["invites"][0]["revoked_at"].is_string());
    for id in ["nonsense", "00000000-0000-7000-8000-000000000000"] {
        delete(&site, &admin, &format!("/api/invites/{id}")).await.is(404, "no_such_invite");
    }
}

#[tokio::test]
async fn an_invite_has_bounds() {
    let (site, admin) = admin().await;
    for (body, field) in [
        (json!({"label": "x".repeat(65)}), "label"),
        (json!({"label": "a\nb"}), "label"),
        (json!({"max_uses": 0}), "max_uses"),
        (json!({"max_uses": 10_001}), "max_uses"),
        (json!({"expires_in_seconds": 0}), "expires_in_seconds"),
        (json!({"expires_in_seconds": 31_536_001}), "expires_in_seconds"),
        (json!({"role": "king"}), "role"),
    ] {
        let answer = site.post("/api/invites", &admin, body.clone()).await;
        assert_eq!((answer.status.as_u16(), &answer.body["error"]["field"]), (400, &json!(field)), "{body}");
    }
    assert_eq!(site.get("/api/invites", &admin).await.body["invites"], json!([]));
}

#[tokio::test]
async fn members_are_listed_and_turned_out() {
    let (site, admin) = admin().await;
    let made = site.post("/api/invites", &admin, json!({})).await;
    let invite: Invite = made.body["text"].as_str().unwrap().parse().unwrap();
    let peer = PeerId::random();
    let bearer = Bearer { digest: invite.secret.digest(), peer, name: "a node", role: None };
    site.app.store.redeem(&bearer, Timestamp::now()).await.unwrap().unwrap();
    let list = site.get("/api/members", &admin).await.body;
    assert_eq!(list["swarm"], json!(site.app.network.members.swarm().to_string()));
    let member = &list["members"][0];
    assert_eq!((&member["peer"], &member["name"]), (&json!(peer.to_string()), &json!("a node")));
    assert_eq!((&member["connected"], &member["revoked_at"]), (&json!(false), &Value::Null));
    // Whoever made the invite sees what came in with it.
    let mine = site.get("/api/my/nodes", &admin).await.body;
    let node = &mine["nodes"][0];
    assert_eq!((&node["peer"], &node["invite"]), (&json!(peer.to_string()), &made.body["invite"]["id"]));
    assert_eq!(node["now"], Value::Null);
    for stranger in [PeerId::random().to_string(), "nonsense".to_owned()] {
        delete(&site, &admin, &format!("/api/members/{stranger}")).await.is(404, "no_such_member");
    }
    let me = site.app.network.swarm.local_peer();
    delete(&site, &admin, &format!("/api/members/{me}")).await.is(409, "oneself");
}
