//! A decoder as a graph of a few operations, described once and in no library's words.
//!
//! [`decoder`] writes the graph of a model from its [`hyper`]-parameters, [`weights`] reads the numbers of a file, and
//! whoever computes walks over the nodes in their order: [`interpret`] on the CPU and plainly, which shows that the
//! description is right, and the TensorRT engine on a graphics card.
//!
//! Every value has one row for each token of a piece of a sequence. What a row holds is its [`Shape`]; each node is
//! checked against the shapes of its inputs when it is added, so that a graph that exists is one that can be computed.

use std::fmt;

pub mod decoder;
pub mod hyper;
pub mod interpret;
pub mod quantise;
pub mod weights;

mod kernels;

/// The result of a node: an index into [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value(usize);

impl Value {
    /// The place of its node in the graph.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// What one row of a value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The id of a token.
    Token,
    /// So many numbers.
    Row(usize),
    /// So many heads of so many numbers each.
    Heads(usize, usize),
    /// All that a layer's cache holds of the row's sequence: heads, and numbers in each.
    Cache(usize, usize),
}

/// A tensor of the file: by the name that GGUF has for it, and its lengths, that of a row last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Such as `blk.0.attn_q.weight`.
    pub name: String,
    /// Rows, and numbers in a row; one row for a scale.
    pub rows: usize,
    /// Numbers in a row.
    pub columns: usize,
}

/// Which half of a layer's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What queries are compared with.
    Keys,
    /// What is mixed by how well they fit.
    Values,
}

/// How the two numbers of a rotated pair lie in a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// The first half holds the first ones, the second half the second ones.
    Halves,
    /// They are neighbours.
    Neighbours,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The tokens themselves.
    Tokens,
    /// The row of a table for each token.
    Embedding {
        /// Ids.
        tokens: Value,
        /// A row for each token of the vocabulary.
        table: Weight,
    },
    /// Divides by the root of the mean of the squares of the row, or of each head, and multiplies by a scale
    /// (RMSNorm, Zhang and Sennrich 2019).
    Norm {
        /// Rows or heads.
        input: Value,
        /// A number for each of the row, or of a head.
        scale: Weight,
        /// Added to the mean.
        epsilon: f32,
    },
    /// The product of a matrix and each row: one number for each of the matrix's rows.
    Linear {
        /// Rows.
        input: Value,
        /// As many columns as a row has numbers.
        weight: Weight,
    },
    /// A row as heads.
    Split {
        /// Rows.
        input: Value,
    },
    /// Heads as a row.
    Join {
        /// Heads.
        input: Value,
    },
    /// Turns each pair of a head by its position times the frequency of [`Graph::rotary`] (Su et al. 2021).
    Rotary {
        /// Heads.
        input: Value,
    },
    /// Appends the rows to the layer's cache, each at its position, and gives the whole of it.
    Store {
        /// Heads.
        input: Value,
        /// From 0.
        layer: usize,
        /// Keys or values.
        side: Side,
    },
    /// Each query head looks at the cache of its group's key head, up to its own position, and mixes the values
    /// (grouped-query attention, Ainslie et al. 2023).
    Attention {
        /// Heads.
        queries: Value,
        /// Cache.
        keys: Value,
        /// Cache.
        values: Value,
        /// What the products are multiplied by.
        scale: f32,
    },
    /// `gate * sigmoid(gate) * up`, number by number (SwiGLU, Shazeer 2020).
    Gated {
        /// Rows.
        gate: Value,
        /// Rows.
        up: Value,
    },
    /// The sum, number by number.
    Add {
        /// Rows.
        left: Value,
        /// Rows.
        right: Value,
    },
    /// Of all rows of a piece the last.
    Last {
        /// Rows.
        input: Value,
    },
}

impl Op {
    /// The values that it reads.
    #[must_use]
    pub fn inputs(&self) -> Vec<Value> {
        match *self {
            Self::Tokens => Vec::new(),
            Self::Embedding { tokens: input, .. }
            | Self::Norm { input, .. }
            | Self::Linear { input, .. }
            | Self::Split { input }
            | Self::Join { input }
            | Self::Rotary { input }
            | Self::Store { input, .. }
            | Self::Last { input } => vec![input],
            Self::Attention { queries, keys, values, .. } => vec![queries, keys, values],
            Self::Gated { gate: left, up: right } | Self::Add { left, right } => vec![left, right],
        }
    }
}

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
        let of_nodes = self.nodes.iter().filter_map(|node| match &node.op {
            Op::Embedding { table: weight, .. } | Op::Norm { scale: weight, .. } | Op::Linear { weight, .. } => {
                Some(weight)
            }
            _ => None,
        });
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

/// An operation as errors name it.
struct Name<'a>(&'a Op);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, weight) = match self.0 {
            Op::Tokens => ("the tokens", None),
            Op::Embedding { table, .. } => ("the embedding", Some(table)),
            Op::Norm { scale, .. } => ("the norm", Some(scale)),
            Op::Linear { weight, .. } => ("the product", Some(weight)),
            Op::Split { .. } => ("splitting into heads", None),
            Op::Join { .. } => ("joining heads", None),
            Op::Rotary { .. } => ("the rotation", None),
            Op::Store { .. } => ("the cache", None),
            Op::Attention { .. } => ("attention", None),
            Op::Gated { .. } => ("the gate", None),
            Op::Add { .. } => ("the sum", None),
            Op::Last { .. } => ("the last row", None),
        };
        match weight {
            Some(weight) => write!(f, "{what} with {}", weight.name),
            None => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests;
