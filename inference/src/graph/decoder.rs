//! Qwen3 and Llama as graphs: the same block, with or without a norm on each head of queries and keys.
//!
//! Tensors have the names of llama.cpp's GGUF files; readers of other files translate.

use super::hyper::{Family, Hyper};
use super::{CacheShape, Graph, GraphError, Op, Rotary, Side, Value, Weight};

/// What a file has beside the tensors that every decoder has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// A head of its own; without one the embedding's table is used for both.
    pub head: bool,
    /// A factor for each frequency of the positions (Llama 3.1 and later).
    pub rotary_factors: bool,
}

impl Hyper {
    /// The graph of a decoder of this shape, from tokens to the logits behind the last of them.
    ///
    /// # Errors
    /// When the numbers contradict each other.
    pub fn graph(&self, extras: Extras) -> Result<Graph, GraphError> {
        let factors = extras.rotary_factors.then(|| weight("rope_freqs.weight", 1, self.head_size / 2));
        let rotary = Rotary { pairs: self.pairs, base: self.rotary_base, factors };
        let cache = CacheShape { layers: self.layers, heads: self.kv_heads, size: self.head_size };
        let mut writer = Writer { graph: Graph::new(rotary, cache), hyper: self };
        let table = weight("token_embd.weight", self.vocabulary, self.width);
        let tokens = writer.graph.add(Op::Tokens)?;
        let mut stream = writer.graph.add(Op::Embedding { tokens, table: table.clone() })?;
        for layer in 0..self.layers {
            stream = writer.block(layer, stream)?;
        }
        // Only the last row is asked for what comes next.
        let last = writer.graph.add(Op::Last { input: stream })?;
        let last = writer.norm(last, "output_norm.weight", self.width)?;
        let head = if extras.head { Weight { name: "output.weight".into(), ..table } } else { table };
        writer.graph.add(Op::Linear { input: last, weight: head })?;
        Ok(writer.graph)
    }
}

struct Writer<'a> {
    graph: Graph,
    hyper: &'a Hyper,
}

impl Writer<'_> {
    fn block(&mut self, layer: usize, stream: Value) -> Result<Value, GraphError> {
        let mixed = self.attention(layer, stream)?;
        let stream = self.graph.add(Op::Add { left: stream, right: mixed })?;
        let forward = self.feed_forward(layer, stream)?;
        self.graph.add(Op::Add { left: stream, right: forward })
    }

    fn attention(&mut self, layer: usize, stream: Value) -> Result<Value, GraphError> {
        let Hyper { width, heads, kv_heads, head_size, .. } = *self.hyper;
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let input = self.norm(stream, &name("attn_norm"), width)?;
        let queries = self.heads(input, &name("attn_q"), heads)?;
        let keys = self.heads(input, &name("attn_k"), kv_heads)?;
        let values = self.heads(input, &name("attn_v"), kv_heads)?;
        let queries = self.positioned(queries, &name("attn_q_norm"))?;
        let keys = self.positioned(keys, &name("attn_k_norm"))?;
        let keys = self.graph.add(Op::Store { input: keys, layer, side: Side::Keys })?;
        let values = self.graph.add(Op::Store { input: values, layer, side: Side::Values })?;
        let scale = 1.0 / (head_size as f32).sqrt();
        let mixed = self.graph.add(Op::Attention { queries, keys, values, scale })?;
        let mixed = self.graph.add(Op::Join { input: mixed })?;
        self.linear(mixed, &name("attn_output"), width, heads * head_size)
    }

    fn feed_forward(&mut self, layer: usize, stream: Value) -> Result<Value, GraphError> {
        let Hyper { width, inner, .. } = *self.hyper;
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let input = self.norm(stream, &name("ffn_norm"), width)?;
        let gate = self.linear(input, &name("ffn_gate"), inner, width)?;
        let up = self.linear(input, &name("ffn_up"), inner, width)?;
        let gated = self.graph.add(Op::Gated { gate, up })?;
        self.linear(gated, &name("ffn_down"), width, inner)
    }

    fn heads(&mut self, input: Value, name: &str, heads: usize) -> Result<Value, GraphError> {
        let row = self.linear(input, name, heads * self.hyper.head_size, self.hyper.width)?;
        self.graph.add(Op::Split { input: row })
    }

    /// Normed where the family does so, and turned by its position.
    fn positioned(&mut self, heads: Value, norm: &str) -> Result<Value, GraphError> {
        let heads = match self.hyper.family {
            Family::Qwen3 => self.norm(heads, norm, self.hyper.head_size)?,
            Family::Llama => heads,
        };
        self.graph.add(Op::Rotary { input: heads })
    }

    fn norm(&mut self, input: Value, name: &str, width: usize) -> Result<Value, GraphError> {
        self.graph.add(Op::Norm { input, scale: weight(name, 1, width), epsilon: self.hyper.epsilon })
    }

    fn linear(&mut self, input: Value, name: &str, rows: usize, columns: usize) -> Result<Value, GraphError> {
        self.graph.add(Op::Linear { input, weight: weight(name, rows, columns) })
    }
}

fn weight(name: &str, rows: usize, columns: usize) -> Weight {
    Weight { name: name.to_owned(), rows, columns }
}
