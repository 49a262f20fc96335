//! One tag, looked for letter by letter.

/// How far a tag has come. Its first letter stands nowhere else in it, so that a failed match never
/// hides another one's beginning.
pub(super) struct Tag {
    text: &'static str,
    begun: usize,
}

/// What a letter made of a [`Tag`].
pub(super) enum Match {
    /// It may still become the tag.
    Part,
    /// It is the tag.
    Whole,
    /// It is not, nor was this before it. The letter itself may begin the tag, unless this is empty.
    No(&'static str),
}

impl Tag {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, begun: 0 }
    }

    /// What has come of it.
    pub(super) fn begun(&self) -> &'static str {
        &self.text[..self.begun]
    }

    pub(super) fn push(&mut self, letter: char) -> Match {
        if self.text[self.begun..].starts_with(letter) {
            self.begun += letter.len_utf8();
            if self.begun < self.text.len() { Match::Part } else { Match::Whole }
        } else {
            let begun = self.begun();
            self.begun = 0;
            Match::No(begun)
        }
    }
}
