//! The error for what only the person at the keyboard can change: a taken port, a missing file, a
//! package that needs their password.

/// Shown as an `error:` and a `hint:` line; the exit code is 2.
#[derive(Debug)]
pub(crate) struct Blocked {
    pub(crate) message: String,
    /// The next step, as a command where there is one.
    pub(crate) hint: String,
}

impl Blocked {
    pub(crate) fn error(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        let (message, hint) = (message.into(), hint.into());
        anyhow::Error::new(Self { message, hint })
    }
}

impl std::fmt::Display for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.hint)
    }
}

impl std::error::Error for Blocked {}
