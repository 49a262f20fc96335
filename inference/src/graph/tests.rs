//! The description against llama.cpp, the readers against each other, and what must not change a bit.

use std::path::PathBuf;

use super::decoder::Extras;
use super::hyper::Hyper;
use super::interpret::{Interpreter, Refusal};
use super::weights::{GgufWeights, SafetensorsWeights, Weights, graph_of};
use super::*;
use crate::model::ModelFile;

fn model(name: &str) -> (Hyper, GgufWeights) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    let file = ModelFile::open(&path).unwrap();
    (Hyper::of(&file.header).unwrap(), GgufWeights::open(&file).unwrap())
}

fn interpreter(name: &str, slots: usize) -> Interpreter {
    let (hyper, mut weights) = model(name);
    let graph = graph_of(&hyper, &weights).unwrap();
    Interpreter::new(graph, &mut weights, slots, 128).unwrap()
}

const MODELS: [&str; 3] = ["swarm-demo-3M-q8_0.gguf", "swarm-demo-3M-f16.gguf", "stories260K.gguf"];
const TOKENS: [u32; 12] = [1, 403, 407, 5, 17, 99, 203, 44, 300, 301, 7, 260];

fn off(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

#[test]
fn in_one_go_is_as_token_by_token() {
    for name in MODELS {
        let mut model = interpreter(name, 2);
        let whole = model.run(0, 0, &TOKENS).unwrap();
        let mut single = Vec::new();
        for (position, token) in TOKENS.iter().enumerate() {
            single = model.run(1, position, &[*token]).unwrap();
        }
        assert_eq!(whole, single, "{name}");
        let first = model.run(1, 0, &TOKENS[..5]).unwrap();
        assert_ne!(first, whole);
        assert_eq!(model.run(1, 5, &TOKENS[5..]).unwrap(), whole, "{name} in two pieces");
    }
}

#[test]
fn slots_of_different_lengths_know_nothing_of_each_other() {
    let mut model = interpreter(MODELS[0], 2);
    let alone = model.run(0, 0, &TOKENS).unwrap();
    model.run(1, 0, &TOKENS[..3]).unwrap();
    model.run(0, 0, &TOKENS[..11]).unwrap();
    let other = model.run(1, 3, &TOKENS[3..7]).unwrap();
    assert_eq!(model.run(0, 11, &TOKENS[11..]).unwrap(), alone);
    model.copy(1, 0);
    assert_eq!(model.run(0, 6, &TOKENS[6..7]).unwrap(), other);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut model = interpreter(MODELS[2], 1);
    assert_eq!(model.run(0, 0, &[1, 60_000]), Err(Refusal::Token(60_000)));
    for (slot, from, tokens) in [(1, 0, 1), (0, 128, 1), (0, 120, 9), (0, 0, 0)] {
        let refusal = Refusal::Room { slot, from, tokens };
        assert_eq!(model.run(slot, from, &vec![1; tokens]), Err(refusal));
    }
}

#[test]
fn a_graph_knows_which_shapes_fit() {
    let (hyper, weights) = model(MODELS[0]);
    let good = graph_of(&hyper, &weights).unwrap();
    assert_eq!(good.vocabulary(), hyper.vocabulary);
    assert_eq!(good.nodes().iter().filter(|node| matches!(node.op, Op::Attention { .. })).count(), hyper.layers);
    let wrong = Hyper { heads: hyper.heads + 1, ..hyper.clone() };
    assert!(wrong.graph(Extras::default()).is_err());
    // A tensor that nobody reads would be a part of the model that is left out.
    let plain = Hyper { family: hyper::Family::Llama, ..hyper };
    let error = graph_of(&plain, &weights).unwrap_err().to_string();
    assert!(error.contains("attn_k_norm"), "{error}");
}

/// The tensors of the demo model as `transformers` would have written them.
#[test]
fn a_safetensors_file_gives_the_same_numbers() {
    let (hyper, mut weights) = model(MODELS[1]);
    let graph = graph_of(&hyper, &weights).unwrap();
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    let part = |name: &str, ours: &str, theirs: &str| name.replace(ours, theirs);
    for weight in graph.weights() {
        let start = data.len();
        data.extend(weights.read(weight).unwrap().iter().flat_map(|value| value.to_le_bytes()));
        let mut name = part(&weight.name, "blk.", "model.layers.");
        let pairs = [
            ("token_embd", "model.embed_tokens"),
            ("output_norm", "model.norm"),
            ("attn_norm", "input_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("attn_q.", "self_attn.q_proj."),
            ("attn_k.", "self_attn.k_proj."),
            ("attn_v.", "self_attn.v_proj."),
            ("attn_output", "self_attn.o_proj"),
            ("attn_q_norm", "self_attn.q_norm"),
            ("attn_k_norm", "self_attn.k_norm"),
            ("ffn_", "mlp."),
            ("gate.", "gate_proj."),
            ("up.", "up_proj."),
            ("down.", "down_proj."),
        ];
        pairs.iter().for_each(|(ours, theirs)| name = part(&name, ours, theirs));
        let shape = if weight.rows == 1 { vec![weight.columns] } else { vec![weight.rows, weight.columns] };
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()).unwrap();
    let mut same = SafetensorsWeights::open(file.path()).unwrap();
    let again = graph_of(&hyper, &same).unwrap();
    assert_eq!(again, graph);
    let mut theirs = Interpreter::new(again, &mut same, 1, 64).unwrap();
    assert_eq!(theirs.run(0, 0, &TOKENS).unwrap(), interpreter(MODELS[1], 1).run(0, 0, &TOKENS).unwrap());
    // Cut off, it is refused and nothing is taken for numbers.
    std::fs::write(file.path(), &std::fs::read(file.path()).unwrap()[..header.len()]).unwrap();
    assert!(SafetensorsWeights::open(file.path()).is_err());
}

#[test]
fn quantised_files_are_near_their_originals() {
    let (short, full) = (interpreter(MODELS[0], 1).run(0, 0, &TOKENS), interpreter(MODELS[1], 1).run(0, 0, &TOKENS));
    let (short, full) = (short.unwrap(), full.unwrap());
    let largest = full.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    assert!(off(&short, &full) < largest * 0.1, "{} of {largest}", off(&short, &full));
    assert!(off(&short, &full) > 0.0);
}

#[test]
fn what_a_file_does_not_have_is_named() {
    let (hyper, mut weights) = model(MODELS[0]);
    let table = Weight { name: "token_embd.weight".into(), rows: hyper.vocabulary, columns: hyper.width };
    let mut refused = |weight: Weight, why: &str| {
        let error = weights.read(&weight).unwrap_err().to_string();
        assert!(error.contains(&weight.name) && error.contains(why), "{error}");
    };
    refused(Weight { rows: table.rows + 1, ..table.clone() }, "has the lengths");
    refused(Weight { rows: table.columns, columns: table.rows, ..table.clone() }, "has the lengths");
    refused(Weight { name: "blk.99.attn_q.weight".into(), ..table.clone() }, "is missing");
    assert_eq!(weights.read(&table).unwrap().len(), table.rows * table.columns);
}

#[test]
fn a_file_that_is_cut_after_it_was_checked_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let original = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(MODELS[2]);
    std::fs::copy(original, &path).unwrap();
    let file = ModelFile::open(&path).unwrap();
    let hyper = Hyper::of(&file.header).unwrap();
    let mut weights = GgufWeights::open(&file).unwrap();
    let graph = graph_of(&hyper, &weights).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(file.bytes / 2).unwrap();
    let error = Interpreter::new(graph, &mut weights, 1, 32).err().unwrap();
    assert!(matches!(error, super::weights::WeightError::Io { .. }), "{error}");
}
