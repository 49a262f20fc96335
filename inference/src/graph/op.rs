//! What a graph is made of: values, their shapes, and the few operations.

use std::fmt;

/// The result of a node: an index into [`Graph::nodes`](super::Graph::nodes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value(pub(super) usize);

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
    /// Turns each pair of a head by its position times the frequency of [`Graph::rotary`](super::Graph::rotary) (Su et al. 2021).
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

    /// The tensor of the file that it reads, if any.
    #[must_use]
    pub fn weight(&self) -> Option<&Weight> {
        match self {
            Self::Embedding { table: weight, .. } | Self::Norm { scale: weight, .. } | Self::Linear { weight, .. } => {
                Some(weight)
            }
            _ => None,
        }
    }
}

/// An operation as errors name it.
pub(super) struct Name<'a>(pub(super) &'a Op);

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
