//! `cargo xtask bench schedule`: the scheduler beside round robin and least loaded, on the same made-up chats over
//! nodes of different speed, in simulated time. Prints a Markdown table; the same seed gives the same table.
#![expect(clippy::print_stdout, reason = "it prints a table")]

mod policy;
mod trace;
mod world;

use policy::{Ours, Policy, Rule, Simple};
use trace::{MACHINES, chats};
use world::{Answered, World};

/// Chats in a run, by how busy the nodes are with them.
const LOADS: [(&str, usize); 3] = [("light", 120), ("busy", 360), ("crowded", 600)];
/// Seconds in which they begin.
const SECONDS: f64 = 1_800.0;
const DEFAULT_SEED: u64 = 1;

fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(DEFAULT_SEED);
    let nodes: Vec<_> =
        MACHINES.iter().map(|node| format!("{} {:.0}/{:.0}", node.name, node.prefill, node.decode)).collect();
    println!("Nodes (tokens/s read/written): {}; the last one claims a hundred times its speed.", nodes.join(", "));
    println!(
        "Chats that begin within {:.0} minutes, seed {seed}. Times in seconds, from the question.\n",
        SECONDS / 60.0
    );
    println!(
        "| chats | turns | policy | first token p50 | p95 | p99 | finished p50 | p95 | p99 | of the prompt not read \
         again | in later turns | told to come again |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (name, count) in LOADS {
        let chats = chats(seed, count, SECONDS);
        let policies: [(&str, Box<dyn Policy>); 3] = [
            ("ours", Box::new(Ours::new())),
            ("least loaded", Box::new(Simple::new(Rule::LeastLoaded))),
            ("round robin", Box::new(Simple::new(Rule::RoundRobin))),
        ];
        for (policy, rule) in policies {
            let (answered, refused) = World::new(rule, &chats).run();
            print(&format!("{name} ({count})"), policy, &answered, refused);
        }
    }
}

fn print(chats: &str, policy: &str, answered: &[Answered], refused: u32) {
    let first = percentiles(answered, |answer| answer.first_token);
    let finished = percentiles(answered, |answer| answer.finished);
    let (all, later) = (cached(answered.iter()), cached(answered.iter().filter(|answer| answer.later)));
    println!("| {chats} | {} | {policy} | {first} | {finished} | {all} | {later} | {refused} |", answered.len());
}

fn percentiles(answered: &[Answered], of: impl Fn(&Answered) -> f64) -> String {
    let mut values: Vec<f64> = answered.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let at = |part: usize| values.get((values.len() * part / 100).min(values.len().saturating_sub(1))).copied();
    [50, 95, 99].map(|part| format!("{:.1}", at(part).unwrap_or(0.0))).join(" | ")
}

fn cached<'a>(answered: impl Iterator<Item = &'a Answered>) -> String {
    let (cached, all) =
        answered.fold((0.0, 0.0), |(cached, all), answer| (cached + answer.cached_tokens, all + answer.prompt_tokens));
    format!("{:.0} %", 100.0 * cached / f64::max(all, 1.0))
}
