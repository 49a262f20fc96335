//! What a service is installed with: program, configuration, data; and the words about what comes next.

use std::path::{Path, PathBuf};

use starling_protocol::program::Exit;

use crate::membership::Files;

/// A service, with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// The program: this one, where it lies.
    pub(super) program: PathBuf,
    /// Its configuration file.
    pub(super) config: PathBuf,
    /// Its folder.
    pub(super) data: PathBuf,
    /// What it is called, where its owner said so.
    pub(super) name: Option<String>,
}

impl Plan {
    /// Fills in what was not said.
    ///
    /// # Errors
    /// When a path cannot stand in a service's command line.
    pub(super) fn new(config: Option<PathBuf>, data: Option<PathBuf>, name: Option<String>) -> Result<Self, Exit> {
        let program = std::env::current_exe();
        let program = program.map_err(|error| Exit::failed(format!("this program cannot find itself: {error}")))?;
        let data = data.unwrap_or_else(data_folder);
        let config = config.unwrap_or_else(|| config_file(&data));
        Ok(Self { program: usable(&program)?, config: usable(&config)?, data: usable(&data)?, name })
    }

    /// The configuration file's text: what there is, or `settings` of a polite node, with the name in it that was asked for.
    pub(super) fn config_text(&self, before: Option<&str>, settings: &str) -> String {
        // Nobody has asked for it to run at this very moment: whoever sits there comes first.
        let polite = settings.replacen("#polite = \"off\"", "polite = \"full\"", 1);
        let text = before.unwrap_or(&polite);
        let Some(name) = &self.name else { return text.to_owned() };
        let line = format!("name = {}", toml::Value::String(name.clone()));
        // Before the first table: what stands below one belongs to it.
        let end = text.lines().position(|line| line.starts_with('[')).unwrap_or(usize::MAX);
        let stands = |start| text.lines().take(end).position(|line: &str| names(line, start));
        let at = stands("").or_else(|| stands("#"));
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        match at {
            Some(at) => lines[at] = line,
            None => lines.insert(0, line),
        }
        lines.join("\n") + "\n"
    }

    /// Whether the node has joined a swarm.
    fn is_member(&self) -> bool {
        Files::new(&self.data).membership.exists()
    }

    /// What its owner does next.
    pub(super) fn next_step(&self, runs: bool) -> String {
        let data = super::words::split(&self.data.display().to_string()).join(" ");
        let (data, as_admin) = (format!("\"{data}\""), if cfg!(windows) { "" } else { "sudo " });
        match (self.is_member(), runs) {
            (true, true) => {
                format!("next: {as_admin}starling-node service restart, since it still runs as before")
            }
            (true, false) => format!("next: {as_admin}starling-node service start"),
            (false, _) => {
                let as_it = if cfg!(windows) { "" } else { "sudo -u starling " };
                format!(
                    "next: {as_it}starling-node join INVITE --only --data {data}\n      \
                     {as_admin}starling-node service start"
                )
            }
        }
    }
}

/// Whether this line of a configuration file is `name = …`, behind `start`.
fn names(line: &str, start: &str) -> bool {
    line.strip_prefix(start)
        .and_then(|line| line.trim_start().strip_prefix("name"))
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// Where a service's log is by default.
pub(crate) fn log_file(data: &Path) -> PathBuf {
    data.join("logs").join("starling-node.log")
}

/// The data folder of a service.
pub(crate) fn data_folder() -> PathBuf {
    if cfg!(windows) {
        let common = std::env::var_os("ProgramData").unwrap_or_else(|| "C:\\ProgramData".into());
        return PathBuf::from(common).join("Starling");
    }
    "/var/lib/starling-node".into()
}

fn config_file(data: &Path) -> PathBuf {
    if cfg!(windows) { data.join("node.toml") } else { "/etc/starling/node.toml".into() }
}

/// Absolute, without a separator at its end, and without what a command line could be misread by.
fn usable(path: &Path) -> Result<PathBuf, Exit> {
    let path = std::path::absolute(path).map_err(|error| Exit::failed(format!("{}: {error}", path.display())))?;
    // Its parts put together anew: what stood behind the last one is gone.
    let path: PathBuf = path.components().collect();
    let odd =
        |letter: char| letter.is_control() || letter == '"' || letter == '\'' || (letter == '\\' && !cfg!(windows));
    match path.to_str() {
        Some(text) if !text.contains(odd) => Ok(path),
        _ => Err(Exit::usage(
            format!("{} cannot stand in a service's command line", path.display()),
            "choose a path without quotes and control characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(data: &Path) -> Plan {
        Plan::new(Some("/etc/x.toml".into()), Some(data.into()), None).unwrap()
    }

    #[test]
    fn paths_become_absolute_and_odd_ones_are_refused() {
        let dir = std::env::current_dir().unwrap();
        let mut odd = std::ffi::OsString::from("a");
        odd.push("\"b");
        assert_eq!(plan(Path::new("some/data/")).data, dir.join("some").join("data"));
        for wrong in [Path::new(&odd), Path::new("a\nb"), Path::new("it's")] {
            assert!(matches!(usable(wrong), Err(Exit::Usage { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_is_written_where_it_belongs_and_the_rest_is_kept() {
        let named = Plan { name: Some("my \"PC\"".into()), ..plan(Path::new("/d")) };
        let is = |before: Option<&str>| {
            let text = named.config_text(before, "# What others call it.\n#name = \"NAME\"\n\n#slots = 4\n");
            let table: toml::Table = text.parse().unwrap();
            assert_eq!(table["name"].as_str(), Some("my \"PC\""), "{text}");
            text
        };
        assert!(is(None).contains("#slots = 4"));
        assert_eq!(is(Some("#name = 'x'\nname = 'old'\nslots = 3\n")).matches("slots = 3").count(), 1);
        assert!(is(Some("[update]\nname = 'not this'\n")).contains("name = 'not this'"));
        assert!(is(Some("namen = 1\n")).contains("namen = 1"));
        assert_eq!(plan(Path::new("/d")).config_text(Some("a = 1"), "b"), "a = 1", "nothing asked, nothing changed");
        assert_eq!(plan(Path::new("/d")).config_text(None, "a\n#polite = \"off\"\n"), "a\npolite = \"full\"\n");
    }

    #[test]
    fn the_next_step_depends_on_what_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path());
        assert!(plan.next_step(false).contains("join INVITE --only --data"));
        std::fs::write(dir.path().join("membership.cbor"), "").unwrap();
        assert!(plan.next_step(false).ends_with("starling-node service start"));
        assert!(plan.next_step(true).contains("starling-node service restart"));
    }
}
