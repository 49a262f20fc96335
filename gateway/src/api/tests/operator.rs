//! Draining nodes, and what is written down of those who run the gateway.

use axum::http::Method;
use serde_json::{Value, json};
use starling_protocol::{membership::MemberRole, swarm::PeerId};

use super::{Guest, Site};
use crate::{
    clock::Timestamp,
    store::{
        audit::{Action, Entry},
        invites::{Bearer, NewInvite},
        users::Role,
    },
};

/// A member that joined here.
async fn member(site: &Site, role: MemberRole) -> PeerId {
    let (digest, peer) = ([7; 32], PeerId::random());
    let lifetime = std::time::Duration::from_secs(60);
    let new = NewInvite { label: String::new(), role, max_uses: 1, lifetime, created_by: None, printed: false };
    let secret = crate::secret::digest(&peer.to_string());
    site.app.store.create_invite(&new, &secret).await.unwrap().unwrap();
    let bearer = Bearer { digest: secret, peer, name: "n", role: None };
    assert_eq!(site.app.store.redeem(&bearer, Timestamp::now()).await.unwrap(), Ok(role), "{digest:?}");
    peer
}

async fn drain(site: &Site, admin: &Guest, peer: &str, drained: bool) -> super::Answer {
    site.send(Method::PATCH, &format!("/api/nodes/{peer}"), admin, Some(json!({"drained": drained}))).await
}

async fn log(site: &Site, admin: &Guest, query: &str) -> Vec<Value> {
    let list = site.get(&format!("/api/audit{query}"), admin).await;
    assert_eq!(list.status.as_u16(), 200, "{}", list.text);
    list.body["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_node_is_drained_and_resumed_and_both_are_written_down() {
    let site = Site::new().await;
    let admin = site.person("admin", Role::Admin).await;
    let node = member(&site, MemberRole::Node).await.to_string();
    let gateway = member(&site, MemberRole::Gateway).await.to_string();

    assert_eq!(drain(&site, &admin, &node, true).await.status.as_u16(), 204);
    assert_eq!(drain(&site, &admin, &node, true).await.status.as_u16(), 204, "twice is once");
    assert_eq!(site.app.store.drained_nodes().await.unwrap().len(), 1);
    assert_eq!(drain(&site, &admin, &node, false).await.status.as_u16(), 204);
    assert!(site.app.store.drained_nodes().await.unwrap().is_empty());
    for stranger in [PeerId::random().to_string(), gateway, "nonsense".to_owned()] {
        drain(&site, &admin, &stranger, true).await.is(404, "no_such_member");
    }
    let more = site.send(Method::PATCH, &format!("/api/nodes/{node}"), &admin, Some(json!({"name": "x"}))).await;
    more.is(400, "invalid_field");

    let entries = log(&site, &admin, "").await;
    let actions: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["node_resumed", "node_drained"]);
    assert_eq!((&entries[0]["actor"], &entries[0]["target"]), (&json!("admin"), &json!(node)));
    assert_eq!(entries[0]["from"], "127.0.0.1");
}

#[tokio::test]
async fn the_audit_log_is_read_in_pages() {
    let site = Site::new().await;
    let admin = site.person("admin", Role::Admin).await;
    for number in 0..5 {
        site.app.store.note(&Entry::now("somebody", Action::UserChanged, number, "192.0.2.1")).await.unwrap();
    }
    let targets = |entries: &[Value]| entries.iter().map(|entry| entry["target"].clone()).collect::<Vec<_>>();
    let first = log(&site, &admin, "?limit=2").await;
    assert_eq!(targets(&first), ["4", "3"]);
    let last = first[1]["id"].as_str().unwrap();
    assert_eq!(targets(&log(&site, &admin, &format!("?limit=200&before={last}")).await), ["2", "1", "0"]);
    site.app.store.note(&Entry::now("other", Action::NodeDrained, "n", "192.0.2.1")).await.unwrap();
    for (query, found) in [
        ("?action=node_drained", 1),
        ("?action=user_changed", 5),
        ("?actor=Other", 1),
        ("?actor=somebody&action=node_drained", 0),
        ("?actor=", 0),
    ] {
        assert_eq!(log(&site, &admin, query).await.len(), found, "{query}");
    }
    let long = format!("?actor={}", "x".repeat(65));
    for bad in ["?limit=0", "?limit=201", "?before=x", "?action=x", &long] {
        assert_eq!(site.get(&format!("/api/audit{bad}"), &admin).await.status.as_u16(), 400, "{bad}");
    }
}
