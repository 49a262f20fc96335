//! Every way of storing weights that our own reader knows, against llama.cpp: a small Qwen3 of random blocks, each layer
//! stored in another way. Wrongly read, such a layer would turn all that follows into something else.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use starling_inference::model::write::{self, Header, Precision};
use starling_inference::{DeviceChoice, RawPrompt, Request, Sampling, Source, TokenLogprob};

use crate::subject::{Engine, ask};

const WIDTH: u64 = 256;
const INNER: u64 = 512;
const HEADS: u64 = 4;
const KV_HEADS: u64 = 2;
const HEAD: u64 = 64;
const VOCABULARY: u64 = 320;

/// How a layer is stored, and where in a block its 16-bit scales are.
struct Kind {
    precision: Precision,
    scales: &'static [usize],
}

const KINDS: [Kind; 5] = [
    Kind { precision: Precision::Other { kind: 2, numbers: 32, bytes: 18 }, scales: &[0] },
    Kind { precision: Precision::Blocks, scales: &[0] },
    Kind { precision: Precision::Other { kind: 12, numbers: 256, bytes: 144 }, scales: &[0, 2] },
    Kind { precision: Precision::Other { kind: 13, numbers: 256, bytes: 176 }, scales: &[0, 2] },
    Kind { precision: Precision::Other { kind: 14, numbers: 256, bytes: 210 }, scales: &[208] },
];

/// A tensor: its name, its shape, and how it is stored; `None` is a norm.
type Tensor = (String, Vec<u64>, Option<usize>);

#[tokio::test]
async fn every_kind_of_block_is_read_as_llama_cpp_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kinds.gguf");
    write_model(&path);
    let sampling = Sampling { top_logprobs: Some(20), ..Sampling::greedy() };
    let raw = Some(RawPrompt::Tokens((10..40).collect()));
    let request = Request { raw, messages: Vec::new(), sampling, max_tokens: Some(1), ..ask("") };
    let ours = Source::Reference { path: path.clone(), context_tokens: Some(64), slots: Some(1) };
    let theirs = Source::Gguf {
        path,
        context_tokens: Some(64),
        slots: Some(1),
        threads: Some(1),
        saved_bytes: Some(0),
        hashes: None,
        device: DeviceChoice::Cpu,
    };
    let mut said = Vec::new();
    for source in [ours, theirs] {
        said.push(Engine::start(source).answer(request.clone()).await.logprobs.remove(0));
    }
    let (mut shared, mut worst) = (0, 0.0_f32);
    for likely in &said[0].top {
        if let Some(same) = of(&said[1], likely.token) {
            shared += 1;
            worst = worst.max((same - likely.logprob).abs());
        }
    }
    // llama.cpp rounds what it multiplies such weights with to eight bits.
    assert!(shared >= 17 && worst < 0.2, "{shared} of 20 are the same, off by {worst}");
}

fn of(said: &TokenLogprob, token: u32) -> Option<f32> {
    said.top.iter().find(|likely| likely.token == token).map(|likely| likely.logprob)
}

fn write_model(path: &Path) {
    let tensors = tensors();
    let mut header = header();
    let precision = |kind: Option<usize>| kind.map_or(Precision::Full, |kind| KINDS[kind].precision);
    tensors.iter().for_each(|(name, shape, kind)| header.tensor(name, shape, precision(*kind)));
    let mut out = BufWriter::new(File::create(path).unwrap());
    header.write(&mut out).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for (_, shape, kind) in &tensors {
        let numbers = shape.iter().product::<u64>();
        let bytes = match kind {
            None => write::full(&vec![1.0; numbers as usize]),
            Some(kind) => blocks(&KINDS[*kind], numbers, &mut state),
        };
        write::tensor(&mut out, &bytes).unwrap();
    }
    out.flush().unwrap();
}

