//! Computes a graph on the CPU in 32-bit floats, one operation after the other: the reference for whatever computes it
//! faster. Plain rather than quick; each sequence is computed by itself, so that no neighbour changes a bit of it.

use std::collections::HashMap;

use super::weights::{WeightError, Weights};
use super::{Graph, Op, Pairs, Rotary, Shape, Side, Value, kernels};

/// Why a piece is not computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A token that the model does not know.
    #[error("token {0} is beyond the vocabulary")]
    Token(u32),
    /// No such slot, no token, or no room for them.
    #[error("{tokens} tokens from {from} on in slot {slot} have no room")]
    Room {
        /// Where they should go.
        slot: usize,
        /// Position of the first.
        from: usize,
        /// How many.
        tokens: usize,
    },
}

/// A graph with its numbers and caches.
pub struct Interpreter {
    graph: Graph,
    weights: HashMap<String, Vec<f32>>,
    angles: Angles,
    /// Of each slot all layers' keys, then all layers' values; a layer's are head by head, position by position.
    caches: Vec<Vec<f32>>,
    context_tokens: usize,
    /// For each node the last one that reads it.
    last_use: Vec<usize>,
}

impl Interpreter {
    /// Reads all numbers of `graph`: four bytes for each of them are taken.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn new(
        graph: Graph,
        weights: &mut dyn Weights,
        slots: usize,
        context_tokens: usize,
    ) -> Result<Self, WeightError> {
        let mut model = Self::without(graph, weights, slots, context_tokens)?;
        for weight in model.graph.weights() {
            model.weights.insert(weight.name.clone(), weights.read(weight)?);
        }
        Ok(model)
    }

    /// Without the numbers of its nodes.
    fn without(
        graph: Graph,
        weights: &mut dyn Weights,
        slots: usize,
        context_tokens: usize,
    ) -> Result<Self, WeightError> {
        let factors = graph.rotary.factors.as_ref().map(|factors| weights.read(factors)).transpose()?;
        let angles = Angles::new(&graph.rotary, graph.cache.size, factors.as_deref());
        let side = graph.cache.heads * context_tokens * graph.cache.size;
        let caches = vec![vec![0.0; 2 * graph.cache.layers * side]; slots];
        let last_use = last_uses(&graph);
        Ok(Self { graph, weights: HashMap::new(), angles, caches, context_tokens, last_use })
    }

    /// What is computed.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Appends `tokens` to what `slot` holds, of which the first `from` tokens count, and gives the logits behind the
    /// last of them.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing is changed then.
    pub fn run(&mut self, slot: usize, from: usize, tokens: &[u32]) -> Result<Vec<f32>, Refusal> {
        if let Some(token) = tokens.iter().find(|token| **token as usize >= self.graph.vocabulary()) {
            return Err(Refusal::Token(*token));
        }
        let room = slot < self.caches.len() && from + tokens.len() <= self.context_tokens;
        if !room || tokens.is_empty() {
            return Err(Refusal::Room { slot, from, tokens: tokens.len() });
        }
        let mut cache = std::mem::take(&mut self.caches[slot]);
        let mut pass = Pass { model: self, cache: &mut cache, from, tokens, values: Vec::new() };
        let logits = pass.run();
        self.caches[slot] = cache;
        Ok(logits)
    }

    /// The logits behind each of `tokens`, with one tensor at a time in memory: slow, and for a model of any size.
    ///
    /// # Errors
    /// When one of its numbers cannot be read.
    pub fn each(graph: Graph, weights: &mut dyn Weights, tokens: &[u32]) -> Result<Vec<Vec<f32>>, WeightError> {
        let mut model = Self::without(graph, weights, 1, tokens.len())?;
        let (mut cache, mut values) = (model.caches.swap_remove(0), Vec::new());
        for index in 0..model.graph.nodes().len() {
            let op = model.graph.nodes()[index].op.clone();
            if let Some(weight) = op.weight() {
                model.weights.insert(weight.name.clone(), weights.read(weight)?);
            }
            let mut pass = Pass { model: &model, cache: &mut cache, from: 0, tokens, values };
            let value = match &op {
                // All rows, and not the last one alone.
                Op::Last { input } => pass.value(*input).to_vec(),
                op => pass.compute(op),
            };
            pass.values.push(value);
            pass.forget(index);
            values = pass.values;
            model.weights.clear();
        }
        let logits = values.pop().unwrap_or_default();
        Ok(logits.chunks_exact(model.graph.vocabulary().max(1)).map(<[f32]>::to_vec).collect())
    }

    /// Makes `to` hold what `from` holds.
    pub fn copy(&mut self, from: usize, to: usize) {
        if from != to && from < self.caches.len() && to < self.caches.len() {
            self.caches[to] = self.caches[from].clone();
        }
    }

    /// Where a head's numbers of one position begin in a slot's cache.
    fn place(&self, layer: usize, side: Side, head: usize, position: usize) -> usize {
        let cache = &self.graph.cache;
        let part = match side {
            Side::Keys => layer,
            Side::Values => cache.layers + layer,
        };
        ((part * cache.heads + head) * self.context_tokens + position) * cache.size
    }
}

