//! What a token is chosen by, and the same by the simplest way there is.

use super::adjust::REPETITION_WINDOW;
use super::naive::Naive;
use super::*;

/// Without a form to keep.
fn free(sampling: Sampling) -> Sampler {
    Sampler::new(sampling, None)
}

const LOGITS: [f32; 6] = [0.5, 3.0, 1.0, 2.0, -1.0, f32::NEG_INFINITY];

fn all() -> Sampling {
    Sampling { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, seed: Some(7), ..Sampling::default() }
}

/// How often each token comes in ten thousand positions.
fn counts(sampling: Sampling, history: &[u32]) -> Vec<u32> {
    let mut sampler = free(sampling);
    let mut counts = vec![0; LOGITS.len()];
    for position in 0..10_000 {
        counts[sampler.choose(&LOGITS, history, position).unwrap() as usize] += 1;
    }
    counts
}

fn check_kept(sampling: Sampling, expected: &[u32]) {
    let counts = counts(sampling.clone(), &[]);
    let kept: Vec<u32> = (0..).zip(&counts).filter(|(_, count)| **count > 0).map(|(token, _)| token).collect();
    assert_eq!(kept, expected, "{sampling:?} {counts:?}");
}

#[test]
fn filters_keep_what_they_should() {
    // Probabilities: 0.59, 0.22, 0.08, 0.05, 0.01 for tokens 1, 3, 2, 0, 4.
    check_kept(all(), &[0, 1, 2, 3, 4]);
    check_kept(Sampling { top_k: 2, ..all() }, &[1, 3]);
    check_kept(Sampling { top_k: 100, ..all() }, &[0, 1, 2, 3, 4]);
    check_kept(Sampling { top_p: 0.7, ..all() }, &[1, 3]);
    check_kept(Sampling { top_p: 0.0, ..all() }, &[1]);
    check_kept(Sampling { min_p: 0.13, ..all() }, &[1, 2, 3]);
    check_kept(Sampling { min_p: 1.0, ..all() }, &[1]);
    check_kept(Sampling { temperature: 0.0, ..all() }, &[1]);
    check_kept(Sampling { temperature: 0.01, ..all() }, &[1]);
}

#[test]
fn frequencies_follow_the_probabilities() {
    let total: f64 = LOGITS.iter().map(|&logit| f64::from(logit).exp()).sum();
    for (count, logit) in counts(all(), &[]).into_iter().zip(LOGITS) {
        let expected = f64::from(logit).exp() / total * 10_000.0;
        assert!((f64::from(count) - expected).abs() < 4.0 * expected.sqrt() + 1.0, "{count} {expected}");
    }
}

#[test]
fn a_repeated_token_is_less_likely() {
    let penalty = Sampling { repetition_penalty: 2.0, ..all() };
    let (unchanged, penalised) = (counts(all(), &[]), counts(penalty.clone(), &[1, 1, 4]));
    assert!(penalised[1] < unchanged[1] / 2 && penalised[4] < unchanged[4] + 30, "{unchanged:?} {penalised:?}");
    let mut greedy = free(Sampling { temperature: 0.0, ..penalty });
    assert_eq!(greedy.choose(&LOGITS, &[1], 0), Ok(3));
    let long_ago = [&[1][..], &[0; REPETITION_WINDOW]].concat();
    assert_eq!(greedy.choose(&LOGITS, &long_ago, 0), Ok(1));
}

#[test]
fn a_position_always_gets_the_same_number() {
    let tokens = |seed: u64, from: usize| -> Vec<u32> {
        let mut sampler = free(Sampling { seed: Some(seed), ..all() });
        (from..200).map(|position| sampler.choose(&LOGITS, &[], position).unwrap()).collect()
    };
    assert_eq!(tokens(1, 0)[50..], tokens(1, 50));
    assert_ne!(tokens(1, 0), tokens(2, 0));
    assert!((0..10_000).map(|position| unit(3, position)).all(|unit| (0.0..1.0).contains(&unit)));
}

#[test]
fn equal_logits_are_decided_by_id() {
    let mut sampler = free(Sampling { temperature: 0.0, ..all() });
    assert_eq!(sampler.choose(&[1.0; 9], &[], 0), Ok(0));
}

#[test]
fn garbage_is_a_failure_and_never_a_token() {
    for bad in [f32::NAN, f32::INFINITY] {
        for sampling in [all(), Sampling::greedy()] {
            let result = free(sampling.clone()).choose(&[0.0, bad, 1.0], &[], 0);
            assert!(matches!(result, Err(Failure::Garbage { .. })), "{result:?}");
        }
    }
    for sampling in [all(), Sampling::greedy()] {
        let none = free(sampling.clone()).choose(&[f32::NEG_INFINITY; 3], &[], 0);
        assert!(matches!(none, Err(Failure::Garbage { .. })), "{none:?}");
        assert!(free(sampling).choose(&[], &[], 0).is_err());
    }
}

#[test]
fn penalties_count_the_answer_only() {
    let choose = |sampling: Sampling, history: &[u32], position: usize| {
        free(Sampling { temperature: 0.0, ..sampling }).choose(&LOGITS, history, position)
    };
    let presence = Sampling { presence_penalty: 1.5, ..all() };
    assert_eq!(choose(presence.clone(), &[1], 1), Ok(3));
    assert_eq!(choose(presence.clone(), &[1], 0), Ok(1), "a token of the prompt");
    assert_eq!(choose(presence, &[3, 1, 1, 3], 3), Ok(1), "once for all of them");
    let frequency = Sampling { frequency_penalty: 0.4, ..all() };
    assert_eq!(choose(frequency.clone(), &[1, 1], 2), Ok(1));
    assert_eq!(choose(frequency, &[1, 1, 1], 3), Ok(3));
    let wanted = Sampling { frequency_penalty: -2.0, ..all() };
    assert_eq!(choose(wanted, &[2, 2], 2), Ok(2));
}

