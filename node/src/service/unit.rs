//! The systemd unit of a node: the file in `deploy/`, with other paths where others are wanted. It is the same that the
//! package installs.

use std::path::Path;

use super::{
    plan::{Plan, log_file},
    updates::Updates,
    words::{join, quoted},
};

/// The unit as it is shipped, for the usual paths.
const TEMPLATE: &str = include_str!("../../../deploy/starling-node.service");

/// What its timer starts, as it is shipped.
const UPDATE: &str = include_str!("../../../deploy/starling-node-update.service");

/// What `StateDirectory=` makes.
const STATE: &str = "/var/lib/starling-node";

/// The unit of this plan.
pub(super) fn filled(plan: &Plan) -> String {
    let text: String = TEMPLATE.lines().map(|line| filled_line(line, plan) + "\n").collect();
    // What is said at its head is for those who copy it.
    text.split_once("\n\n").map_or(text.clone(), |(_, unit)| format!("{HEAD}\n\n{unit}"))
}

/// The unit that brings this plan's program up to date.
pub(super) fn filled_update(plan: &Plan, updates: &Updates) -> String {
    let folder = plan.program.parent().unwrap_or(&plan.program);
    let filled = UPDATE.lines().map(|line| match line.split_once('=').map(|(key, _)| key) {
        Some("ExecStart") => format!("ExecStart={}\n", command_line(&plan.program, &updates.arguments(plan))),
        Some("ReadWritePaths") => format!("ReadWritePaths={}\n", quoted(&literal(folder))),
        Some("ProtectHome") if is_at_home(plan) => "ProtectHome=read-only\n".to_owned(),
        _ => format!("{line}\n"),
    });
    filled.collect()
}

/// Whether two units say the same, but for what stands at their heads.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let body = |text: &str| text.find("[Unit]").map(|at| text[at..].trim_end().to_owned());
    body(one).is_some_and(|one| Some(one) == body(other))
}

const HEAD: &str = "# Written by `starling-node service install`; changes go into `systemctl edit starling-node`.";

fn filled_line(line: &str, plan: &Plan) -> String {
    let usual = plan.data == Path::new(STATE);
    match line.split_once('=').map(|(key, _)| key) {
        Some("ExecStart") => format!("ExecStart={}", start(plan)),
        Some("Environment") => {
            format!("Environment={}", quoted(&format!("STARLING_LOG_FILE={}", literal(&log_file(&plan.data)))))
        }
        Some("StateDirectory") if !usual => format!("ReadWritePaths={}", quoted(&literal(&plan.data))),
        // Of the other folder only owner and mode count, which were set when it was made.
        Some("StateDirectoryMode") if !usual => String::new(),
        Some("ProtectHome") if is_at_home(plan) => "ProtectHome=read-only".to_owned(),
        _ => line.to_owned(),
    }
}

fn start(plan: &Plan) -> String {
    let text = |path: &Path| path.display().to_string();
    let arguments = ["run", "--config", &text(&plan.config), "--data", &text(&plan.data)].map(str::to_owned);
    command_line(&plan.program, &arguments)
}

/// Of the program's own path variables are no part.
fn command_line(program: &Path, arguments: &[String]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|word| word.replace('%', "%%").replace('$', "$$")).collect();
    format!("{} {}", quoted(&literal(program)), join(&arguments))
}

