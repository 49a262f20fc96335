//! From a neutral graph to a network of the library's, with the numbers of a file in the precision that was asked for.
//!
//! Values have two dimensions more than in the graph, sequence and token; heads lie sequence, head, token, number where
//! the library wants them so. A cache is an input and an output at the same address: the library writes the new rows
//! into it, and nothing is copied. Who sees whom is a mask and no option of the library's: what a causal option means for
//! a sequence that is shorter than its cache is nowhere said.

use crate::graph::interpret::Angles;
use crate::graph::quantise::{self, Quantised, Scheme};
use crate::graph::weights::{WeightError, Weights};
use crate::graph::{Graph, Op, Pairs, Shape, Side, Value, Weight};

use super::Precision;
use super::network::{Kind, Network, NetworkError, Tensor};
use super::stored::scheme;

/// Names of the inputs and outputs, which [`super::run`] binds.
pub(super) const TOKENS: &str = "tokens";
pub(super) const POSITIONS: &str = "positions";
pub(super) const PLACES: &str = "places";
pub(super) const LENGTHS: &str = "lengths";
pub(super) const MASK: &str = "mask";
pub(super) const LAST: &str = "last";
pub(super) const LOGITS: &str = "logits";

/// The name of a cache's input; its output has `_out` behind it.
pub(super) fn cache_name(layer: usize, side: Side) -> String {
    match side {
        Side::Keys => format!("keys{layer}"),
        Side::Values => format!("values{layer}"),
    }
}

/// How large an engine is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Rows of a sequence's cache.
    pub(super) rows: usize,
    /// Sequences at once.
    pub(super) slots: usize,
    /// Tokens of a sequence at once.
    pub(super) chunk: usize,
}

