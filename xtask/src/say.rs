//! What the person sees. Progress goes to stderr; stdout carries only what a script may read, one
//! fact a line.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A headline: a new part of the work begins.
pub(crate) fn step(text: &str) {
    eprintln!("==> {text}");
}

/// A remark below a headline.
pub(crate) fn note(text: &str) {
    eprintln!("    {text}");
}

/// A line for scripts. A closed pipe at the other end is not our trouble.
pub(crate) fn fact(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Shows what is waited for until dropped: turning on a terminal, one plain line elsewhere.
pub(crate) struct Waiting(ProgressBar);

impl Waiting {
    pub(crate) fn new(text: String) -> Self {
        if !std::io::stderr().is_terminal() {
            note(&text);
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("    {spinner} {msg} ({elapsed})");
        let bar = ProgressBar::new_spinner().with_message(text);
        bar.set_style(style.expect("a constant template"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
