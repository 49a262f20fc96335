//! A whole tiny BERT is converted; a damaged one is an error and never a panic, nor half a file.

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::model::{ModelFile, Pooling};

const WORDS: [&str; 7] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "##es"];

/// A BERT of one layer with eight numbers a token, in a folder of its own.
fn tiny() -> TempDir {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, json: Value| std::fs::write(dir.path().join(name), json.to_string()).unwrap();
    write(
        "config.json",
        json!({"model_type": "bert", "hidden_act": "gelu", "hidden_size": 8, "num_hidden_layers": 1,
        "intermediate_size": 16, "num_attention_heads": 2, "max_position_embeddings": 32, "vocab_size": 7,
        "type_vocab_size": 2}),
    );
    write("modules.json", json!([{"type": "sentence_transformers.models.Transformer"}]));
    std::fs::create_dir(dir.path().join("1_Pooling")).unwrap();
    write("1_Pooling/config.json", json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}));
    let vocab: serde_json::Map<String, Value> =
        (0_u64..).zip(WORDS).map(|(id, word)| (word.into(), id.into())).collect();
    let added: Vec<Value> = WORDS[..5].iter().map(|word| json!({"content": word, "special": true})).collect();
    write("tokenizer.json", json!({"model": {"type": "WordPiece", "vocab": vocab}, "added_tokens": added}));
    std::fs::write(dir.path().join("model.safetensors"), weights(&dir)).unwrap();
    dir
}

fn weights(dir: &TempDir) -> Vec<u8> {
    let (mut entries, mut data) = (serde_json::Map::new(), Vec::new());
    for tensor in Config::read(&dir.path().join("config.json")).unwrap().tensors() {
        let start = data.len();
        for number in 0..tensor.shape.iter().product() {
            data.extend((((number % 13) as f32 - 6.0) / 10.0).to_le_bytes());
        }
        let entry = json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, data.len()]});
        entries.insert(tensor.source, entry);
    }
    let header = Value::from(entries).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

fn run(dir: &TempDir) -> Result<ModelFile, ConvertError> {
    let output = dir.path().join("out.gguf");
    let result = convert(dir.path(), &output);
    assert_eq!(output.exists(), result.is_ok(), "half a file");
    result.map(|()| ModelFile::open(&output).unwrap())
}

#[track_caller]
fn check_refused(dir: &TempDir, part: &str) {
    let error = run(dir).expect_err(part).to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn a_good_folder_becomes_a_good_file_and_always_the_same() {
    let dir = tiny();
    let file = run(&dir).unwrap();
    assert_eq!((file.header.architecture(), file.header.context_tokens()), ("bert", Some(32)));
    assert_eq!(file.header.pooling(), Some(Pooling::Mean));
    let first = std::fs::read(&file.path).unwrap();
    assert_eq!(std::fs::read(run(&dir).unwrap().path).unwrap(), first);
    let mut vocabulary = Vocabulary::read(dir.path()).unwrap();
    assert_eq!(vocabulary.tokens.split_off(4), ["[MASK]", "\u{2581}fox", "es"]);
    assert_eq!((vocabulary.kinds[4], vocabulary.kinds[5]), (3, 1));
}

#[test]
fn every_cut_of_the_weights_is_noticed() {
    let dir = tiny();
    let path = dir.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for part in 0..100 {
        std::fs::write(&path, &whole[..whole.len() * part / 100]).unwrap();
        assert!(run(&dir).is_err(), "{part} %");
    }
}

#[test]
fn no_flip_in_the_header_of_the_weights_brings_it_down() {
    let dir = tiny();
    let path = dir.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for number in 0..300_u64 {
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let mut bytes = whole.clone();
        bytes[usize::try_from(random % 2000).unwrap()] ^= 1 << (random >> 32 & 7);
        std::fs::write(&path, bytes).unwrap();
        let _ = convert(dir.path(), &dir.path().join("out.gguf"));
    }
}

#[test]
fn offsets_and_lengths_that_lie_are_refused() {
    let dir = tiny();
    let path = dir.path().join("model.safetensors");
    let lies = [
        (json!([0, 1_u64 << 40]), json!([8]), "impossible place"),
        (json!([16, 8]), json!([8]), "impossible place"),
        (json!([0, 4]), json!([u64::MAX, 2]), "impossible place"),
        (json!([0, 4]), json!([1]), "is missing"),
        (json!(["a"]), json!([1]), "is not described"),
    ];
    for (offsets, shape, part) in lies {
        let header = json!({"x": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).to_string();
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat();
        std::fs::write(&path, file).unwrap();
        check_refused(&dir, part);
    }
    std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
    check_refused(&dir, "longer than the file");
}

#[test]
fn what_it_cannot_convert_is_said() {
    let change = |name: &str, from: &str, to: &str, part: &str| {
        let dir = tiny();
        let path = dir.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        check_refused(&dir, part);
    };
    change("config.json", "\"bert\"", "\"gpt2\"", "model_type");
    change("config.json", "\"num_hidden_layers\":1", "\"num_hidden_layers\":100000", "num_hidden_layers");
    change("config.json", "\"num_attention_heads\":2", "\"num_attention_heads\":3", "multiple");
    change("config.json", "\"vocab_size\":7", "\"vocab_size\":8", "it has 7 words and the model 8");
    change("config.json", "\"hidden_size\":8", "\"hidden_size\":4", "has the shape");
    change("config.json", "{", "nonsense", "is not JSON");
    change("modules.json", "models.Transformer", "models.Dense", "Dense");
    change("1_Pooling/config.json", "mean_tokens", "max_tokens", "neither means");
    change("tokenizer.json", "WordPiece", "BPE", "not BERT's");
    change("tokenizer.json", "\"fox\":5", "\"fox\":4", "not numbered in order");
    change("tokenizer.json", "\"fox\":5", "\"fox\":99", "not numbered in order");
    let dir = tiny();
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    check_refused(&dir, "cannot read");
}
