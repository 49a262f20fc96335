//! How likely each token was, in OpenAI's form.

use serde::Serialize;
use starling_protocol::message::{Likely, TokenLogprob};
use utoipa::ToSchema;

/// What OpenAI writes for a probability of zero, whose logarithm no JSON number is.
const NEVER: f32 = -9999.0;

/// The tokens of a choice, or of a chunk.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ChatLogprobs)]
pub(super) struct Logprobs {
    content: Vec<Token>,
    #[schema(value_type = Option<String>)]
    refusal: (),
}

/// One token.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = TokenLogprob)]
pub(super) struct Token {
    #[serde(flatten)]
    taken: Entry,
    top_logprobs: Vec<Entry>,
}

#[derive(Clone, Serialize, ToSchema)]
#[schema(as = LogprobEntry)]
struct Entry {
    /// A token may be a part of a character: then only its bytes say all of it.
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
}

impl Logprobs {
    pub(super) fn add(&mut self, tokens: Vec<TokenLogprob>) {
        self.content.extend(tokens.into_iter().map(Token::from));
    }
}

impl From<Vec<TokenLogprob>> for Logprobs {
    fn from(tokens: Vec<TokenLogprob>) -> Self {
        let mut logprobs = Self::default();
        logprobs.add(tokens);
        logprobs
    }
}

impl From<TokenLogprob> for Token {
    fn from(token: TokenLogprob) -> Self {
        Self { taken: token.taken.into(), top_logprobs: token.top.into_iter().map(Entry::from).collect() }
    }
}

impl From<Likely> for Entry {
    fn from(Likely { logprob, text, .. }: Likely) -> Self {
        let token = String::from_utf8_lossy(&text.0).into_owned();
        Self { token, logprob: finite(logprob), bytes: text.0 }
    }
}

/// Whatever a node says: neither NaN nor infinity.
pub(super) fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { NEVER }
}

/// About the bytes that these take until the answer is out.
pub(super) fn bytes(tokens: &[TokenLogprob]) -> usize {
    let entry = |likely: &Likely| size_of::<Entry>() + 2 * likely.text.0.len();
    tokens.iter().map(|token| entry(&token.taken) + token.top.iter().map(entry).sum::<usize>()).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use starling_protocol::message::PrivateBytes;

    use super::*;

    #[test]
    fn a_part_of_a_character_keeps_its_bytes() {
        let likely = |bytes: &[u8], logprob| Likely { token: 5, logprob, text: PrivateBytes(bytes.to_vec()) };
        let token = TokenLogprob {
            taken: likely(&[0xc3], -0.5),
            top: vec![likely(b"a", f32::NAN), likely(b"b", f32::NEG_INFINITY)],
        };
        let expected = json!({"content": [{
            "token": "\u{fffd}", "logprob": -0.5, "bytes": [0xc3],
            "top_logprobs": [
                {"token": "a", "logprob": -9999.0, "bytes": [97]},
                {"token": "b", "logprob": -9999.0, "bytes": [98]},
            ],
        }], "refusal": null});
        assert_eq!(serde_json::to_value(Logprobs::from(vec![token])).unwrap(), expected);
    }
}
