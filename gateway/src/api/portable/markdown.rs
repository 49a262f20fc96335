//! A branch as Markdown, for people to read and keep. What was said is Markdown already and stands as it is.

use std::fmt::Write;

use starling_protocol::message::Role;

use crate::store::messages::Message;

pub(super) fn write(title: &str, messages: &[Message]) -> String {
    let mut text = format!("# {title}\n");
    for message in messages.iter().filter(|message| !message.text.0.is_empty()) {
        let who = match (message.role, &message.answer) {
            (Role::User, _) => "You".to_owned(),
            (Role::System, _) => "Instructions".to_owned(),
            (_, Some(answer)) => format!("{} on {}", answer.model, answer.node_name),
            (_, None) => "Answer".to_owned(),
        };
        // Writing to a string never fails.
        let _ = write!(text, "\n## {who}\n\n{}\n", message.text.0.trim_end());
    }
    text
}
