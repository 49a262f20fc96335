//! Updates that the system starts by itself: what it starts, and when. A timer of systemd or a task of Windows, which runs
//! `starling-node update --automatic` with an administrator's rights; the node that serves has none.
//!
//! Address and key are written into it: the node's configuration may be a file that the node's account writes, and whoever
//! has taken that over shall not choose what an administrator runs.

use std::path::Path;

use starling_protocol::program::Exit;

use super::plan::Plan;
#[cfg(any(windows, test))]
use super::words::{join, quoted};

/// What an owner has said about updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing: it stays as it is.
    #[default]
    AsBefore,
    ByItself,
    ByHand,
}

/// What is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Updates {
    /// The gateway that is asked.
    pub(super) url: String,
    /// The key that its releases are signed with.
    pub(super) key: String,
}

impl Updates {
    /// Those of a configuration file.
    ///
    /// # Errors
    /// When it names no gateway and key.
    pub(super) fn of(config: &Path) -> Result<Self, Exit> {
        let (url, key) = crate::update::source(config)?;
        Ok(Self { url, key })
    }

    /// What stands behind the program's name.
    pub(super) fn arguments(&self, plan: &Plan) -> Vec<String> {
        let data = plan.data.display().to_string();
        let words = ["update", "--automatic", "--url", &self.url, "--key", &self.key, "--data", &data];
        words.map(str::to_owned).to_vec()
    }
}

/// The task in the form of Windows' own scheduler (schema 1.2): each day at a moment of the night that differs from machine
/// to machine, later where it was off then, as the system, and only with a network.
#[cfg(any(windows, test))]
pub(super) fn task(plan: &Plan, updates: &Updates) -> String {
    let arguments = join(&updates.arguments(plan));
    let program = quoted(&plan.program.display().to_string());
    TASK.replace("PROGRAM", &escaped(&program)).replace("ARGUMENTS", &escaped(&arguments))
}

/// `S-1-5-18` is the system's own account.
#[cfg(any(windows, test))]
const TASK: &str = r#"<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Keeps the Starling node up to date: signed releases of its gateway, and none that does not serve.</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2026-01-01T02:00:00</StartBoundary>
      <Enabled>true</Enabled>
      <RandomDelay>PT4H</RandomDelay>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id="System">
      <UserId>S-1-5-18</UserId>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>true</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>true</RunOnlyIfNetworkAvailable>
    <ExecutionTimeLimit>PT3H</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context="System">
    <Exec>
      <Command>PROGRAM</Command>
      <Arguments>ARGUMENTS</Arguments>
    </Exec>
  </Actions>
</Task>
"#;

#[cfg(any(windows, test))]
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::service) const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    pub(in crate::service) fn updates() -> Updates {
        Updates { url: "https://a.example/".into(), key: KEY.into() }
    }

    #[test]
    fn a_configuration_says_where_they_come_from() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("node.toml");
        std::fs::write(&config, format!("data = '/d'\n[update]\nurl = 'https://a.example'\nkey = '{KEY}'\n")).unwrap();
        assert_eq!(Updates::of(&config).unwrap(), updates());
        std::fs::write(&config, "data = '/d'\n").unwrap();
        assert!(matches!(Updates::of(&config), Err(Exit::Usage { what, .. }) if what.contains("[update]")));
    }

    #[test]
    fn a_task_is_what_the_scheduler_reads() {
        let plan = Plan {
            program: "C:\\Program Files\\Starling\\starling-node.exe".into(),
            config: "c".into(),
            data: "C:\\R&D <x>".into(),
            name: None,
        };
        let task = task(&plan, &updates());
        assert!(task.contains("<Command>\"C:\\Program Files\\Starling\\starling-node.exe\"</Command>"), "{task}");
        let arguments = format!(
            "<Arguments>update --automatic --url https://a.example/ --key {KEY} --data \"C:\\R&amp;D &lt;x&gt;\"</Arguments>"
        );
        assert!(task.contains(&arguments), "{task}");
        assert!(task.contains("<UserId>S-1-5-18</UserId>") && !task.contains("ARGUMENTS"));
    }
}
