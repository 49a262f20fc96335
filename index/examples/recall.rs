//! `cargo xtask bench memory`: how many of the true ten nearest are found, how fast, and what it takes, on made-up
//! vectors. Prints a Markdown table; the same seed gives the same vectors.
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use starling_index::{Index, Vector};

const DIMENSIONS: usize = 384;
const QUERIES: usize = 500;
const COUNT: usize = 10;
/// Vectors in one cluster: passages about one thing.
const CLUSTER: usize = 50;
/// How far from their middle they lie: two of one cluster have a cosine of about 0.6.
const SPREAD: f32 = 0.8;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let sizes: Vec<usize> = arguments.filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes };
    println!(
        "Made-up vectors of {DIMENSIONS} dimensions in clusters of {CLUSTER}, seed {seed}; {QUERIES} queries for the \
         {COUNT} nearest, one after another, held against exact search over 32-bit floats. Times in milliseconds: by the clock, and of computing alone, \
         which is what an idle core would take.\n"
    );
    println!(
        "| vectors | search | recall@10 | p50 | p95 | p99 | computing p50 | p95 | p99 | built with | memory | by our own estimate |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    sizes.into_iter().for_each(|size| measure(seed, size));
}

fn measure(seed: u64, size: usize) {
    let mut random = Random(seed);
    let middles: Vec<Vec<f32>> = (0..size.div_ceil(CLUSTER)).map(|_| random.direction()).collect();
    let floats: Vec<Vec<f32>> = (0..size).map(|_| random.near(&middles)).collect();
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|_| random.near(&middles)).collect();
    let truth: Vec<Vec<usize>> = queries.iter().map(|query| nearest(query, &floats)).collect();
    let queries: Vec<Vector> = queries.iter().filter_map(|query| Vector::new(query)).collect();

    let (before, began) = (resident(), ThreadTime::now());
    let mut index = Index::new(DIMENSIONS);
    for (key, values) in floats.iter().enumerate() {
        Vector::new(values).map(|vector| index.insert(key as u128, vector));
    }
    print(size, "every one", &index, &queries, &truth, (began.elapsed(), before));
    let began = ThreadTime::now();
    let mut building = index.begin_graph();
    while !building.step(1_000) {}
    index.adopt(building);
    print(size, "graph", &index, &queries, &truth, (began.elapsed(), before));
}

fn print(
    size: usize,
    how: &str,
    index: &Index,
    queries: &[Vector],
    truth: &[Vec<usize>],
    (built, before): (Duration, u64),
) {
    let memory = resident().saturating_sub(before) / 1_000_000;
    let (mut times, mut computed, mut found) = (vec![], vec![], 0);
    for (query, truth) in queries.iter().zip(truth) {
        let (began, computing) = (Instant::now(), ThreadTime::now());
        let hits = index.search(query, COUNT);
        times.push(began.elapsed());
        computed.push(computing.elapsed());
        found += hits.iter().filter(|hit| truth.contains(&(hit.key as usize))).count();
    }
    println!(
        "| {size} | {how} | {:.3} | {} | {} | {:.1} s of computing | {memory} MB | {} MB |",
        found as f64 / (COUNT * queries.len()) as f64,
        percentiles(times),
        percentiles(computed),
        built.as_secs_f64(),
        index.bytes() / 1_000_000,
    );
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
    [50, 95, 99].map(|part| format!("{:.2}", at(part))).join(" | ")
}

/// By their cosines, over floats: all are of length 1.
fn nearest(query: &[f32], all: &[Vec<f32>]) -> Vec<usize> {
    let mut by_cosine: Vec<(f32, usize)> = all.iter().enumerate().map(|(at, one)| (dot(query, one), at)).collect();
    by_cosine.select_nth_unstable_by(COUNT - 1, |a, b| b.0.total_cmp(&a.0));
    by_cosine[..COUNT].iter().map(|(_, at)| *at).collect()
}

/// In sixteen sums beside each other, which a compiler can make one instruction of.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// Bytes of memory that this process has, on Linux; elsewhere 0.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() * 1_024
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above 0, up to 1.
    fn unit(&mut self) -> f32 {
        ((self.next() >> 40) + 1) as f32 / (1_u32 << 24) as f32
    }

    /// Of the normal distribution (Box and Muller, 1958).
    fn normal(&mut self) -> f32 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f32::consts::TAU * self.unit()).cos()
    }

    fn direction(&mut self) -> Vec<f32> {
        let values = (0..DIMENSIONS).map(|_| self.normal()).collect();
        normalised(values)
    }

    /// Of one of the clusters.
    fn near(&mut self, middles: &[Vec<f32>]) -> Vec<f32> {
        let middle = &middles[(self.next() % middles.len() as u64) as usize];
        let away = self.direction();
        normalised(middle.iter().zip(away).map(|(middle, away)| middle + SPREAD * away).collect())
    }
}

fn normalised(values: Vec<f32>) -> Vec<f32> {
    let length = dot(&values, &values).sqrt();
    values.into_iter().map(|value| value / length).collect()
}
