//! What comes out: parts, each as long as it can be.

/// A part of what a model wrote. No `Debug`: it holds the answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// What it thinks.
    Thought(String),
    /// What it says.
    Text(String),
    /// It calls a tool; its arguments follow.
    Call {
        /// The tool's name.
        name: String,
        /// What stood there up to the arguments, in case that the call turns out to be none.
        raw: String,
    },
    /// More of the arguments of the call that was begun last: JSON text of an object.
    Arguments(String),
    /// The call is whole.
    CallEnd,
    /// The call is none: it is not JSON, or the answer ended within it. What follows is text.
    CallBroken,
}

impl Part {
    /// How much memory its text takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Thought(text) | Self::Text(text) | Self::Arguments(text) => text.len(),
            Self::Call { raw, .. } => raw.len(),
            Self::CallEnd | Self::CallBroken => 0,
        }
    }
}

/// Parts that nobody has taken yet.
#[derive(Default)]
pub(super) struct Parts(Vec<Part>);

impl Parts {
    pub(super) fn take(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.0)
    }

    pub(super) fn push(&mut self, part: Part) {
        self.0.push(part);
    }

    pub(super) fn think(&mut self, more: &str) {
        match self.0.last_mut() {
            _ if more.is_empty() => {}
            Some(Part::Thought(text)) => text.push_str(more),
            _ => self.0.push(Part::Thought(more.to_owned())),
        }
    }

    pub(super) fn say(&mut self, more: &str) {
        match self.0.last_mut() {
            _ if more.is_empty() => {}
            Some(Part::Text(text)) => text.push_str(more),
            _ => self.0.push(Part::Text(more.to_owned())),
        }
    }

    pub(super) fn argue(&mut self, letter: char) {
        match self.0.last_mut() {
            Some(Part::Arguments(text)) => text.push(letter),
            _ => self.0.push(Part::Arguments(letter.to_string())),
        }
    }
}
