//! What the scripted engine answers, from outside: `inference/src/engine/scripted.rs` says it too, and
//! a difference shows in every cell.

/// The name of its model.
pub(super) const MODEL: &str = "scripted";
/// Of each answer: 20 ms between two tokens, so that a gap shows.
pub(super) const TOKENS_PER_SECOND: u32 = 50;

/// The options a node is started with.
pub(super) fn options() -> String {
    format!("seed=0,tokens_per_second={TOKENS_PER_SECOND},answer_tokens=4000,slots=8,context_tokens=8192")
}

/// The answer to a request with that seed, of that many tokens.
pub(super) fn answer(seed: u64, tokens: u32) -> String {
    let seed = mix(mix(seed));
    (0..tokens).map(|index| format!("{index}-{:04x} ", mix(seed ^ mix(u64::from(index))) & 0xffff)).collect()
}

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
