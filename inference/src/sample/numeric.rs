//! Passes over all logits, written in lanes so that they run as vector instructions on any processor.

use crate::Failure;

/// Numbers that are worked on side by side.
const LANES: usize = 16;
/// Numbers that are summed as f32 before the sum goes on as f64.
const RUN: usize = 1024;

/// The highest logit.
///
/// # Errors
/// [`Failure::Garbage`] when one is NaN or +∞, or none is above -∞.
pub(super) fn max(logits: &[f32]) -> Result<f32, Failure> {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut highest = [f32::NEG_INFINITY; LANES];
    let mut good = [true; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            // False for NaN.
            good[lane] &= chunk[lane] < f32::INFINITY;
            highest[lane] = if chunk[lane] > highest[lane] { chunk[lane] } else { highest[lane] };
        }
    }
    let good = good.into_iter().all(|good| good) && rest.iter().all(|logit| *logit < f32::INFINITY);
    let best = highest.iter().chain(rest).fold(f32::NEG_INFINITY, |best, logit| best.max(*logit));
    if !good {
        return Err(Failure::Garbage { what: "logits that are not numbers".into() });
    }
    if best == f32::NEG_INFINITY {
        return Err(Failure::Garbage { what: "logits that allow no token".into() });
    }
    Ok(best)
}

/// The sum of exp(logit - best), to about six digits.
pub(super) fn exp_sum(logits: &[f32], best: f32) -> f64 {
    logits.chunks(RUN).map(|run| f64::from(exp_sum_of_run(run, best))).sum()
}

fn exp_sum_of_run(logits: &[f32], best: f32) -> f32 {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += exp(chunk[lane] - best);
        }
    }
    sums.into_iter().sum::<f32>() + rest.iter().map(|logit| exp(logit - best)).sum::<f32>()
}

/// exp(x) for x up to 0, with a relative error of about 1e-6; 0 from -87 on. Only additions and multiplications, which
/// every processor rounds alike, unlike the exponential functions of the systems' libraries.
fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: added to a number it leaves its nearest whole in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let power = x.max(-87.0) * std::f32::consts::LOG2_E;
    let rounded = power + ROUND;
    let fraction = (power - (rounded - ROUND)) * std::f32::consts::LN_2;
    // Taylor's series; the fraction is within ±0.35.
    let series = 1.0
        + fraction
            * (1.0
                + fraction
                    * (0.5
                        + fraction
                            * (1.0 / 6.0
                                + fraction * (1.0 / 24.0 + fraction * (1.0 / 120.0 + fraction * (1.0 / 720.0))))));
    let two_to_the_whole = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x > -87.0 { series * two_to_the_whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_close() {
        for step in 0..100_000 {
            let x = -(step as f32) / 1000.0;
            let (close, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((close - exact).abs() <= 4e-6 * exact + 1e-37, "{x}: {close} {exact}");
        }
        assert_eq!((exp(0.0), exp(f32::NEG_INFINITY)), (1.0, 0.0));
    }

    #[test]
    fn every_length_is_summed_and_searched() {
        for length in [1, 15, 16, 17, 1023, 1024, 1025, 5000] {
            let mut logits = vec![-1.0; length];
            let sum = exp_sum(&logits, 0.0);
            assert!((sum / (length as f64 * (-1_f64).exp()) - 1.0).abs() < 1e-5, "{length}: {sum}");
            for place in [0, length / 2, length - 1] {
                logits[place] = 2.0;
                assert_eq!(max(&logits), Ok(2.0));
                logits[place] = f32::NAN;
                assert!(max(&logits).is_err(), "{length} {place}");
                logits[place] = -1.0;
            }
        }
        assert!(max(&[]).is_err());
    }
}
