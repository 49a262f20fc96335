//! An embedding model of the BERT family, as small as one can be, since there is none in the repository.

const WIDTH: u64 = 32;
const INNER: u64 = 64;
const LAYERS: u32 = 2;
const CONTEXT: u64 = 64;
const WORDS: [&str; 16] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁once", "▁upon", "▁a", "▁time", "▁the", "s", "ed", "▁.", "▁o", "n",
    "▁x",
];
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// The file, and where its header ends.
pub(crate) fn file() -> (Vec<u8>, u64) {
    let (entries, tensors) = (entries(), tensors());
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    bytes.extend(entries.concat());
    let mut place = 0_u64;
    for (name, shape) in &tensors {
        bytes.extend(text(name));
        bytes.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
        shape.iter().for_each(|length| bytes.extend(length.to_le_bytes()));
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(place.to_le_bytes());
        place += (shape.iter().product::<u64>() * 4).next_multiple_of(32);
    }
    let end = bytes.len() as u64;
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    // Small numbers that differ; what they are does not matter.
    bytes.extend((0..place / 4).flat_map(|number| ((number % 13) as f32 / 100.0 - 0.06).to_le_bytes()));
    (bytes, end)
}

fn entries() -> Vec<Vec<u8>> {
    let number = |key: &str, value: u32| entry(key, U32, &value.to_le_bytes());
    let small = |value: u64| u32::try_from(value).unwrap();
    let words: Vec<u8> = WORDS.iter().flat_map(|word| text(word)).collect();
    let kinds: Vec<u8> = (0..WORDS.len()).flat_map(|at| if at < 5 { 3_i32 } else { 1 }.to_le_bytes()).collect();
    vec![
        entry("general.architecture", TEXT, &text("bert")),
        number("bert.block_count", LAYERS),
        number("bert.context_length", small(CONTEXT)),
        number("bert.embedding_length", small(WIDTH)),
        number("bert.feed_forward_length", small(INNER)),
        number("bert.attention.head_count", 2),
        entry("bert.attention.layer_norm_epsilon", F32, &1e-12_f32.to_le_bytes()),
        entry("bert.attention.causal", BOOL, &[0]),
        number("bert.pooling_type", 1),
        number("tokenizer.ggml.token_type_count", 2),
        entry("tokenizer.ggml.model", TEXT, &text("bert")),
        entry("tokenizer.ggml.pre", TEXT, &text("jina-v2-en")),
        entry("tokenizer.ggml.tokens", ARRAY, &list(TEXT, &words)),
        entry("tokenizer.ggml.token_type", ARRAY, &list(I32, &kinds)),
        number("tokenizer.ggml.padding_token_id", 0),
        number("tokenizer.ggml.unknown_token_id", 1),
        number("tokenizer.ggml.cls_token_id", 2),
        number("tokenizer.ggml.bos_token_id", 2),
        number("tokenizer.ggml.seperator_token_id", 3),
        number("tokenizer.ggml.eos_token_id", 3),
        number("tokenizer.ggml.mask_token_id", 4),
    ]
}

fn tensors() -> Vec<(String, Vec<u64>)> {
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), vec![WIDTH, WORDS.len() as u64]),
        ("position_embd.weight".to_owned(), vec![WIDTH, CONTEXT]),
        ("token_types.weight".to_owned(), vec![WIDTH, 2]),
    ];
    let mut pair = |name: String, shape: &[u64]| {
        tensors.push((format!("{name}.weight"), shape.to_vec()));
        tensors.push((format!("{name}.bias"), vec![*shape.last().unwrap()]));
    };
    pair("token_embd_norm".to_owned(), &[WIDTH]);
    for layer in 0..LAYERS {
        for name in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            pair(format!("blk.{layer}.{name}"), &[WIDTH, WIDTH]);
        }
        pair(format!("blk.{layer}.ffn_up"), &[WIDTH, INNER]);
        pair(format!("blk.{layer}.ffn_down"), &[INNER, WIDTH]);
        pair(format!("blk.{layer}.attn_output_norm"), &[WIDTH]);
        pair(format!("blk.{layer}.layer_output_norm"), &[WIDTH]);
    }
    tensors
}

fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key)[..], &kind.to_le_bytes(), value].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn list(kind: u32, values: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(WORDS.len() as u64).to_le_bytes(), values].concat()
}
