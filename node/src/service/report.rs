//! How the service does, in words for its owner and as the exit code that programs ask for.

use std::path::PathBuf;

use serde::Serialize;

use crate::update::Record;

/// What a system says of the service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Report {
    /// The system knows it.
    pub(crate) installed: bool,
    /// What it does.
    pub(crate) state: State,
    /// Since when, as the system writes it.
    pub(crate) since: Option<String>,
    /// The system starts it by itself.
    pub(crate) starts_by_itself: bool,
    /// The account that it runs as.
    pub(crate) account: Option<String>,
    /// With which program.
    pub(crate) program: Option<PathBuf>,
    /// With which configuration file.
    pub(crate) config: Option<PathBuf>,
    /// With which folder.
    pub(crate) data: Option<PathBuf>,
    /// How it ended last, when that is known and was no order.
    pub(crate) last_exit: Option<String>,
    /// Where its log is.
    pub(crate) logs: Vec<String>,
    /// The system keeps it up to date, where this account may know.
    pub(crate) updates_itself: Option<bool>,
    /// What came of that last.
    pub(crate) last_update: Option<Record>,
}

/// What a service does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It serves, or loads what it will serve.
    Running,
    /// It begins, or begins again after it failed.
    Starting,
    /// It hands its answers over and leaves.
    Stopping,
    /// It was stopped, or never started.
    #[default]
    Stopped,
    /// It ended with an error.
    Failed,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl Report {
    /// Whether there is a process.
    pub(crate) fn is_running(&self) -> bool {
        self.installed && matches!(self.state, State::Running | State::Starting | State::Stopping)
    }

    /// The codes of LSB and systemd: 0 it runs, 3 it does not, 4 there is none.
    pub(super) fn code(&self) -> u8 {
        match (self.installed, self.is_running()) {
            (false, _) => 4,
            (true, true) => 0,
            (true, false) => 3,
        }
    }

    /// One line, for a list of other things.
    pub(crate) fn line(&self) -> String {
        if !self.installed {
            return "not installed; `starling-node service install` makes the system start the node".to_owned();
        }
        let since = self.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
        let by_itself = if self.starts_by_itself { "starts by itself" } else { "does not start by itself" };
        format!("installed, {}{since}, {by_itself}", self.state.word())
    }

    fn updates(&self) -> Option<String> {
        let last = self.last_update.as_ref().and_then(Record::line).map(|line| format!("; {line}")).unwrap_or_default();
        match self.updates_itself? {
            true => Some(format!("by itself, each day{last}")),
            false => Some("by hand, with starling-node update".to_owned()),
        }
    }

    /// Line by line.
    pub(super) fn shown(&self) -> String {
        let mut lines = vec![("service", self.line())];
        let path = |path: &PathBuf| path.display().to_string();
        let rest = [
            ("program", self.program.as_ref().map(path)),
            ("config", self.config.as_ref().map(path)),
            ("data", self.data.as_ref().map(path)),
            ("account", self.account.clone()),
            ("last exit", self.last_exit.clone()),
            ("updates", self.updates()),
        ];
        lines.extend(rest.into_iter().filter_map(|(name, value)| Some((name, value?))));
        lines.extend(self.logs.iter().map(|log| ("log", log.clone())));
        lines.iter().map(|(name, value)| format!("{name:12} {value}")).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_other_services() {
        let of = |installed, state| Report { installed, state, ..Report::default() }.code();
        assert_eq!(of(false, State::Stopped), 4);
        assert_eq!((of(true, State::Stopped), of(true, State::Failed)), (3, 3));
        assert_eq!((of(true, State::Running), of(true, State::Starting), of(true, State::Stopping)), (0, 0, 0));
    }

    #[test]
    fn it_is_shown_line_by_line() {
        let report = Report {
            installed: true,
            state: State::Running,
            since: Some("yesterday".into()),
            starts_by_itself: true,
            program: Some("/usr/bin/starling-node".into()),
            logs: vec!["a".into(), "b".into()],
            ..Report::default()
        };
        let text = report.shown();
        assert!(text.starts_with("service      installed, running since yesterday, starts by itself\n"), "{text}");
        assert!(
            text.contains("\nprogram      /usr/bin/starling-node\n") && text.ends_with("\nlog          b"),
            "{text}"
        );
        assert!(!text.contains("updates"), "what is not known is not said: {text}");
        let by = |updates_itself| Report { updates_itself: Some(updates_itself), ..report.clone() }.shown();
        assert!(by(true).contains("\nupdates      by itself, each day\n"), "{}", by(true));
        assert!(by(false).contains("\nupdates      by hand, with starling-node update\n"));
        assert!(!text.contains("last exit") && Report::default().shown().contains("not installed"));
    }
}