/// Random blocks whose numbers have a spread of some hundredths, whatever their kind.
fn blocks(kind: &Kind, numbers: u64, state: &mut u64) -> Vec<u8> {
    let (each, length, scale) = match kind.precision {
        Precision::Other { kind: 2, numbers, bytes } => (numbers, bytes, 0.008),
        Precision::Other { kind: 12, numbers, bytes } => (numbers, bytes, 0.0002),
        Precision::Other { kind: 13, numbers, bytes } => (numbers, bytes, 0.0001),
        Precision::Other { numbers, bytes, .. } => (numbers, bytes, 0.00003),
        _ => (32, 34, 0.0005),
    };
    let mut all = Vec::new();
    for _ in 0..numbers / each {
        let mut block: Vec<u8> = (0..length).map(|_| random(state)).collect();
        for (place, at) in kind.scales.iter().enumerate() {
            // The offset of the K kinds is in units of its own: half of the range, so that the mean is near 0.
            let value = if place == 1 && length == 144 {
                scale * 7.5
            } else if place == 1 {
                scale * 15.5
            } else {
                scale
            };
            block[*at..at + 2].copy_from_slice(&write::halves(&[value]));
        }
        all.extend(block);
    }
    all
}

fn random(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) as u8
}

fn tensors() -> Vec<Tensor> {
    let matrix = |name: String, rows: u64, columns: u64, kind: usize| (name, vec![rows, columns], Some(kind));
    let norm = |name: String, length: u64| (name, vec![length], None);
    // Kind 1 is Q8_0, which other tests have shown to be read well.
    let mut tensors = vec![matrix("token_embd.weight".into(), VOCABULARY, WIDTH, 1)];
    for kind in 0..KINDS.len() {
        let name = |part: &str| format!("blk.{kind}.{part}.weight");
        tensors.extend([
            norm(name("attn_norm"), WIDTH),
            matrix(name("attn_q"), HEADS * HEAD, WIDTH, kind),
            matrix(name("attn_k"), KV_HEADS * HEAD, WIDTH, kind),
            matrix(name("attn_v"), KV_HEADS * HEAD, WIDTH, kind),
            norm(name("attn_q_norm"), HEAD),
            norm(name("attn_k_norm"), HEAD),
            matrix(name("attn_output"), WIDTH, HEADS * HEAD, kind),
            norm(name("ffn_norm"), WIDTH),
            matrix(name("ffn_gate"), INNER, WIDTH, kind),
            matrix(name("ffn_up"), INNER, WIDTH, kind),
            matrix(name("ffn_down"), WIDTH, INNER, kind),
        ]);
    }
    tensors.push(norm("output_norm.weight".into(), WIDTH));
    tensors
}

fn header() -> Header {
    let mut header = Header::default();
    let small = |number: u64| u32::try_from(number).unwrap();
    header.text("general.architecture", "qwen3");
    header.number("qwen3.block_count", KINDS.len() as u32);
    header.number("qwen3.context_length", 128);
    header.number("qwen3.embedding_length", small(WIDTH));
    header.number("qwen3.feed_forward_length", small(INNER));
    header.number("qwen3.attention.head_count", small(HEADS));
    header.number("qwen3.attention.head_count_kv", small(KV_HEADS));
    header.number("qwen3.attention.key_length", small(HEAD));
    header.number("qwen3.attention.value_length", small(HEAD));
    header.float("qwen3.attention.layer_norm_rms_epsilon", 1e-6);
    header.float("qwen3.rope.freq_base", 1e6);
    header.text("tokenizer.ggml.model", "gpt2");
    header.text("tokenizer.ggml.pre", "qwen2");
    let tokens: Vec<String> = (0..VOCABULARY).map(|id| format!("word{id}")).collect();
    header.texts("tokenizer.ggml.tokens", &tokens);
    header.integers("tokenizer.ggml.token_type", &vec![1; tokens.len()]);
    header.texts("tokenizer.ggml.merges", &["w o".to_owned()]);
    header.number("tokenizer.ggml.bos_token_id", 0);
    header.number("tokenizer.ggml.eos_token_id", 1);
    header.flag("tokenizer.ggml.add_bos_token", false);
    header
}
