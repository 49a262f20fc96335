//! Labels for conversations, so that a node can say which of them it still holds, and the gateway can
//! send a conversation's next turn there.
//!
//! A label stands for a model, its tools and every message up to one of them: whoever holds it holds a
//! prefix of what is asked. Each is the beginning of a SHA-256 over this gateway's key, the state so
//! far and one message. Without the key it says nothing, not even whether two gateways were asked the
//! same; cut to 8 bytes it cannot be gone on from.

use std::{fmt, sync::Arc};

use sha2::{Digest as _, Sha256};
use starling_protocol::{
    ModelId,
    message::{Chat, ChatMessage, Private, Role, ToolChoice},
};

use crate::secret;

/// A conversation up to one of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// What stands for it on the wire.
    pub label: u64,
    /// Bytes of the prompt that whoever holds it need not read: up to that message, and the answer to it, which was
    /// computed there.
    pub bytes: u64,
}

/// Makes labels. Its key is this process's own, and never leaves it.
#[derive(Clone)]
pub struct Labels {
    key: Arc<[u8; 32]>,
}

impl Labels {
    /// With a fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self { key: Arc::new(secret::random()) }
    }

    /// One label for each message: the conversation up to and with it.
    #[must_use]
    pub fn of(&self, model: &ModelId, chat: &Chat) -> Vec<Label> {
        // Tools that must not be called are not in the prompt.
        let tools = chat.tools.as_ref().filter(|_| chat.tool_choice != ToolChoice::Never);
        let mut state = self.begin(model.to_string().as_bytes());
        add(&mut state, tools);
        let mut state = state.finalize();
        let mut bytes = tools.map_or(0, |tools| tools.0.len() as u64);
        let mut labels = Vec::with_capacity(chat.messages.len());
        for (index, message) in chat.messages.iter().enumerate() {
            let mut next = self.begin(&state);
            add_message(&mut next, message);
            state = next.finalize();
            let (label, _) = state.split_first_chunk().expect("a hash has 32 bytes");
            bytes += message.bytes() as u64;
            let answer = chat.messages.get(index + 1).filter(|next| next.role == Role::Assistant);
            let held = bytes + answer.map_or(0, |answer| answer.bytes() as u64);
            labels.push(Label { label: u64::from_le_bytes(*label), bytes: held });
        }
        labels
    }

    fn begin(&self, state: &[u8]) -> Sha256 {
        Sha256::new_with_prefix(self.key.as_slice()).chain_update(state)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Labels")
    }
}

fn add_message(state: &mut Sha256, message: &ChatMessage) {
    let role: u8 = match message.role {
        Role::System => 0,
        Role::User => 1,
        Role::Assistant => 2,
        Role::Tool => 3,
    };
    state.update([role]);
    add(state, Some(&message.content));
    for part in [&message.reasoning, &message.tool_calls, &message.tool_call_id] {
        add(state, part.as_ref());
    }
}

/// With its length before it, so that no text can pass for another's end; what is not there has the
/// length that nothing has.
fn add(state: &mut Sha256, text: Option<&Private>) {
    state.update(text.map_or(u64::MAX, |text| text.0.len() as u64).to_le_bytes());
    state.update(text.map_or("", |text| &text.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ModelId = ModelId::new([1; 32]);

    fn chat() -> Chat {
        let roles = [Role::System, Role::User, Role::Assistant, Role::User];
        let messages = roles.into_iter().enumerate().map(|(index, role)| ChatMessage::new(role, format!("m{index}")));
        Chat { messages: messages.collect(), tools: Some("[]".to_owned().into()), ..Chat::default() }
    }

    /// After `change` the labels are the same up to message `from`, and others from there on.
    #[track_caller]
    fn check(from: usize, change: impl FnOnce(&mut Chat)) {
        let labels = Labels::generate();
        let of = |chat: &Chat| labels.of(&MODEL, chat).iter().map(|label| label.label).collect::<Vec<_>>();
        let (before, mut chat) = (of(&chat()), chat());
        change(&mut chat);
        let after = of(&chat);
        assert_eq!((before.len(), &before[..from]), (4, &after[..from]));
        assert!(before[from..].iter().all(|label| !after.contains(label)));
    }

    #[test]
    fn a_label_stands_for_everything_before_it() {
        check(4, |_| {});
        check(4, |chat| chat.max_tokens = Some(5));
        check(4, |chat| chat.messages.push(ChatMessage::new(Role::User, "more")));
        check(0, |chat| chat.messages[0].content.0.push('x'));
        check(1, |chat| chat.messages[1].role = Role::Tool);
        check(2, |chat| chat.messages[2].reasoning = Some(String::new().into()));
        check(2, |chat| chat.messages[2].tool_calls = Some("[]".to_owned().into()));
        check(3, |chat| chat.messages[3].tool_call_id = Some("c".to_owned().into()));
        check(0, |chat| chat.tools = None);
        check(0, |chat| chat.tool_choice = ToolChoice::Never);
    }

    #[test]
    fn a_label_says_how_much_need_not_be_read() {
        let bytes: Vec<u64> = Labels::generate().of(&MODEL, &chat()).iter().map(|label| label.bytes).collect();
        assert_eq!(bytes, [4, 8, 8, 10], "tools, s, u and the answer to it, a, u");
    }

    #[test]
    fn a_text_does_not_pass_for_another_place() {
        let message = |content: &str, reasoning: &str| ChatMessage {
            reasoning: Some(reasoning.to_owned().into()),
            ..ChatMessage::new(Role::Assistant, content)
        };
        let labels = Labels::generate();
        let of = |message| labels.of(&MODEL, &Chat { messages: vec![message], ..Chat::default() });
        assert_ne!(of(message("ab", "c")), of(message("a", "bc")));
    }

    #[test]
    fn another_key_and_another_model_give_other_labels() {
        let (one, other) = (Labels::generate(), Labels::generate());
        let mine = one.of(&MODEL, &chat());
        assert_eq!(mine, one.clone().of(&MODEL, &chat()));
        let strange = [other.of(&MODEL, &chat()), one.of(&ModelId::new([2; 32]), &chat())].concat();
        assert!(mine.iter().all(|label| !strange.contains(label)));
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", Labels::generate()), "Labels");
    }
}