/// One walk over the graph.
struct Pass<'a> {
    model: &'a Interpreter,
    cache: &'a mut [f32],
    from: usize,
    tokens: &'a [u32],
    values: Vec<Vec<f32>>,
}

impl Pass<'_> {
    fn run(&mut self) -> Vec<f32> {
        let model = self.model;
        for (index, node) in model.graph.nodes().iter().enumerate() {
            let value = self.compute(&node.op);
            self.values.push(value);
            self.forget(index);
        }
        self.values.pop().unwrap_or_default()
    }

    /// What nobody reads any more behind this node.
    fn forget(&mut self, index: usize) {
        for (earlier, last) in self.model.last_use.iter().enumerate().take(index) {
            if *last == index {
                self.values[earlier] = Vec::new();
            }
        }
    }

    fn compute(&mut self, op: &Op) -> Vec<f32> {
        let model = self.model;
        match op {
            // They are read where they are used.
            Op::Tokens => Vec::new(),
            Op::Embedding { table, .. } => {
                let rows = &model.weights[&table.name];
                let row = |token: &u32| &rows[*token as usize * table.columns..][..table.columns];
                self.tokens.iter().flat_map(row).copied().collect()
            }
            Op::Norm { input, scale, epsilon } => {
                kernels::norm(self.value(*input), &model.weights[&scale.name], *epsilon)
            }
            Op::Linear { input, weight } => {
                kernels::product(self.value(*input), &model.weights[&weight.name], weight.columns)
            }
            Op::Split { input } | Op::Join { input } => self.value(*input).to_vec(),
            Op::Rotary { input } => self.rotate(*input),
            Op::Store { input, layer, side } => self.store(*input, *layer, *side),
            Op::Attention { queries, keys, values, scale } => self.attend(*queries, (*keys, *values), *scale),
            Op::Gated { gate, up } => kernels::gated(self.value(*gate), self.value(*up)),
            Op::Add { left, right } => {
                self.value(*left).iter().zip(self.value(*right)).map(|(left, right)| left + right).collect()
            }
            Op::Last { input } => {
                let rows = self.value(*input);
                rows[rows.len() - rows.len() / self.tokens.len()..].to_vec()
            }
        }
    }

    fn value(&self, value: Value) -> &[f32] {
        &self.values[value.index()]
    }

    fn rotate(&self, input: Value) -> Vec<f32> {
        let mut heads = self.value(input).to_vec();
        let size = self.model.graph.cache.size;
        let row = heads.len() / self.tokens.len();
        for (position, row) in heads.chunks_exact_mut(row).enumerate() {
            row.chunks_exact_mut(size).for_each(|head| self.model.angles.turn(head, self.from + position));
        }
        heads
    }

    /// What comes of it is in the cache; as a value only which layer it was, for [`Pass::attend`].
    fn store(&mut self, input: Value, layer: usize, side: Side) -> Vec<f32> {
        let size = self.model.graph.cache.size;
        let rows = &self.values[input.index()];
        for (position, row) in rows.chunks_exact(rows.len() / self.tokens.len()).enumerate() {
            for (head, numbers) in row.chunks_exact(size).enumerate() {
                let place = self.model.place(layer, side, head, self.from + position);
                self.cache[place..place + size].copy_from_slice(numbers);
            }
        }
        Vec::new()
    }

    fn attend(&self, queries: Value, (keys, values): (Value, Value), scale: f32) -> Vec<f32> {
        let graph = &self.model.graph;
        let Shape::Heads(heads, size) = graph.shape(queries) else { return Vec::new() };
        let group = heads / graph.cache.heads;
        let (keys, values) = (layer_of(graph, keys), layer_of(graph, values));
        let mut output = Vec::with_capacity(self.value(queries).len());
        let mut scores = Vec::new();
        for (position, row) in self.value(queries).chunks_exact(heads * size).enumerate() {
            let seen = self.from + position + 1;
            for (head, query) in row.chunks_exact(size).enumerate() {
                let keys = &self.cache[self.model.place(keys, Side::Keys, head / group, 0)..][..seen * size];
                let values = &self.cache[self.model.place(values, Side::Values, head / group, 0)..][..seen * size];
                scores.clear();
                scores.extend(keys.chunks_exact(size).map(|key| kernels::dot(query, key) * scale));
                kernels::softmax(&mut scores);
                let mut mixed = vec![0.0; size];
                for (value, share) in values.chunks_exact(size).zip(&scores) {
                    mixed.iter_mut().zip(value).for_each(|(mixed, value)| *mixed += share * value);
                }
                output.extend(mixed);
            }
        }
        output
    }
}