#[test]
fn a_sampler_that_is_used_again_counts_anew() {
    let sampling = Sampling { temperature: 0.0, frequency_penalty: 1.0, ..all() };
    let mut sampler = free(sampling);
    assert_eq!(sampler.choose(&LOGITS, &[1, 1], 2), Ok(3));
    assert_eq!(sampler.choose(&LOGITS, &[1, 1, 3], 3), Ok(1));
    assert_eq!(sampler.choose(&LOGITS, &[1], 0), Ok(1));
}

#[test]
fn biases_add_to_logits() {
    let mut sampler = free(Sampling { logit_bias: vec![(4, 100.0), (1, -100.0)], ..all() });
    assert!((0..100).all(|position| sampler.choose(&LOGITS, &[], position) == Ok(4)));
    check_kept(Sampling { logit_bias: vec![(1, -100.0), (3, -100.0)], ..all() }, &[0, 2, 4]);
    // What cannot be cannot be wished for, and what does not exist is left alone.
    check_kept(Sampling { logit_bias: vec![(5, 100.0), (6, 100.0), (u32::MAX, 1.0)], ..all() }, &[0, 1, 2, 3, 4]);
    let huge = Sampling { repetition_penalty: 0.01, temperature: 0.0, ..all() };
    assert_eq!(free(huge).choose(&[1.0, f32::MAX, f32::MIN], &[1, 2], 0), Ok(1));
}

#[test]
fn logprobs_are_those_of_the_model() {
    let ask = |count| Sampling { top_logprobs: Some(count), logit_bias: vec![(1, -100.0)], ..Sampling::greedy() };
    let total: f64 = LOGITS.iter().map(|&logit| f64::from(logit).exp()).sum();
    let expected = |token: usize| f64::from(LOGITS[token]) - total.ln();
    for count in [0, 2, 20] {
        let mut sampler = free(ask(count));
        assert_eq!(sampler.choose(&LOGITS, &[], 0), Ok(3));
        let logprob = sampler.take_logprob().unwrap();
        assert!(sampler.take_logprob().is_none());
        assert_eq!(logprob.taken.token, 3);
        let top: Vec<u32> = logprob.top.iter().map(|likely| likely.token).collect();
        // The one that cannot be is not among them.
        assert_eq!(top, [1, 3, 2, 0, 4][..5.min(count as usize)]);
        for likely in logprob.top.iter().chain([&logprob.taken]) {
            assert!((f64::from(likely.logprob) - expected(likely.token as usize)).abs() < 1e-5);
        }
    }
    let mut unasked = free(Sampling::greedy());
    unasked.choose(&LOGITS, &[], 0).unwrap();
    assert!(unasked.take_logprob().is_none());
}

/// Numbers from 0 to 1 that are the same in every run.
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut position = 0;
    move || {
        position += 1;
        unit(seed, position)
    }
}

#[test]
fn the_fast_way_chooses_as_the_simple_one() {
    let mut chosen = std::collections::HashSet::new();
    for case in 0..600 {
        let mut number = numbers(case);
        let mut pick = |choices: &[f64]| choices[(number() * choices.len() as f64) as usize];
        let sampling = Sampling {
            temperature: pick(&[0.0, 0.3, 0.8, 1.0, 2.0]) as f32,
            top_k: pick(&[0.0, 0.0, 0.0, 1.0, 5.0, 40.0, 200.0]) as u32,
            top_p: pick(&[0.0, 0.3, 0.9, 0.95, 0.999, 1.0, 1.0]) as f32,
            min_p: pick(&[0.0, 0.0, 0.05, 0.5, 1.0]) as f32,
            repetition_penalty: pick(&[1.0, 1.0, 0.5, 1.3]) as f32,
            frequency_penalty: pick(&[0.0, 0.0, -1.0, 0.7]) as f32,
            presence_penalty: pick(&[0.0, 0.0, -2.0, 1.1]) as f32,
            logit_bias: vec![(3, pick(&[-100.0, 0.0, 5.0]) as f32)],
            seed: Some(case),
            drawn: false,
            top_logprobs: None,
        };
        let (size, spread) = (pick(&[1.0, 4.0, 70.0, 500.0, 3000.0]) as usize, pick(&[0.0, 1.0, 6.0, 30.0]));
        // Steps of a quarter, so that many are equal.
        let logits: Vec<f32> = (0..size).map(|_| (number() * spread * 4.0).round() as f32 / 4.0 - 3.0).collect();
        let history: Vec<u32> = (0..90).map(|_| (number() * size as f64) as u32).collect();
        let mut sampler = free(sampling.clone());
        for position in [80, 81, 90] {
            let history = &history[..position.min(history.len())];
            let fast = sampler.choose(&logits, history, position - 70).unwrap();
            let simple = Naive { sampling: &sampling, logits: &logits }.choose(history, position - 70);
            assert_eq!(fast, simple, "case {case}: {sampling:?} {size} {spread}");
            chosen.insert(fast);
        }
    }
    assert!(chosen.len() > 150, "{}", chosen.len());
}
