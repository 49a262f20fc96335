//! The launcher against fake programs, which only speak like the real ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn plan(data: &Path, nodes: &[&str]) -> Plan {
    let programs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fakes");
    let nodes = nodes.iter().map(|args| vec![args.into()]).collect();
    Plan { programs, data: data.to_path_buf(), port: 0, gateway: vec![], nodes }
}

fn is_alive(pid: u32) -> bool {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(pid, None).is_ok()
}

#[test]
fn a_swarm_starts_in_order_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut swarm = Swarm::start(&plan(dir.path(), &["a", "b"]), &Stop::default()).unwrap();
    assert_eq!(swarm.url(), "http://127.0.0.1:1");
    assert_eq!(swarm.setup_code(), Some("FAKE-CODE"));
    let processes = swarm.processes();
    let names: Vec<&str> = processes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["bootstrap", "gateway", "node-1", "node-2"]);
    swarm.wait_until_found(2, &Stop::default()).unwrap();
    swarm.stop(&Stop::default());
    assert!(processes.iter().all(|(_, pid)| !is_alive(*pid)));
    let log = fs::read_to_string(dir.path().join("logs/gateway.log")).unwrap();
    assert!(log.contains("--bootstrap /ip4/127.0.0.1/tcp/4001/p2p/12D3KooWBootstrap"), "{log}");
    assert!(log.contains("--bootstrap /ip4/127.0.0.1/udp/4001/quic-v1/p2p/12D3KooWBootstrap"), "{log}");
    assert!(log.contains("asked to end"), "{log}");
    let log = fs::read_to_string(dir.path().join("logs/node-1.log")).unwrap();
    assert!(log.contains("arguments join starling-invite-FAKE --bootstrap"), "{log}");
}

#[test]
fn a_node_of_an_earlier_run_needs_no_invite_and_a_new_one_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, node) = (dir.path().join("gateway"), dir.path().join("node-1"));
    fs::create_dir_all(&gateway).unwrap();
    fs::write(gateway.join("has-nodes"), "").unwrap();
    fs::create_dir_all(&node).unwrap();
    fs::write(node.join("membership.cbor"), "").unwrap();
    let swarm = Swarm::start(&plan(dir.path(), &["a", "b"]), &Stop::default()).unwrap();
    swarm.stop(&Stop::default());
    let log = |name: &str| fs::read_to_string(dir.path().join("logs").join(name)).unwrap();
    assert!(log("node-1.log").contains("arguments run --bootstrap"));
    assert!(log("node-2.log").contains("arguments join starling-invite-MADE --bootstrap"));
}

#[test]
fn a_lost_node_is_survived_while_another_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut swarm = Swarm::start(&plan(dir.path(), &["a", "b"]), &Stop::default()).unwrap();
    let kill = |swarm: &Swarm, name: &str| {
        let (_, pid) = swarm.processes().into_iter().find(|(found, _)| found == name).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), nix::sys::signal::SIGKILL).unwrap();
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    kill(&swarm, "node-1");
    while swarm.processes().len() > 3 {
        swarm.check_but_lose_nodes().unwrap();
        assert!(Instant::now() < deadline, "the lost node was not noticed");
    }
    kill(&swarm, "node-2");
    while swarm.check_but_lose_nodes().is_ok() {
        assert!(Instant::now() < deadline, "the last node's end was not noticed");
    }
}

#[test]
fn a_part_that_dies_early_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let Err(error) = Swarm::start(&plan(dir.path(), &["fault=die"]), &Stop::default()) else {
        panic!("started although the node died");
    };
    let text = error.to_string();
    assert!(text.contains("node-1 ended"), "{text}");
    assert!(text.contains("error: there is no such model"), "{text}");
    assert!(text.contains("node-1.log"), "{text}");
}

#[test]
fn a_part_that_does_not_listen_is_killed_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let swarm = Swarm::start(&plan(dir.path(), &["fault=deaf"]), &Stop::default()).unwrap();
    let processes = swarm.processes();
    drop(swarm);
    assert!(processes.iter().all(|(_, pid)| !is_alive(*pid)));
}

#[test]
fn a_taken_port_is_named() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = check_port(port).unwrap_err();
    assert!(error.to_string().contains(&format!("port {port} is in use")));
    drop(listener);
    check_port(port).unwrap();
}
