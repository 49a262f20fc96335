//! The real command lines against commands that write down what they were asked, in a root of the test's own.

use super::{super::updates::tests::updates, *};

/// A machine with systemd that says `shown` of our unit.
struct Machine {
    dir: tempfile::TempDir,
    system: System,
    plan: Plan,
}

const COMMANDS: [&str; 6] = ["systemctl", "getent", "useradd", "usermod", "chown", "install"];

impl Machine {
    fn new(shown: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (bin, root) = (dir.path().join("bin"), dir.path().join("root"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(root.join("run/systemd/system")).unwrap();
        fs::write(dir.path().join("shown"), shown).unwrap();
        for name in COMMANDS {
            let said = dir.path().display();
            let script = format!(
                "#!/bin/sh\necho \"{name} $*\" >> '{said}/asked'\n\
                 case \"{name} $*\" in\n\
                 'systemctl show '*) cat '{said}/shown' ;;\n\
                 'getent passwd '*) test -e '{said}/account' ;;\n\
                 'getent group render') exit 2 ;;\n\
                 'useradd '*) touch '{said}/account' ;;\n\
                 'systemctl start '*) test ! -e '{said}/broken' || {{ echo 'Job failed.' >&2; exit 1; }} ;;\n\
                 esac\n"
            );
            fs::write(bin.join(name), script).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = std::env::join_paths([bin, "/usr/bin".into(), "/bin".into()]).unwrap();
        let system = System { root: root.clone(), commands: Commands { path: Some(path) }, is_root: true };
        let plan = Plan {
            program: "/bin/sh".into(),
            config: root.join("etc/starling/node.toml"),
            data: root.join("var/lib/starling-node"),
            name: None,
        };
        Self { dir, system, plan }
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<String> {
        let path = self.dir.path().join("asked");
        let asked = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        asked.lines().map(str::to_owned).collect()
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }
}

const STOPPED: &str = "LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n";

#[test]
fn an_installation_asks_for_what_an_administrator_would() {
    let machine = Machine::new("LoadState=not-found\n");
    let did = machine.system.install(&machine.plan, "#name = \"NAME\"\n").unwrap();
    let data = machine.plan.data.display().to_string();
    assert_eq!(
        machine.asked(),
        [
            "getent passwd starling".to_owned(),
            format!(
                "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin --home-dir {data} starling"
            ),
            "getent group video".to_owned(),
            "usermod --append --groups video starling".to_owned(),
            "getent group render".to_owned(),
            format!("install -d -m 700 -o starling -g starling {data}"),
            format!("chown -R -h starling:starling {data}"),
            "systemctl daemon-reload".to_owned(),
            "systemctl enable starling-node.service".to_owned(),
        ]
    );
    assert_eq!(fs::read_to_string(&machine.plan.config).unwrap(), "#name = \"NAME\"\n");
    let written = machine.system.unit();
    assert_eq!(fs::read_to_string(&written).unwrap(), unit::filled(&machine.plan));
    assert_eq!(fs::metadata(&written).unwrap().mode() & 0o777, 0o644, "whatever the umask");
    assert!(did.iter().any(|line| line.contains("was made")) && did.iter().any(|line| line.contains("was written")));
}

#[test]
fn a_second_installation_brings_up_to_date_and_keeps_what_its_owner_wrote() {
    let machine = Machine::new(STOPPED);
    machine.system.install(&machine.plan, "#name = \"NAME\"\n").unwrap();
    machine.asked();
    let config = &machine.plan.config;
    fs::write(config, "slots = 2\n").unwrap();
    fs::set_permissions(config, fs::Permissions::from_mode(0o600)).unwrap();
    let again = machine.system.install(&machine.plan, "#name = \"NAME\"\n").unwrap();
    let asked = machine.asked();
    assert!(!asked.iter().any(|line| line.starts_with("useradd")), "{asked:?}");
    assert!(asked.contains(&format!("chown root:starling {}", config.display())), "{asked:?}");
    assert_eq!(fs::metadata(config).unwrap().mode() & 0o777, 0o640, "its owner hides it, and the service reads it");
    assert!(again.iter().any(|line| line.ends_with("starling-node.service is as it should be")), "{again:?}");
    assert_eq!(fs::read_to_string(&machine.plan.config).unwrap(), "slots = 2\n");
    let moved = Plan { program: "/bin/ls".into(), name: Some("box".into()), ..machine.plan.clone() };
    let did = machine.system.install(&moved, "").unwrap();
    assert!(did.iter().any(|line| line.ends_with("was brought up to date")), "{did:?}");
    assert_eq!(fs::read_to_string(&moved.config).unwrap(), "name = \"box\"\nslots = 2\n");
    assert_eq!(fs::read_dir(moved.config.parent().unwrap()).unwrap().count(), 1, "no draft stays behind");
}

#[test]
fn the_unit_of_a_package_is_left_to_it() {
    let machine = Machine::new(STOPPED);
    let shipped = machine.system.at("/usr/lib/systemd/system").join(UNIT);
    fs::create_dir_all(shipped.parent().unwrap()).unwrap();
    fs::write(&shipped, format!("# The package's.\n\n{}", unit::filled(&machine.plan))).unwrap();
    let did = machine.system.install(&machine.plan, "").unwrap();
    assert!(did.iter().any(|line| line.contains("came with the package")), "{did:?}");
    assert!(!machine.system.unit().exists());
    assert!(machine.asked().contains(&"systemctl enable starling-node.service".to_owned()));
    let did = machine.system.uninstall().unwrap();
    assert!(shipped.exists() && did.iter().any(|line| line.contains("belongs to a package")), "{did:?}");
    let moved = Plan { data: machine.dir.path().join("elsewhere"), ..machine.plan.clone() };
    machine.system.install(&moved, "").unwrap();
    assert!(machine.system.unit().exists(), "other paths need a unit of their own, which goes first");
}

#[test]
fn without_rights_or_systemd_nothing_is_touched() {
    let mut machine = Machine::new("LoadState=not-found\n");
    machine.system.is_root = false;
    for verb in ["install", "uninstall", "start", "stop", "restart"] {
        let refused = match verb {
            "install" => machine.system.install(&machine.plan, "").map(drop),
            "uninstall" => machine.system.uninstall().map(drop),
            verb => machine.system.control(verb),
        };
        let Err(Exit::Usage { what, hint }) = refused else { panic!("{verb}: {refused:?}") };
        assert!(what.contains("administrator") && hint.contains("sudo"), "{what}; {hint}");
    }
    machine.system.is_root = true;
    fs::remove_dir(machine.system.at("/run/systemd/system")).unwrap();
    let Err(Exit::Usage { what, hint }) = machine.system.install(&machine.plan, "") else { panic!("no refusal") };
    assert!(what.contains("systemd") && hint.contains("starling-node run"), "{what}; {hint}");
    assert_eq!(machine.system.report().unwrap(), Report::default());
    assert_eq!(machine.asked(), [""; 0]);
    assert!(!machine.plan.config.exists() && !machine.system.unit().exists());
}

#[test]
fn folders_and_programs_that_cannot_be_a_services_are_refused() {
    let machine = Machine::new("LoadState=not-found\n");
    let somebodys = machine.dir.path().join("home");
    fs::create_dir(&somebodys).unwrap();
    fs::write(somebodys.join("letter"), "").unwrap();
    let refused = machine.system.install(&Plan { data: somebodys, ..machine.plan.clone() }, "");
    assert!(matches!(&refused, Err(Exit::Usage { what, .. }) if what.contains("other things")), "{refused:?}");
    let hidden = machine.dir.path().join("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy("/bin/sh", hidden.join("starling-node")).unwrap();
    let refused = machine.system.install(&Plan { program: hidden.join("starling-node"), ..machine.plan.clone() }, "");
    assert!(matches!(&refused, Err(Exit::Usage { hint, .. }) if hint.contains("/usr/local/bin")), "{refused:?}");
    assert!(is_a_nodes(Path::new("/")).is_err());
    assert_eq!(machine.asked(), [""; 0]);
}

#[test]
fn it_is_started_stopped_and_taken_away_with_systemctl() {
    let machine = Machine::new(STOPPED);
    for verb in ["start", "stop", "restart"] {
        machine.system.control(verb).unwrap();
        assert_eq!(machine.asked().last().unwrap(), &format!("systemctl {verb} starling-node.service"));
    }
    machine.put("broken", "");
    let Err(Exit::Usage { what, hint }) = machine.system.control("start") else { panic!("it started") };
    assert!(what.contains("Job failed.") && hint.contains("journalctl -u starling-node"), "{what}; {hint}");
    machine.system.install(&machine.plan, "").unwrap();
    let did = machine.system.uninstall().unwrap();
    assert!(machine.asked().contains(&"systemctl disable --now starling-node.service".to_owned()));
    assert!(!machine.system.unit().exists() && machine.plan.config.exists(), "{did:?}");
    machine.put("shown", "LoadState=not-found\n");
    assert_eq!(machine.system.uninstall().unwrap(), ["the service was not installed"]);
    let refused = machine.system.control("start");
    assert!(matches!(&refused, Err(Exit::Usage { hint, .. }) if hint.contains("service install")), "{refused:?}");
}

#[test]
fn updates_have_a_timer_that_goes_with_the_service() {
    let machine = Machine::new(STOPPED);
    let at = |name: &str| machine.system.at("/etc/systemd/system").join(name);
    let (timer, service) = (at("starling-node-update.timer"), at("starling-node-update.service"));
    machine.system.install(&machine.plan, "").unwrap();
    assert_eq!(machine.system.report().unwrap().updates_itself, Some(false));
    machine.asked();
    machine.system.update_by_itself(&machine.plan, &updates()).unwrap();
    assert_eq!(machine.asked(), ["systemctl daemon-reload", "systemctl enable --now starling-node-update.timer"]);
    assert_eq!(fs::read_to_string(&service).unwrap(), unit::filled_update(&machine.plan, &updates()));
    assert!(timer.exists() && machine.system.report().unwrap().updates_itself == Some(true));
    machine.system.install(&machine.plan, "").unwrap();
    assert!(timer.exists(), "who says nothing about it leaves it");
    machine.asked();
    machine.system.uninstall().unwrap();
    let asked = machine.asked();
    let of = |unit: &str| asked.iter().position(|line| *line == format!("systemctl disable --now {unit}")).unwrap();
    assert!(of("starling-node-update.timer") < of("starling-node.service"), "{asked:?}");
    assert!(!timer.exists() && !service.exists());
    assert_eq!(machine.system.update_by_hand().unwrap(), None, "twice is no error");
}

#[test]
fn what_others_can_change_is_not_run_as_root() {
    let machine = Machine::new(STOPPED);
    let program = machine.dir.path().join("starling-node");
    fs::copy("/bin/sh", &program).unwrap();
    fs::set_permissions(machine.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for (program, says) in [(program, "others than root"), ("/usr/bin/starling-node".into(), "package manager")] {
        let refused = machine.system.update_by_itself(&Plan { program, ..machine.plan.clone() }, &updates());
        assert!(matches!(&refused, Err(Exit::Usage { what, .. }) if what.contains(says)), "{refused:?}");
    }
    assert_eq!(machine.asked(), [""; 0]);
    assert!(!machine.system.updates_by_itself());
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let machine = Machine::new(STOPPED);
    let nowhere = Commands { path: Some("/nowhere".into()) };
    let refused = System { commands: nowhere, ..machine.system }.report();
    assert!(matches!(&refused, Err(Exit::Usage { what, .. }) if what.contains("systemctl")), "{refused:?}");
}
