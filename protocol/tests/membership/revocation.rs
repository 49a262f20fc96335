//! What a revocation does.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use starling_protocol::{
    membership::{MemberRole, NotMember, SwarmKey},
    swarm::Role,
};
use tokio::time::timeout;

use crate::peer::{PATIENCE, Settings, TestPeer, authority, member, own, roster};

/// What a revocation may take to have its effect.
const EFFECT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_peer_is_told_and_disconnected_within_five_seconds() {
    let key = SwarmKey::generate().unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let mut node = TestPeer::start(Role::Node, &[&gateway]).await;
    let (ours, theirs) = (gateway.join(authority(&key)), node.join_as(&key, MemberRole::Node));
    roster(&theirs, "the gateway", |roster| roster.contains_key(&gateway.id())).await;
    assert!(!theirs.revoke(gateway.id()).await, "a node holds no key");

    let effect = async {
        assert!(ours.revoke(node.id()).await);
        own(&theirs, "it is told", |own| own.trouble == Some(NotMember::Revoked)).await;
        roster(&theirs, "it is alone", |roster| roster.is_empty()).await;
    };
    timeout(EFFECT, effect).await.unwrap();
    assert!(ours.roster().borrow().is_empty());
    assert!(ours.refusals().of("revoked") > 0);
}

/// A job runs between a node and a gateway; another gateway, which is not connected to the node but to that
/// gateway, signs the revocation.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_comes_over_another_gateway_and_cuts_a_running_job() {
    let key = SwarmKey::generate().unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let mut signer = TestPeer::start(Role::Gateway, &[&gateway]).await;
    let mut node = TestPeer::start(Role::Node, &[&gateway]).await;
    let ours = gateway.join_as(&key, MemberRole::Gateway);
    let (theirs, signers) = (node.join_as(&key, MemberRole::Node), signer.join(authority(&key)));
    roster(&ours, "both", |roster| roster.len() == 2).await;
    roster(&theirs, "the gateway", |roster| roster.contains_key(&gateway.id())).await;
    assert!(!signers.roster().borrow().contains_key(&node.id()));

    let mut job = gateway.handle.open_job(node.id()).await.unwrap();
    job.write_all(b"?").await.unwrap();
    job.flush().await.unwrap();
    let mut running = timeout(PATIENCE, node.jobs.recv()).await.unwrap().unwrap();
    let (mut bytes, mut more) = ([0; 1], [0; 1]);
    running.stream.read_exact(&mut bytes).await.unwrap();

    let effect = async {
        assert!(signers.revoke(node.id()).await);
        let (here, there) = tokio::join!(job.read_exact(&mut bytes), running.stream.read(&mut more));
        assert!(here.is_err() && !there.is_ok_and(|read| read > 0));
        own(&theirs, "it is told", |own| own.trouble == Some(NotMember::Revoked)).await;
    };
    timeout(EFFECT, effect).await.unwrap();
    assert!(!ours.roster().borrow().contains_key(&node.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_survive_a_restart_and_a_newer_certificate_readmits() {
    let (key, folder) = (SwarmKey::generate().unwrap(), tempfile::tempdir().unwrap());
    let settings = || Settings { revocations: Some(folder.path().join("revocations.cbor")), ..Settings::default() };
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let mut node = TestPeer::start(Role::Node, &[&gateway]).await;
    let (ours, theirs) = (gateway.join_with(authority(&key), settings()), node.join_as(&key, MemberRole::Node));
    roster(&theirs, "the gateway", |roster| roster.contains_key(&gateway.id())).await;
    let old = theirs.own().borrow().claims.clone();
    assert!(ours.revoke(node.id()).await);
    let identity = node.identity.clone();
    drop((gateway, node));

    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let ours = gateway.join_with(authority(&key), settings());
    assert_eq!(ours.revocations().borrow().len(), 1);
    let mut node = TestPeer::start_as(identity.clone(), Role::Node, &[&gateway]).await;
    let theirs = node.join(member(key.sign_claims(&old)));
    own(&theirs, "it is still out", |own| own.trouble == Some(NotMember::Revoked)).await;
    assert!(ours.roster().borrow().is_empty());
    drop(node);

    let certificate = ours.certify(old.peer, MemberRole::Node).unwrap();
    let mut node = TestPeer::start_as(identity, Role::Node, &[&gateway]).await;
    let theirs = node.join(member(certificate));
    roster(&theirs, "the gateway", |roster| roster.contains_key(&gateway.id())).await;
    roster(&ours, "the node", |roster| roster.contains_key(&old.peer)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_revocations_is_an_error_with_a_hint() {
    let (key, folder) = (SwarmKey::generate().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("revocations.cbor");
    std::fs::write(&path, "something else").unwrap();
    let mut gateway = TestPeer::start(Role::Gateway, &[]).await;
    let config = gateway.members(authority(&key), Settings { revocations: Some(path), ..Settings::default() });
    let error = starling_protocol::members::new(config).err().unwrap();
    assert!(error.to_string().contains("revocations.cbor is damaged"), "{error}");
    assert!(error.hint().contains("restore"), "{}", error.hint());
}
