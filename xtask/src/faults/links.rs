//! What befalls the path between a node and the gateway, which leads through a proxy of ours and nowhere else.
//!
//! Both are given a further first peer that does not exist and is not on loopback. From that they take it that this
//! is no network of one machine, and dial no loopback address but those that they were given: so neither finds a way
//! around the proxy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::nodes::whole;
use super::plan::Tried;
use super::reader::Reader;
use super::rig::{GATEWAY, Ground, Rig, Shape, words};
use crate::process;

/// Eight seconds.
const TOKENS: usize = 800;
/// Half a minute, where a node is given up: it must not come to its end by itself before it is told to stop.
const LONG: usize = 3_000;
const PER_SECOND: u32 = 100;
const STALL: Duration = Duration::from_secs(3);
const DELAY_MS: u32 = 150;
/// The abandoned node stops computing within this.
const STOPS: Duration = Duration::from_secs(10);
/// A link that is whole again carries a node within this.
const BACK: Duration = Duration::from_secs(30);
const PROXY: &str = "proxy";
/// A peer that nobody is, at a name that cannot exist (RFC 6761).
const NOBODY: &str = "/dns4/nobody.invalid/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp";

pub(super) fn tcp<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    start(ground, name, TOKENS, ("tcp", ""))
}

pub(super) fn quic<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    start(ground, name, TOKENS, ("udp", "/quic-v1"))
}

pub(super) fn long_tcp<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    start(ground, name, LONG, ("tcp", ""))
}

pub(super) fn long_quic<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    start(ground, name, LONG, ("udp", "/quic-v1"))
}

/// A gateway and, behind the proxy, a node; over a transport such as `udp` and `/quic-v1`.
fn start<'a>(ground: &'a Ground, name: &str, tokens: usize, (transport, end): (&str, &str)) -> Result<Rig<'a>> {
    let mut shape = Shape::of(1, tokens, PER_SECOND);
    shape.gateway.push("--relay".into());
    shape.node = vec!["--listen".into(), format!("/ip4/127.0.0.1/{transport}/0{end}")];
    let mut rig = Rig::new(ground, name, shape)?;
    let port = rig.listen_on(transport, end)?;
    rig.known = vec![NOBODY.to_owned()];
    rig.start_gateway()?;
    let peer = rig.wait_for_word(GATEWAY, "peer")?;
    let target = format!("127.0.0.1:{port}");
    rig.launch_helper(PROXY, &words(&["proxy", &format!("--{transport}"), &target]))?;
    rig.wait_for_word(PROXY, "ready")?;
    let carried = rig.wait_for_word(PROXY, transport)?;
    let (_, carried) = carried.rsplit_once(':').context("an address without a port")?;
    let address = |port: &str| format!("/ip4/127.0.0.1/{transport}/{port}{end}/p2p/{peer}");
    rig.known = vec![address(carried), NOBODY.to_owned()];
    rig.direct = vec![address(&port.to_string())];
    rig.keep_nodes(1)?;
    Ok(rig)
}

/// An answer of the node behind the proxy; another one stands by.
fn under_way(rig: &mut Rig) -> Result<(Reader, String, String)> {
    rig.keep_nodes(1)?;
    let reader = rig.ask_up_to(1)?;
    let victim = rig.node_of(&reader)?;
    let spare = rig.start_direct_node()?;
    rig.keep_nodes(2)?;
    let at = rig.random.between(0, TOKENS / 8);
    let now = reader.look(super::history::Seen::tokens);
    reader.wait_for_tokens(now + at, BACK, &rig.ground.stop)?;
    Ok((reader, victim, spare))
}

/// The link is well again, and the node alone.
fn heal(rig: &mut Rig, spare: &str) -> Result<()> {
    rig.order(PROXY, "heal")?;
    rig.kill(spare)?;
    Ok(())
}

pub(super) fn delay(rig: &mut Rig) -> Result<Tried> {
    let (reader, _, spare) = under_way(rig)?;
    let moment = rig.order(PROXY, &format!("delay {DELAY_MS}"))?;
    let tried = whole(rig, reader, moment);
    heal(rig, &spare)?;
    tried
}

pub(super) fn stall(rig: &mut Rig) -> Result<Tried> {
    let (reader, _, spare) = under_way(rig)?;
    let moment = rig.order(PROXY, "silent both")?;
    rig.wait(STALL)?;
    rig.order(PROXY, "heal")?;
    let tried = whole(rig, reader, moment);
    heal(rig, &spare)?;
    tried
}

pub(super) fn cut(rig: &mut Rig) -> Result<Tried> {
    silent(rig, "silent both")
}

/// Nothing of what the node says gets through.
pub(super) fn mute(rig: &mut Rig) -> Result<Tried> {
    silent(rig, "silent up")
}

/// The node hears nothing.
pub(super) fn deaf(rig: &mut Rig) -> Result<Tried> {
    silent(rig, "silent down")
}

fn silent(rig: &mut Rig, order: &str) -> Result<Tried> {
    let (reader, victim, spare) = under_way(rig)?;
    let moment = rig.order(PROXY, order)?;
    let stop = rig.ground.stop.clone();
    // Where the answer goes on, the node has been given up.
    let lasts = reader.look(|seen| seen.starts.len());
    reader.wait(BACK, &stop, |seen| seen.starts.len() > lasts)?;
    let goes_on = reader.look(|seen| seen.starts.len() > lasts);
    let computes = if goes_on { still_computes(rig, &victim, Instant::now())? } else { None };
    let mut tried = whole(rig, reader, moment)?;
    tried.broke.extend(computes);
    heal(rig, &spare)?;
    Ok(tried)
}

/// What is wrong where a node that was given up goes on computing.
fn still_computes(rig: &mut Rig, node: &str, since: Instant) -> Result<Option<String>> {
    let stopped = rig.wait_until("the node to stop computing", STOPS * 3, |rig| is_idle(rig, node));
    let took = since.elapsed();
    let late = stopped.is_err() || took > STOPS;
    Ok(late.then(|| format!("the abandoned node computed for {:.0} s more", took.as_secs_f64())))
}

/// As the node itself says.
fn is_idle(rig: &Rig, node: &str) -> Result<bool> {
    let mut status = process::command(rig.ground.programs.join("starling-node"));
    status.args(["status", "--json", "--data"]).arg(rig.data.join(node));
    let state: Value =
        serde_json::from_str(&process::output(&mut status).context("the node does not say how it does")?)?;
    let models = state["models"].as_array().context("no models in the status")?;
    Ok(models.iter().all(|model| model["slots"] == model["slots_free"]))
}

pub(super) fn break_at_byte(rig: &mut Rig) -> Result<Tried> {
    let (reader, _, spare) = under_way(rig)?;
    let bytes = rig.random.between(1, 20_000);
    let moment = rig.order(PROXY, &format!("cut-after {bytes}"))?;
    let tried = whole(rig, reader, moment);
    heal(rig, &spare)?;
    tried
}
