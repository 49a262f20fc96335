//! What the scripted engine answers, from outside: `inference/src/engine/scripted.rs` says it too, and
//! a difference shows in every cell of `lab` and every row of `faults`.

/// The name of its model.
pub(crate) const MODEL: &str = "scripted";
/// Of each answer in the lab: 20 ms between two tokens, so that a gap shows.
pub(crate) const TOKENS_PER_SECOND: u32 = 50;
/// Tokens have numbers below this.
const VOCABULARY: u64 = 0xffff_0000;
/// Bytes of a message that count as one token.
const BYTES_PER_TOKEN: usize = 4;

/// The options a node of the lab is started with.
pub(crate) fn options() -> String {
    format!("seed=0,tokens_per_second={TOKENS_PER_SECOND},answer_tokens=4000,slots=8,context_tokens=8192")
}

/// The answer to a request with that seed, of that many tokens, by an engine with seed 0.
pub(crate) fn answer(seed: u64, tokens: u32) -> String {
    let seed = mix(mix(seed));
    (0..tokens).map(|index| format!("{index}-{:04x} ", mix(seed ^ mix(u64::from(index))) & 0xffff)).collect()
}

/// The answer to a person's only message, without a seed.
pub(crate) fn answer_to(prompt: &str, tokens: u32) -> String {
    let words = std::iter::once(&b"user"[..]).chain(prompt.as_bytes().chunks(BYTES_PER_TOKEN));
    answer(words.map(token).fold(0, |hash, token| mix(hash ^ token)), tokens)
}

/// The number that stands for some bytes of a prompt.
fn token(bytes: &[u8]) -> u64 {
    bytes.iter().fold(bytes.len() as u64, |hash, byte| mix(hash ^ u64::from(*byte))) % VOCABULARY
}

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
