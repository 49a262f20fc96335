//! Writes a GGUF model of random weights: the speed of an engine does not depend on their values, so a
//! benchmark needs no download. The same arguments always give the same bytes.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod weights;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use starling_inference::model::write::{self, Header, Precision};
use weights::Weights;

#[derive(Parser)]
struct Options {
    /// Where to write it.
    path: PathBuf,
    /// Whose shape it has.
    #[arg(long, value_enum, default_value_t = Shape::Qwen3_0_6b)]
    shape: Shape,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shape {
    /// Qwen3-0.6B in Q8_0: 28 layers, 151,936 tokens, 640 MB.
    #[value(name = "qwen3-0.6b")]
    Qwen3_0_6b,
    /// Qwen3-8B in Q4_0, with a head of its own: 36 layers, 4.6 GB.
    #[value(name = "qwen3-8b")]
    Qwen3_8b,
    /// A small relative for trying things out: 4 layers, 20 MB.
    Tiny,
}

/// Sizes of a Qwen3 model.
struct Sizes {
    layers: u32,
    width: u64,
    inner: u64,
    heads: u64,
    kv_heads: u64,
    head: u64,
    vocabulary: u64,
    matrices: Precision,
    has_head: bool,
}

impl Shape {
    fn sizes(self) -> Sizes {
        let full = Sizes {
            layers: 28,
            width: 1024,
            inner: 3072,
            heads: 16,
            kv_heads: 8,
            head: 128,
            vocabulary: 151_936,
            matrices: Precision::Blocks,
            has_head: false,
        };
        match self {
            Self::Qwen3_0_6b => full,
            Self::Qwen3_8b => {
                let widths = Sizes { layers: 36, width: 4096, inner: 12_288, heads: 32, ..full };
                Sizes { matrices: weights::FOUR_BITS, has_head: true, ..widths }
            }
            Self::Tiny => {
                Sizes { layers: 4, width: 512, inner: 1536, heads: 4, kv_heads: 2, vocabulary: 8_192, ..full }
            }
        }
    }
}

/// A tensor to be written; its rows are as long as the last number of its shape.
struct Tensor {
    name: String,
    shape: Vec<u64>,
    precision: Precision,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let sizes = options.shape.sizes();
    let tensors = tensors(&sizes);
    // Under another name until it is whole: a broken-off run leaves no model behind.
    let part = options.path.with_extension("part");
    let mut out = BufWriter::new(File::create(&part).with_context(|| format!("cannot write {}", part.display()))?);
    let mut header = header(&sizes);
    tensors.iter().for_each(|tensor| header.tensor(&tensor.name, &tensor.shape, tensor.precision));
    header.write(&mut out)?;
    let mut weights = Weights::default();
    for tensor in &tensors {
        write::tensor(&mut out, &weights.of(tensor))?;
    }
    out.flush()?;
    out.get_ref().sync_all()?;
    std::fs::rename(&part, &options.path)?;
    println!("{}", options.path.display());
    Ok(())
}

/// What llama.cpp asks of a file of this architecture.
fn header(sizes: &Sizes) -> Header {
    let mut header = Header::default();
    header.text("general.architecture", "qwen3");
    header.text("general.name", "random");
    header.number("qwen3.block_count", sizes.layers);
    header.number("qwen3.context_length", 40_960);
    header.number("qwen3.embedding_length", small(sizes.width));
    header.number("qwen3.feed_forward_length", small(sizes.inner));
    header.number("qwen3.attention.head_count", small(sizes.heads));
    header.number("qwen3.attention.head_count_kv", small(sizes.kv_heads));
    header.number("qwen3.attention.key_length", small(sizes.head));
    header.number("qwen3.attention.value_length", small(sizes.head));
    header.float("qwen3.attention.layer_norm_rms_epsilon", 1e-6);
    header.float("qwen3.rope.freq_base", 1e6);
    header.text("tokenizer.ggml.model", "gpt2");
    header.text("tokenizer.ggml.pre", "qwen2");
    let tokens = tokens(sizes.vocabulary);
    // The last three are control tokens, all others text.
    let kinds: Vec<i32> = (0..sizes.vocabulary).map(|id| if id + 3 < sizes.vocabulary { 1 } else { 3 }).collect();
    header.texts("tokenizer.ggml.tokens", &tokens);
    header.integers("tokenizer.ggml.token_type", &kinds);
    // There has to be one. Without others every byte of a prompt is a token, so prompts have known lengths.
    header.texts("tokenizer.ggml.merges", &["Ā ā".to_owned()]);
    header.number("tokenizer.ggml.bos_token_id", small(sizes.vocabulary - 3));
    header.number("tokenizer.ggml.eos_token_id", small(sizes.vocabulary - 1));
    header.flag("tokenizer.ggml.add_bos_token", false);
    header.text("tokenizer.chat_template", TEMPLATE);
    header
}

const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + \
                        '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}\
                        {% endif %}";

/// The 256 bytes in GPT-2's alphabet, words that no prompt reaches, and the marks of a chat.
fn tokens(vocabulary: u64) -> Vec<String> {
    let bytes = (0..=255_u8).map(|byte| gpt2_letter(byte).to_string());
    let words = (256..vocabulary - 3).map(|id| format!("word{id}"));
    let marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned);
    bytes.chain(words).chain(marks).collect()
}

/// Printable bytes stand for themselves, the others for letters from U+0100 on, in order.
fn gpt2_letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !printable(*other)).count();
    u32::try_from(before).ok().and_then(|offset| char::from_u32(0x100 + offset)).unwrap_or('?')
}

fn tensors(sizes: &Sizes) -> Vec<Tensor> {
    let Sizes { width, inner, head, .. } = *sizes;
    let (queries, keys) = (sizes.heads * head, sizes.kv_heads * head);
    let matrix = |name: String, from: u64, to: u64| Tensor { name, shape: vec![to, from], precision: sizes.matrices };
    let norm = |name: String, length: u64| Tensor { name, shape: vec![length], precision: Precision::Full };
    let mut tensors = vec![matrix("token_embd.weight".into(), width, sizes.vocabulary)];
    for layer in 0..sizes.layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        tensors.extend([
            norm(name("attn_norm"), width),
            matrix(name("attn_q"), width, queries),
            matrix(name("attn_k"), width, keys),
            matrix(name("attn_v"), width, keys),
            norm(name("attn_q_norm"), head),
            norm(name("attn_k_norm"), head),
            matrix(name("attn_output"), queries, width),
            norm(name("ffn_norm"), width),
            matrix(name("ffn_gate"), width, inner),
            matrix(name("ffn_up"), width, inner),
            matrix(name("ffn_down"), inner, width),
        ]);
    }
    tensors.push(norm("output_norm.weight".into(), width));
    if sizes.has_head {
        tensors.push(matrix("output.weight".into(), width, sizes.vocabulary));
    }
    tensors
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_distinct_letters() {
        let letters: std::collections::HashSet<char> = (0..=255).map(gpt2_letter).collect();
        assert_eq!(letters.len(), 256);
        assert_eq!((gpt2_letter(b'a'), gpt2_letter(b' '), gpt2_letter(b'\n')), ('a', 'Ġ', 'Ċ'));
    }
}
