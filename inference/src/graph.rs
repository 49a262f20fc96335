//! A decoder as a graph of a few operations, described once and in no library's words.
//!
//! [`decoder`] writes the graph of a model from its [`hyper`]-parameters, [`weights`] reads the numbers of a file, and
//! whoever computes walks over the nodes in their order: [`interpret`] on the CPU and plainly, which shows that the
//! description is right, and the TensorRT engine on a graphics card.
//!
//! Every value has one row for each token of a piece of a sequence. What a row holds is its [`Shape`]; each node is
//! checked against the shapes of its inputs when it is added, so that a graph that exists is one that can be computed.

pub mod decoder;
pub mod hyper;
pub mod interpret;
pub mod quantise;
pub mod weights;

mod kernels;
mod op;

pub use op::{Op, Pairs, Shape, Side, Value, Weight};

use op::Name;

/// An operation and what comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is done.
    pub op: Op,
    /// What a row of the result holds.
    pub shape: Shape,
}

/// How positions turn pairs of numbers: by `position * base^(-2i/size) / factor[i]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Where the pairs lie.
    pub pairs: Pairs,
    /// Such as 10,000 or 1,000,000.
    pub base: f32,
    /// Name of the tensor with a factor for each pair, where the file has one.
    pub factors: Option<Weight>,
}

/// What the caches of a graph hold for each token of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers, each with keys and values.
    pub layers: usize,
    /// Heads of keys, and as many of values.
    pub heads: usize,
    /// Numbers in a head.
    pub size: usize,
}

/// Why a graph cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GraphError(pub(crate) String);

/// Operations in the order in which they are computed; the last one gives the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    /// How positions are told.
    pub rotary: Rotary,
    /// What there is to keep.
    pub cache: CacheShape,
}

impl Graph {
    /// Without a node.
    #[must_use]
    pub fn new(rotary: Rotary, cache: CacheShape) -> Self {
        Self { nodes: Vec::new(), rotary, cache }
    }

    /// In the order in which they are computed.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Numbers that the last node gives: one for each token of the vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        match self.nodes.last().map(|node| node.shape) {
            Some(Shape::Row(width)) => width,
            _ => 0,
        }
    }

    /// What a row of `value` holds.
    #[must_use]
    pub fn shape(&self, value: Value) -> Shape {
        self.nodes[value.0].shape
    }

    /// Every tensor that is read, each once.
    pub fn weights(&self) -> impl Iterator<Item = &Weight> {
        let mut seen = std::collections::HashSet::new();
        let of_nodes = self.nodes.iter().filter_map(|node| node.op.weight());
        of_nodes.chain(&self.rotary.factors).filter(move |weight| seen.insert(&weight.name))
    }

    /// Adds an operation.
    ///
    /// # Errors
    /// When its inputs do not have the shapes that it needs.
    pub fn add(&mut self, op: Op) -> Result<Value, GraphError> {
        let shape = self.check(&op).ok_or_else(|| GraphError(format!("{} does not fit its inputs", Name(&op))))?;
        self.nodes.push(Node { op, shape });
        Ok(Value(self.nodes.len() - 1))
    }

    /// What comes of `op`, or nothing when it does not fit.
    fn check(&self, op: &Op) -> Option<Shape> {
        let of = |value: &Value| self.nodes.get(value.0).map(|node| node.shape);
        let row = |value: &Value| match of(value)? {
            Shape::Row(width) => Some(width),
            _ => None,
        };
        let heads = |value: &Value| match of(value)? {
            Shape::Heads(heads, size) => Some((heads, size)),
            _ => None,
        };
        let kept = (self.cache.heads, self.cache.size);
        let fits = |fits: bool, shape: Shape| fits.then_some(shape);
        match op {
            Op::Tokens => Some(Shape::Token),
            Op::Embedding { tokens, table } => fits(of(tokens)? == Shape::Token, Shape::Row(table.columns)),
            Op::Norm { input, scale, .. } => {
                let shape = of(input)?;
                let (Shape::Row(width) | Shape::Heads(_, width)) = shape else { return None };
                fits(scale.rows == 1 && scale.columns == width, shape)
            }
            Op::Linear { input, weight } => fits(row(input)? == weight.columns, Shape::Row(weight.rows)),
            Op::Split { input } => {
                let width = row(input)?;
                fits(width.is_multiple_of(kept.1) && width > 0, Shape::Heads(width / kept.1, kept.1))
            }
            Op::Join { input } => heads(input).map(|(heads, size)| Shape::Row(heads * size)),
            Op::Rotary { input } => {
                let (heads, size) = heads(input)?;
                fits(size.is_multiple_of(2), Shape::Heads(heads, size))
            }
            Op::Store { input, layer, .. } => {
                fits(heads(input)? == kept && *layer < self.cache.layers, Shape::Cache(kept.0, kept.1))
            }
            Op::Attention { queries, keys, values, .. } => {
                let (count, size) = heads(queries)?;
                let cached = Shape::Cache(kept.0, kept.1);
                let fit = of(keys)? == cached && of(values)? == cached && size == kept.1;
                fits(fit && count.is_multiple_of(kept.0), Shape::Heads(count, size))
            }
            Op::Gated { gate, up } => fits(row(gate)? == row(up)?, of(up)?),
            Op::Add { left, right } => fits(row(left)? == row(right)?, of(left)?),
            Op::Last { input } => row(input).map(Shape::Row),
        }
    }
}

#[cfg(test)]
mod tests;