/// Why a graph cannot be lowered.
#[derive(Debug, thiserror::Error)]
pub(super) enum LowerError {
    #[error(transparent)]
    Weights(#[from] WeightError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Writes `graph` into `network`. `step` is told after each node how many of how many are done.
pub(super) fn lower(
    network: &mut Network<'_>,
    graph: &Graph,
    weights: &mut dyn Weights,
    (precision, sizes): (Precision, Sizes),
    step: &mut dyn FnMut(usize, usize),
) -> Result<(), LowerError> {
    let mut lowering = Lowering::new(network, graph, weights, (precision, sizes))?;
    for (index, node) in graph.nodes().iter().enumerate() {
        let lowered = lowering.node(&node.op, node.shape)?;
        lowering.values.push(lowered);
        step(index + 1, graph.nodes().len());
    }
    let logits = lowering.values.last().map(|last| last.tensor).ok_or(NetworkError::Empty)?;
    let logits = lowering.network.cast(logits, Kind::Float)?;
    lowering.network.output(logits, LOGITS)?;
    Ok(())
}

/// A value of the network.
#[derive(Clone, Copy)]
struct Lowered {
    tensor: Tensor,
    /// Whether heads come before tokens.
    heads_first: bool,
}

struct Inputs {
    tokens: Tensor,
    positions: Tensor,
    places: Tensor,
    lengths: Tensor,
    mask: Tensor,
    last: Tensor,
    cosines: Tensor,
    sines: Tensor,
}

struct Lowering<'a, 'n> {
    network: &'a mut Network<'n>,
    graph: &'a Graph,
    weights: &'a mut dyn Weights,
    precision: Precision,
    sizes: Sizes,
    /// What sums and caches are made of.
    kind: Kind,
    inputs: Inputs,
    values: Vec<Lowered>,
    /// The embedding, for a head that shares it.
    table: Option<(String, Tensor)>,
}

impl<'a, 'n> Lowering<'a, 'n> {
    fn new(
        network: &'a mut Network<'n>,
        graph: &'a Graph,
        weights: &'a mut dyn Weights,
        (precision, sizes): (Precision, Sizes),
    ) -> Result<Self, LowerError> {
        let kind = if precision == Precision::Bf16 { Kind::Bfloat } else { Kind::Half };
        let factors = graph.rotary.factors.as_ref().map(|factors| weights.read(factors)).transpose()?;
        let angles = Angles::new(&graph.rotary, graph.cache.size, factors.as_deref());
        let table: Vec<(f32, f32)> =
            (0..sizes.rows).flat_map(|position| angles.at(position).collect::<Vec<_>>()).collect();
        let (cosines, sines): (Vec<f32>, Vec<f32>) = table.into_iter().unzip();
        let lengths = [sizes.rows, graph.cache.size / 2];
        let most = (sizes.slots, sizes.chunk);
        let inputs = Inputs {
            tokens: network.input(TOKENS, Kind::Int32, &[None, None], &[(1, 1, most.0), (1, 1, most.1)])?,
            positions: network.input(POSITIONS, Kind::Int64, &[None, None], &[(1, 1, most.0), (1, 1, most.1)])?,
            places: network.input(PLACES, Kind::Int32, &[None], &[(1, 1, most.0)])?,
            lengths: network.input(LENGTHS, Kind::Int32, &[None], &[(1, 1, most.0)])?,
            mask: network.input(
                MASK,
                Kind::Bool,
                &[None, Some(1), None, Some(sizes.rows)],
                &[(1, 1, most.0), (1, 1, 1), (1, 1, most.1), (sizes.rows, sizes.rows, sizes.rows)],
            )?,
            last: network.input(LAST, Kind::Int32, &[None, Some(1)], &[(1, 1, most.0), (1, 1, 1)])?,
            cosines: network.constant(kind, encode(kind, &cosines), &lengths)?,
            sines: network.constant(kind, encode(kind, &sines), &lengths)?,
        };
        Ok(Self { network, graph, weights, precision, sizes, kind, inputs, values: Vec::new(), table: None })
    }

    fn node(&mut self, op: &Op, shape: Shape) -> Result<Lowered, LowerError> {
        let tensor = match op {
            Op::Tokens => self.inputs.tokens,
            Op::Embedding { tokens, table } => self.embed(*tokens, table)?,
            Op::Norm { input, scale, epsilon } => return self.norm(*input, scale, *epsilon),
            Op::Linear { input, weight } => self.linear(*input, weight)?,
            Op::Split { input } => {
                let Shape::Heads(heads, size) = shape else { return Err(NetworkError::Empty.into()) };
                self.network.shuffle(self.tensor(*input), false, &[0, 0, heads, size])?
            }
            Op::Join { input } => {
                let Shape::Row(width) = shape else { return Err(NetworkError::Empty.into()) };
                let heads_first = self.values[input.index()].heads_first;
                self.network.shuffle(self.tensor(*input), heads_first, &[0, 0, width])?
            }
            Op::Rotary { input } => return self.rotate(*input),
            Op::Store { input, layer, side } => return self.store(*input, *layer, *side),
            Op::Attention { queries, keys, values, scale } => {
                let scale = self.network.constant(self.kind, encode(self.kind, &[*scale]), &[1, 1, 1, 1])?;
                let queries = self.heads_first(*queries)?;
                let queries = self.network.multiply(queries, scale)?;
                let (keys, values) = (self.tensor(*keys), self.tensor(*values));
                let (mask, lengths) = (self.inputs.mask, self.inputs.lengths);
                let tensor = self.network.attend(queries, (keys, values), (mask, lengths))?;
                return Ok(Lowered { tensor, heads_first: true });
            }
            Op::Gated { gate, up } => {
                let gate = self.tensor(*gate);
                let open = self.network.sigmoid(gate)?;
                let open = self.network.multiply(gate, open)?;
                self.network.multiply(open, self.tensor(*up))?
            }
            Op::Add { left, right } => self.network.add(self.tensor(*left), self.tensor(*right))?,
            Op::Last { input } => self.network.gather(self.tensor(*input), self.inputs.last, 1, 1)?,
        };
        Ok(Lowered { tensor, heads_first: false })
    }

    fn tensor(&self, value: Value) -> Tensor {
        self.values[value.index()].tensor
    }

    fn embed(&mut self, tokens: Value, table: &Weight) -> Result<Tensor, LowerError> {
        let numbers = encode(self.kind, &self.weights.read(table)?);
        let rows = self.network.constant(self.kind, numbers, &[table.rows, table.columns])?;
        self.table = Some((table.name.clone(), rows));
        Ok(self.network.gather(rows, self.tensor(tokens), 0, 0)?)
    }

    /// In 32 bits: squares leave the range of 16.
    fn norm(&mut self, input: Value, scale: &Weight, epsilon: f32) -> Result<Lowered, LowerError> {
        let Lowered { tensor, heads_first } = self.values[input.index()];
        let rank = if matches!(self.graph.shape(input), Shape::Heads(..)) { 4 } else { 3 };
        let network = &mut *self.network;
        let mut lengths = vec![1; rank];
        let epsilon = network.constant(Kind::Float, epsilon.to_le_bytes().to_vec(), &lengths)?;
        let wide = network.cast(tensor, Kind::Float)?;
        let squares = network.multiply(wide, wide)?;
        let mean = network.mean(squares, rank - 1)?;
        let mean = network.add(mean, epsilon)?;
        let root = network.root(mean)?;
        let normed = network.divide(wide, root)?;
        lengths[rank - 1] = scale.columns;
        let scale: Vec<u8> = self.weights.read(scale)?.iter().flat_map(|value| value.to_le_bytes()).collect();
        let scale = network.constant(Kind::Float, scale, &lengths)?;
        let scaled = network.multiply(normed, scale)?;
        Ok(Lowered { tensor: network.cast(scaled, self.kind)?, heads_first })
    }

    fn linear(&mut self, input: Value, weight: &Weight) -> Result<Tensor, LowerError> {
        let input = self.tensor(input);
        // A head that is the embedding: the same numbers, the other way round.
        if let Some((_, table)) = self.table.as_ref().filter(|(name, _)| *name == weight.name) {
            let table = self.network.shuffle(*table, false, &[1, weight.rows, weight.columns])?;
            return Ok(self.network.multiply_matrices(input, table, true)?);
        }
        let matrix = self.matrix(weight)?;
        let matrix = self.network.shuffle(matrix, false, &[1, weight.columns, weight.rows])?;
        Ok(self.network.multiply_matrices(input, matrix, false)?)
    }

    /// A matrix with a row for each input, stored as its scheme says.
    fn matrix(&mut self, weight: &Weight) -> Result<Tensor, LowerError> {
        let (outputs, inputs) = (weight.rows, weight.columns);
        let numbers = quantise::transpose(&self.weights.read(weight)?, outputs, inputs);
        let Some(scheme) = scheme(self.precision, weight) else {
            return Ok(self.network.constant(self.kind, encode(self.kind, &numbers), &[inputs, outputs])?);
        };
        let Quantised { bytes, scales } = scheme.quantise(&numbers, outputs);
        let (kind, lengths, axis) = match scheme {
            Scheme::Int8 => (Kind::Int8, vec![outputs], Some(1)),
            Scheme::Int4(block) => (Kind::Int4, vec![inputs / block, outputs], None),
            Scheme::Fp8 => (Kind::Fp8, Vec::new(), None),
        };
        let numbers = self.network.constant(kind, bytes, &[inputs, outputs])?;
        let scales = self.network.constant(self.kind, encode(self.kind, &scales), &lengths)?;
        Ok(self.network.dequantise(numbers, scales, self.kind, axis)?)
    }

    fn heads_first(&mut self, value: Value) -> Result<Tensor, NetworkError> {
        let Lowered { tensor, heads_first } = self.values[value.index()];
        if heads_first { Ok(tensor) } else { self.network.shuffle(tensor, true, &[]) }
    }

    fn rotate(&mut self, input: Value) -> Result<Lowered, LowerError> {
        let heads = self.heads_first(input)?;
        let neighbours = self.graph.rotary.pairs == Pairs::Neighbours;
        let Inputs { cosines, sines, positions, .. } = self.inputs;
        let tensor = self.network.rotate(heads, (cosines, sines), positions, neighbours)?;
        Ok(Lowered { tensor, heads_first: true })
    }

    fn store(&mut self, input: Value, layer: usize, side: Side) -> Result<Lowered, LowerError> {
        let rows = self.heads_first(input)?;
        let (cache, name) = (self.graph.cache, cache_name(layer, side));
        let (heads, length, size) = (cache.heads, self.sizes.rows, cache.size);
        let fixed = |length| (length, length, length);
        let range = [(1, 1, self.sizes.slots), fixed(heads), fixed(length), fixed(size)];
        let held = self.network.input(&name, self.kind, &[None, Some(heads), Some(length), Some(size)], &range)?;
        let tensor = self.network.store(held, rows, self.inputs.places)?;
        self.network.output(tensor, &format!("{name}_out"))?;
        Ok(Lowered { tensor, heads_first: true })
    }
}

/// Numbers as bytes of a kind that is not quantised.
fn encode(kind: Kind, numbers: &[f32]) -> Vec<u8> {
    if kind == Kind::Bfloat { quantise::bfloats(numbers) } else { quantise::halves(numbers) }
}