/// The layer of a cache.
fn layer_of(graph: &Graph, cache: Value) -> usize {
    match &graph.nodes()[cache.index()].op {
        Op::Store { layer, .. } => *layer,
        _ => 0,
    }
}

/// For each node the last one that reads it.
fn last_uses(graph: &Graph) -> Vec<usize> {
    let mut last = vec![usize::MAX; graph.nodes().len()];
    for (index, node) in graph.nodes().iter().enumerate() {
        node.op.inputs().into_iter().for_each(|input| last[input.index()] = index);
    }
    last
}

/// By how much a position turns each pair.
pub(crate) struct Angles {
    pairs: Pairs,
    frequencies: Vec<f64>,
}

impl Angles {
    pub(crate) fn new(rotary: &Rotary, size: usize, factors: Option<&[f32]>) -> Self {
        let factor = |pair: usize| factors.map_or(1.0, |factors| f64::from(factors[pair]));
        let exponent = |pair: usize| -2.0 * pair as f64 / size as f64;
        let frequency = |pair: usize| f64::from(rotary.base).powf(exponent(pair)) / factor(pair);
        Self { pairs: rotary.pairs, frequencies: (0..size / 2).map(frequency).collect() }
    }

    /// Cosine and sine for each pair at `position`.
    pub(crate) fn at(&self, position: usize) -> impl Iterator<Item = (f32, f32)> {
        self.frequencies.iter().map(move |frequency| {
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            (cos as f32, sin as f32)
        })
    }

    fn turn(&self, head: &mut [f32], position: usize) {
        let half = head.len() / 2;
        for (pair, angle) in self.at(position).enumerate() {
            let places = match self.pairs {
                Pairs::Halves => (pair, pair + half),
                Pairs::Neighbours => (2 * pair, 2 * pair + 1),
            };
            kernels::turn(head, places, angle);
        }
    }
}
