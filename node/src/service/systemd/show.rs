//! What `systemctl show` says, as a report.

use std::{collections::HashMap, path::Path};

use crate::service::{
    NAME,
    plan::log_file,
    report::{Report, State},
    unit,
    words::value,
};

/// What it is asked for.
pub(super) const PROPERTIES: [&str; 10] = [
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "FragmentPath",
    "StateChangeTimestamp",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "NRestarts",
    "User",
];

/// Reads what was said; `read` gives the text of the unit's file.
pub(super) fn report(said: &str, read: impl FnOnce(&Path) -> String) -> Report {
    let said: HashMap<_, _> = said.lines().filter_map(|line| line.split_once('=')).collect();
    let of = |key: &str| said.get(key).copied().unwrap_or_default();
    if of("LoadState") != "loaded" {
        return Report::default();
    }
    let words = unit::command(&read(Path::new(of("FragmentPath"))));
    let data = value(&words, "--data").map(Into::into);
    let own = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Report {
        installed: true,
        state: state(of("ActiveState")),
        since: own(of("StateChangeTimestamp")),
        starts_by_itself: of("UnitFileState").starts_with("enabled"),
        account: own(of("User")),
        program: words.first().map(Into::into),
        config: value(&words, "--config").map(Into::into),
        logs: std::iter::once(format!("journalctl -u {NAME}"))
            .chain(data.as_deref().map(|data| log_file(data).display().to_string()))
            .collect(),
        data,
        last_exit: last_exit(&of),
        ..Report::default()
    }
}

fn state(word: &str) -> State {
    match word {
        "active" | "reloading" => State::Running,
        "activating" => State::Starting,
        "deactivating" => State::Stopping,
        "failed" => State::Failed,
        _ => State::Stopped,
    }
}

fn last_exit<'a>(of: &impl Fn(&'static str) -> &'a str) -> Option<String> {
    let restarts = of("NRestarts").parse::<u32>().unwrap_or(0);
    let times = match restarts {
        0 => String::new(),
        1 => ", started again once".to_owned(),
        more => format!(", started again {more} times"),
    };
    // As wait(2) has it: 1 is an exit, 2 and 3 are signals, 0 is none yet.
    let how = match (of("ExecMainCode"), of("ExecMainStatus")) {
        ("1" | "exited", "0") if restarts == 0 => return None,
        ("1" | "exited", code) => format!("code {code}"),
        ("2" | "3" | "killed" | "dumped", signal) => format!("signal {signal}"),
        _ if restarts > 0 => "with an error".to_owned(),
        _ => return None,
    };
    // Of one that runs again systemd says that all is well.
    let result = Some(of("Result")).filter(|result| !["", "success"].contains(result));
    let result = result.map(|result| format!(" ({result})")).unwrap_or_default();
    Some(format!("{how}{result}{times}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str) -> Report {
        report(said, |_| "[Service]\nExecStart=/usr/bin/starling-node run --config /etc/c --data /var/d\n".into())
    }

    #[test]
    fn a_running_unit_is_read() {
        let report = of(
            "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nFragmentPath=/x\nUser=starling\n\
                         StateChangeTimestamp=Thu 2026-11-26 12:00:00 UTC\nResult=success\nExecMainCode=0\nNRestarts=0\n",
        );
        assert_eq!(report.state, State::Running);
        assert!(report.installed && report.starts_by_itself && report.last_exit.is_none(), "{report:?}");
        assert_eq!(report.since.as_deref(), Some("Thu 2026-11-26 12:00:00 UTC"));
        assert_eq!(report.program.as_deref(), Some(Path::new("/usr/bin/starling-node")));
        assert_eq!(report.config.as_deref(), Some(Path::new("/etc/c")));
        assert_eq!(report.logs, ["journalctl -u starling-node", "/var/d/logs/starling-node.log"]);
    }

    #[test]
    fn what_failed_says_how() {
        let failed = of("LoadState=loaded\nActiveState=failed\nUnitFileState=disabled\nResult=exit-code\n\
                         ExecMainCode=1\nExecMainStatus=2\nNRestarts=3\n");
        assert_eq!(failed.state, State::Failed);
        assert_eq!(failed.last_exit.as_deref(), Some("code 2 (exit-code), started again 3 times"));
        assert!(!failed.starts_by_itself);
        let again = of("LoadState=loaded\nActiveState=active\nResult=success\nExecMainCode=0\nNRestarts=1\n");
        assert_eq!(again.last_exit.as_deref(), Some("with an error, started again once"));
        let killed =
            of("LoadState=loaded\nActiveState=activating\nResult=watchdog\nExecMainCode=2\nExecMainStatus=6\n");
        assert_eq!(killed.last_exit.as_deref(), Some("signal 6 (watchdog)"));
        let ended = of("LoadState=loaded\nActiveState=inactive\nResult=success\nExecMainCode=1\nExecMainStatus=0\n");
        assert_eq!((ended.state, ended.last_exit), (State::Stopped, None));
    }

    #[test]
    fn no_unit_is_no_service() {
        assert_eq!(of("LoadState=not-found\nActiveState=inactive\n"), Report::default());
        assert_eq!(of(""), Report::default());
    }
}
