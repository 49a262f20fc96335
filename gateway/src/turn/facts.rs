//! Who gave an answer, and how fast.

use std::time::Instant;

use starling_protocol::message::Done;

use crate::{
    dispatch::Placement,
    store::{
        messages::{self, FinishReason},
        progress::{Node, Progress},
    },
};

/// Nodes of one answer that are remembered.
const MAX_NODES: usize = 16;

/// What is measured here, where the reader is.
pub(super) struct Facts {
    began: Instant,
    /// Who answers now.
    pub(super) placed: Option<Placement>,
    /// What an earlier run of the turn has given.
    tokens_before: usize,
    tokens: usize,
    /// Tokens of all runs when the last node began.
    tokens_at_start: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Facts {
    pub(super) fn new(tokens_before: usize) -> Self {
        let began = Instant::now();
        Self { began, placed: None, tokens_before, tokens: 0, tokens_at_start: 0, first: None, last: None }
    }

    pub(super) fn count(&mut self, tokens: usize) {
        let now = Instant::now();
        self.tokens = self.tokens.saturating_add(tokens);
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// Another node begins; whether the one before it has given nothing.
    pub(super) fn begins(&mut self) -> bool {
        let all = self.all_tokens();
        std::mem::replace(&mut self.tokens_at_start, all) == all
    }

    fn all_tokens(&self) -> usize {
        self.tokens_before.saturating_add(self.tokens)
    }

    pub(super) fn answer(
        &self,
        progress: &Progress,
        finish_reason: FinishReason,
        done: Option<&Done>,
    ) -> Option<messages::Answer> {
        let last = progress.nodes.last()?;
        let all_tokens = u32::try_from(self.all_tokens()).unwrap_or(u32::MAX);
        Some(messages::Answer {
            node_name: last.name.clone(),
            node_peer: last.peer.clone(),
            nodes: names(&progress.nodes),
            device: last.device.clone(),
            model: progress.model_name.clone(),
            finish_reason,
            prompt_tokens: done.map_or(0, |done| done.usage.prompt_tokens),
            completion_tokens: done.map_or(all_tokens, |done| done.usage.completion_tokens),
            first_token_ms: progress.first_token_ms,
            tokens_per_second: self.speed(),
        })
    }

    /// Of an answer that goes on, this is not the first token.
    pub(super) fn first_token_ms(&self) -> Option<f64> {
        let first = self.first.filter(|_| self.tokens_before == 0)?;
        Some((first - self.began).as_secs_f64() * 1000.0)
    }

    /// After the first token; of one token there is none.
    fn speed(&self) -> Option<f64> {
        let span = (self.last? - self.first?).as_secs_f64();
        let more = self.tokens.checked_sub(1).filter(|more| *more > 0)?;
        (span > 0.0).then(|| u32::try_from(more).map_or(f64::INFINITY, f64::from) / span)
    }
}

/// One more node; one that was lost before it gave anything is not remembered.
pub(super) fn note(nodes: &mut Vec<Node>, node: Node, last_gave_nothing: bool) {
    if last_gave_nothing {
        nodes.pop();
    }
    if nodes.last().is_some_and(|last| last.peer == node.peer) {
        nodes.pop();
    }
    nodes.push(node);
    if nodes.len() > MAX_NODES {
        nodes.remove(0);
    }
}

pub(super) fn names(nodes: &[Node]) -> Vec<String> {
    nodes.iter().map(|node| node.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(begun: &[(&str, usize)], expected: &[&str]) {
        let (mut facts, mut nodes) = (Facts::new(0), vec![]);
        for (name, tokens) in begun {
            let node = Node { name: (*name).to_owned(), peer: (*name).to_owned(), ..Node::default() };
            let gave_nothing = facts.begins();
            note(&mut nodes, node, gave_nothing);
            facts.count(*tokens);
        }
        assert_eq!(names(&nodes), expected, "{begun:?}");
    }

    #[test]
    fn nodes_that_gave_a_part_are_remembered() {
        check(&[("a", 2)], &["a"]);
        check(&[("a", 2), ("a", 1)], &["a"]);
        check(&[("a", 2), ("b", 1), ("a", 1)], &["a", "b", "a"]);
        check(&[("a", 0), ("b", 1)], &["b"]);
        check(&[("a", 1), ("b", 0), ("a", 1)], &["a"]);
        check(&[("a", 1), ("b", 0), ("c", 0)], &["a", "c"]);
        let many: Vec<_> = (0..20).map(|i| (if i % 2 == 0 { "a" } else { "b" }, 1)).collect();
        check(&many, &["a", "b"].repeat(MAX_NODES / 2));
    }
}
