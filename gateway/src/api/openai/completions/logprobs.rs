//! How likely each token was, in the form of this endpoint: lists side by side.

use serde::Serialize;
use serde_json::{Map, Value};
use starling_protocol::message::{Likely, TokenLogprob};
use utoipa::ToSchema;

use crate::api::openai::logprobs::finite;

#[derive(Serialize, ToSchema)]
#[schema(as = TextLogprobs)]
pub(super) struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f32>,
    /// By the token's text; two that read alike are one entry.
    top_logprobs: Vec<Map<String, Value>>,
    /// Where each begins, in characters of the tokens before it.
    text_offset: Vec<usize>,
}

/// Where the next token begins.
#[derive(Clone, Copy, Default)]
pub(super) struct Places(usize);

impl Logprobs {
    pub(super) fn new(tokens: Vec<TokenLogprob>, places: &mut Places) -> Self {
        let mut logprobs = Self { tokens: vec![], token_logprobs: vec![], top_logprobs: vec![], text_offset: vec![] };
        for TokenLogprob { taken, top } in tokens {
            logprobs.text_offset.push(places.0);
            places.0 += String::from_utf8_lossy(&taken.text.0).chars().count();
            logprobs.token_logprobs.push(finite(taken.logprob));
            let entry = |likely: &Likely| (text(likely), Value::from(finite(likely.logprob)));
            logprobs.top_logprobs.push(top.iter().map(entry).collect());
            logprobs.tokens.push(text(&taken));
        }
        logprobs
    }
}

/// A part of a character is written as OpenAI writes it.
fn text(likely: &Likely) -> String {
    match std::str::from_utf8(&likely.text.0) {
        Ok(text) => text.to_owned(),
        Err(_) => likely.text.0.iter().fold("bytes:".to_owned(), |text, byte| format!("{text}\\x{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use starling_protocol::message::PrivateBytes;

    use super::*;

    #[test]
    fn lists_stand_side_by_side() {
        let likely = |bytes: &[u8], logprob| Likely { token: 1, logprob, text: PrivateBytes(bytes.to_vec()) };
        let token = |bytes: &[u8]| TokenLogprob { taken: likely(bytes, -0.5), top: vec![likely(b"a", f32::NAN)] };
        let mut places = Places::default();
        let first = Logprobs::new(vec![token("hé".as_bytes()), token(&[0xe2, 0x80])], &mut places);
        let expected = json!({
            "tokens": ["hé", "bytes:\\xe2\\x80"],
            "token_logprobs": [-0.5, -0.5],
            "top_logprobs": [{"a": -9999.0}, {"a": -9999.0}],
            "text_offset": [0, 2],
        });
        assert_eq!(serde_json::to_value(first).unwrap(), expected);
        let next = serde_json::to_value(Logprobs::new(vec![token(b"x")], &mut places)).unwrap();
        assert_eq!(next["text_offset"], json!([3]), "a stream goes on where it was");
    }
}
