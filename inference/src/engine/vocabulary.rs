//! A model's tokens and its way to write a conversation, for engines that compute the network themselves.
//!
//! llama.cpp reads the tokenizer of the very file, and only that: one tokenizer for every engine, so that they all give
//! the same tokens for the same text. It takes the room of the list of tokens and no weights.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use super::Encoded;
use super::llama::backend::BACKEND;
use super::llama::load;
use crate::model::ModelFile;
use crate::prompt::{Prompt, Rendered};
use crate::{Invalid, OpenError, RawPrompt, Request, Style};

/// The tokens of one file.
pub(crate) struct Vocabulary {
    model: LlamaModel,
    prompt: Prompt,
}

impl Vocabulary {
    /// Reads it.
    ///
    /// # Errors
    /// When llama.cpp does not know the tokenizer, or the chat template cannot be read.
    pub(crate) fn open(file: &ModelFile) -> Result<Self, OpenError> {
        let backend = BACKEND
            .as_ref()
            .ok_or_else(|| OpenError::Engine { reason: "llama.cpp cannot be initialised here".into() })?;
        let params = LlamaModelParams::default().with_vocab_only(true);
        let model = LlamaModel::load_from_file(backend, &file.path, &params).map_err(|_| OpenError::Unsupported {
            path: file.path.clone(),
            reason: "its tokenizer is not known here".to_owned(),
        })?;
        let prompt = load::prompt(file, &model)?;
        Ok(Self { model, prompt })
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.model.n_vocab()).unwrap_or_default()
    }

    pub(crate) fn is_end(&self, token: u32) -> bool {
        self.model.vocab().is_eog(native(token))
    }

    pub(crate) fn end_tokens(&self) -> Vec<u32> {
        (0..self.count()).filter(|&token| self.is_end(token)).collect()
    }

    pub(crate) fn bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        self.model.vocab().token_to_piece_into(native(token), bytes, false, None);
    }

    pub(crate) fn encode(&self, request: &Request) -> Result<Encoded, Invalid> {
        encode(&self.model, &self.prompt, request)
    }
}

/// The tokens of a request.
pub(super) fn encode(model: &LlamaModel, prompt: &Prompt, request: &Request) -> Result<Encoded, Invalid> {
    if let Some(RawPrompt::Tokens(tokens)) = &request.raw {
        return Ok(Encoded { tokens: tokens.clone(), style: Style::default() });
    }
    let Rendered { text, style } = prompt.render(request)?;
    let vocab = model.vocab();
    let tokens = vocab.tokenize(text.as_bytes(), false, true);
    // Many templates write the token themselves; twice would be wrong.
    let bos = vocab.should_add_bos().then(|| vocab.bos()).filter(|bos| tokens.first() != Some(bos));
    let tokens = bos.into_iter().chain(tokens).filter_map(|token| u32::try_from(token.0).ok()).collect();
    Ok(Encoded { tokens, style })
}

/// A token id as llama.cpp has it; ids are below its vocabulary, which is an `i32`.
pub(super) fn native(token: u32) -> LlamaToken {
    LlamaToken::new(i32::try_from(token).unwrap_or(-1))
}