/// A path that systemd takes as it stands.
fn literal(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

fn is_at_home(plan: &Plan) -> bool {
    let homes = [Path::new("/home"), Path::new("/root"), Path::new("/run/user")];
    [&plan.program, &plan.config, &plan.data].iter().any(|path| homes.iter().any(|home| path.starts_with(home)))
}

/// The words of a unit's `ExecStart=`, without what systemd reads into them.
pub(super) fn command(unit: &str) -> Vec<String> {
    let line = unit.lines().rev().find_map(|line| line.strip_prefix("ExecStart=")).unwrap_or_default();
    super::words::split(line).iter().map(|word| word.replace("%%", "%").replace("$$", "$")).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::updates::tests::{KEY, updates},
        *,
    };

    fn plan(data: &str) -> Plan {
        Plan {
            program: "/usr/local/bin/starling-node".into(),
            config: "/etc/starling/node.toml".into(),
            data: data.into(),
            name: None,
        }
    }

    fn without_head(text: &str) -> &str {
        text.split_once("\n\n").unwrap().1
    }

    #[test]
    fn the_usual_paths_give_the_shipped_unit() {
        assert_eq!(without_head(&filled(&plan(STATE))), without_head(TEMPLATE));
        assert!(is_same(&filled(&plan(STATE)), TEMPLATE) && !is_same(&filled(&plan("/srv/x")), TEMPLATE));
        assert!(!is_same("", ""), "what is no unit is like none");
    }

    #[test]
    fn other_paths_are_filled_in_and_read_back() {
        let odd = Plan {
            program: "/opt/my tools/starling-node".into(),
            config: "/home/me/50 % of $x.toml".into(),
            ..plan("/srv/a b")
        };
        let unit = filled(&odd);
        let expected =
            "ExecStart=\"/opt/my tools/starling-node\" run --config \"/home/me/50 %% of $$x.toml\" --data \"/srv/a b\"";
        assert!(unit.lines().any(|line| line == expected), "{unit}");
        assert!(unit.contains("\nReadWritePaths=\"/srv/a b\"\n") && !unit.contains("\nStateDirectory"), "{unit}");
        assert!(unit.contains("\nEnvironment=\"STARLING_LOG_FILE=/srv/a b/logs/starling-node.log\"\n"), "{unit}");
        assert!(unit.contains("\nProtectHome=read-only\n"), "{unit}");
        let words = command(&unit);
        assert_eq!(words[0], "/opt/my tools/starling-node");
        assert_eq!(super::super::words::value(&words, "--config"), Some("/home/me/50 % of $x.toml"));
    }

    #[test]
    fn cards_stay_within_reach_and_nothing_else_is_given_up() {
        let unit = filled(&plan(STATE));
        // ProtectClock= hides devices before systemd 252.
        for open in ["PrivateDevices=", "DeviceAllow=", "DevicePolicy=", "ProtectClock=", "MemoryDenyWriteExecute="] {
            assert!(!unit.lines().any(|line| line.starts_with(open)), "{open}");
        }
        for kept in ["NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "User=starling"] {
            assert!(unit.lines().any(|line| line == kept), "{kept}");
        }
    }

    #[test]
    fn an_update_is_started_with_its_source_in_it() {
        let odd = Plan { program: "/opt/my tools/starling-node".into(), ..plan("/srv/a b") };
        let unit = filled_update(&odd, &updates());
        let expected = format!(
            "ExecStart=\"/opt/my tools/starling-node\" update --automatic --url https://a.example/ --key {KEY} --data \"/srv/a b\""
        );
        assert!(unit.lines().any(|line| line == expected), "{unit}");
        assert!(unit.lines().any(|line| line == "ReadWritePaths=\"/opt/my tools\""), "{unit}");
        assert!(unit.contains("ProtectSystem=strict") && unit.contains("Type=oneshot"), "{unit}");
    }

    /// Where systemd is, it reads what we write.
    #[cfg(target_os = "linux")]
    #[test]
    fn systemd_understands_it() {
        let dir = tempfile::tempdir().unwrap();
        // It wants to see the program, and a path with a space in it.
        let program = dir.path().join("my programs").join("starling-node");
        std::fs::create_dir(program.parent().unwrap()).unwrap();
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for data in [STATE, "/srv/a b"] {
            let file = dir.path().join("starling-node.service");
            let plan = Plan { program: program.clone(), ..plan(data) };
            for unit in [filled(&plan), filled_update(&plan, &updates())] {
                std::fs::write(&file, unit).unwrap();
                let verify = ["verify", "--man=no", "--recursive-errors=no"];
                let Ok(said) = std::process::Command::new("systemd-analyze").args(verify).arg(&file).output() else {
                    return;
                };
                let errors = String::from_utf8_lossy(&said.stderr);
                assert!(said.status.success() && !errors.contains("starling-node.service"), "{errors}");
            }
        }
    }
}
