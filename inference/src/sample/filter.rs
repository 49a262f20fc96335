//! Which tokens stay: `top_k`, `top_p`, `min_p`.

use std::cmp::Ordering;

use super::numeric;
use crate::Sampling;

/// A token that may be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) logit: f32,
    pub(super) token: u32,
}

/// Probabilities below `best` by more than these factors of e are looked at only when those above are not enough.
const DEPTHS: [f32; 3] = [4.0, 8.0, 16.0];
/// So few are sorted rather than split again.
const FEW: usize = 64;

/// Likeliest first; equal ones by id, so that the order never depends on how it was found.
pub(super) fn order(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.partial_cmp(&a.logit).unwrap_or(Ordering::Equal).then(a.token.cmp(&b.token))
}

/// Fills `candidates` with the tokens that may be taken, in the order of their ids; never with none. `best` is the
/// highest of `logits`.
pub(super) fn kept(sampling: &Sampling, logits: &[f32], best: f32, candidates: &mut Vec<Candidate>) {
    let top_k = sampling.top_k as usize;
    if top_k > 0 && top_k < logits.len() {
        top(logits, top_k, candidates);
        if sampling.top_p < 1.0 {
            let total = candidates.iter().map(|candidate| weight(candidate, best)).sum();
            keep_top_p(candidates, best, sampling.top_p, total);
        }
    } else if sampling.top_p < 1.0 {
        let total = numeric::exp_sum(logits, best);
        gather_top_p(logits, best, f64::from(sampling.top_p) * total, candidates);
        keep_top_p(candidates, best, sampling.top_p, total);
    } else {
        above(logits, least(sampling, best), candidates);
    }
    let least = least(sampling, best);
    candidates.retain(|candidate| candidate.logit >= least);
    candidates.sort_unstable_by_key(|candidate| candidate.token);
}

/// The logit from which on `min_p` keeps a token.
fn least(sampling: &Sampling, best: f32) -> f32 {
    // f32::MIN leaves out what has no probability at all.
    (f64::from(best) + f64::from(sampling.min_p).ln()).max(f64::from(f32::MIN)) as f32
}

/// The `count` likeliest, the likeliest first.
pub(super) fn top(logits: &[f32], count: usize, candidates: &mut Vec<Candidate>) {
    candidates.clear();
    if count == 0 {
        return;
    }
    let room = (2 * count).max(FEW);
    let mut least = f32::NEG_INFINITY;
    for (token, &logit) in (0..).zip(logits) {
        // One that equals the least of those found has a higher id than they.
        if logit > least {
            candidates.push(Candidate { logit, token });
            if candidates.len() == room {
                candidates.select_nth_unstable_by(count - 1, order);
                candidates.truncate(count);
                least = candidates[count - 1].logit;
            }
        }
    }
    candidates.sort_unstable_by(order);
    candidates.truncate(count);
}

/// Those of at least `least`, in the order of their ids.
fn above(logits: &[f32], least: f32, candidates: &mut Vec<Candidate>) {
    candidates.clear();
    let all = (0..).zip(logits).map(|(token, &logit)| Candidate { logit, token });
    candidates.extend(all.filter(|candidate| candidate.logit >= least));
}

/// Candidates whose weights reach `enough`: no more than about as many as that takes, most of the time.
fn gather_top_p(logits: &[f32], best: f32, enough: f64, candidates: &mut Vec<Candidate>) {
    for depth in DEPTHS {
        above(logits, best - depth, candidates);
        if candidates.iter().map(|candidate| weight(candidate, best)).sum::<f64>() >= enough {
            return;
        }
    }
    above(logits, f32::MIN, candidates);
}

/// Keeps the smallest set of the likeliest whose weights reach `top_p` of `total`, at least one.
fn keep_top_p(candidates: &mut Vec<Candidate>, best: f32, top_p: f32, total: f64) {
    let mut missing = f64::from(top_p) * total;
    let (mut start, mut end) = (0, candidates.len());
    // Halves: the likelier one is either enough and split again, or wholly kept.
    while end - start > FEW {
        let half = (end - start) / 2;
        let (likelier, ..) = candidates[start..end].select_nth_unstable_by(half, order);
        let sum: f64 = likelier.iter().map(|candidate| weight(candidate, best)).sum();
        if sum >= missing {
            end = start + half;
        } else {
            missing -= sum;
            start += half;
        }
    }
    candidates[start..end].sort_unstable_by(order);
    let enough = candidates[start..end].iter().position(|candidate| {
        missing -= weight(candidate, best);
        missing <= 0.0
    });
    candidates.truncate(enough.map_or(end, |last| start + last + 1).max(1));
}

/// Probability relative to the likeliest.
fn weight(candidate: &Candidate, best: f32) -> f64 {
    (f64::from(candidate.logit) - f64::from(best)).exp()
}
