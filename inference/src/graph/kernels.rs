//! The arithmetic of the interpreter, on slices of 32-bit floats.

/// Lanes that are summed side by side, so that compilers make vector instructions of the loop.
const LANES: usize = 16;

/// For each of the rows of `input`, of `columns` numbers, its product with each row of `matrix`.
pub(super) fn product(input: &[f32], matrix: &[f32], columns: usize) -> Vec<f32> {
    let rows = matrix.len() / columns;
    let mut output = vec![0.0; input.len() / columns * rows];
    // The matrix outermost: it is the larger of the two, and is walked over once.
    for (index, weights) in matrix.chunks_exact(columns).enumerate() {
        for (row, output) in input.chunks_exact(columns).zip(output.chunks_exact_mut(rows)) {
            output[index] = dot(row, weights);
        }
    }
    output
}

pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f32>() + rest
}

/// Norms each group of as many numbers as `scale` has.
pub(super) fn norm(input: &[f32], scale: &[f32], epsilon: f32) -> Vec<f32> {
    let mut output = Vec::with_capacity(input.len());
    for row in input.chunks_exact(scale.len()) {
        let mean = dot(row, row) / row.len() as f32;
        let factor = 1.0 / (mean + epsilon).sqrt();
        output.extend(row.iter().zip(scale).map(|(value, scale)| value * factor * scale));
    }
    output
}

/// Scores to shares of one.
pub(super) fn softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = (*score - most).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

pub(super) fn gated(gate: &[f32], up: &[f32]) -> Vec<f32> {
    gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect()
}

/// Turns the pair at (`first`, `second`).
pub(super) fn turn(head: &mut [f32], (first, second): (usize, usize), (cos, sin): (f32, f32)) {
    let (x, y) = (head[first], head[second]);
    head[first] = x * cos - y * sin;
    head[second] = x * sin + y * cos;
}
