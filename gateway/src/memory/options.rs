//! How much memory may take: of a prompt, of time, and of the gateway's own.

use std::time::Duration;

/// The flags of the memory.
#[derive(clap::Args, Clone, Debug)]
// The gateway's own options have a group of this name.
#[group(skip)]
pub struct Options {
    /// The embedding model that reads what is remembered; unless given, the one that has read the most of it, or the
    /// first that a node serves. Gateways on one database name the same.
    #[arg(long, value_name = "NAME")]
    pub memory_model: Option<String>,
    /// Tokens of a prompt, more or less, that memories may take; 0 puts none into prompts.
    #[arg(long, value_name = "TOKENS", default_value_t = 512)]
    pub memory_tokens: u32,
    /// How long a question waits at most until its memories are found; then it goes on without them.
    #[arg(long, value_name = "MS", default_value_t = 300)]
    pub memory_deadline_ms: u64,
    /// How near a memory must be to a question to go with it, as a cosine: 1 is the same. What fits differs from model
    /// to model; this is for all-MiniLM-L6-v2.
    #[arg(long, value_name = "COSINE", default_value_t = 0.35)]
    pub memory_similarity: f32,
    /// Memory that the vectors of people who use it now may take; those of others are read from the database again.
    #[arg(long, value_name = "MB", default_value_t = 512)]
    pub memory_index_mb: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_model: None,
            memory_tokens: 512,
            memory_deadline_ms: 300,
            memory_similarity: 0.35,
            memory_index_mb: 512,
        }
    }
}

impl Options {
    pub(super) fn deadline(&self) -> Duration {
        Duration::from_millis(self.memory_deadline_ms)
    }

    pub(super) fn index_bytes(&self) -> usize {
        self.memory_index_mb.saturating_mul(1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn the_defaults_are_said_once_and_the_same() {
        let Cli { options } = Cli::try_parse_from(["x"]).unwrap();
        assert_eq!(format!("{options:?}"), format!("{:?}", Options::default()));
    }
}
