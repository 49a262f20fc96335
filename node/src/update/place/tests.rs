//! The power goes at every step there is, and a program is there that runs.

use super::*;

const OLD: &str = "the old program";
const NEW: &str = "the new program";

struct Bench {
    _dir: tempfile::TempDir,
    place: Place,
}

impl Bench {
    /// An installed program with a library, and what is to come.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { program: dir.path().join("starling-node") };
        let bench = Self { _dir: dir, place };
        for file in ["starling-node", "libx.so"] {
            bench.write(file, OLD);
            bench.write(&format!("{file}.new"), NEW);
        }
        bench
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.place.folder().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.place.folder().join(name)).unwrap_or_default()
    }

    /// What is there of an update.
    fn leftovers(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.place.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !["starling-node", "libx.so", "starling-node.old", "libx.so.old"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }
}

fn disk(one_step: bool, left: usize) -> Disk {
    Disk { one_step, left: left.into() }
}

fn update(place: &Place, disk: &Disk) -> io::Result<()> {
    place.commit(disk, &Version::new(9, 9, 9))?;
    place.swap(disk)?;
    place.settle(disk)
}

/// What the next `update` does first, with power.
fn repair(place: &Place, one_step: bool) {
    let disk = disk(one_step, usize::MAX);
    match place.after_cut().unwrap() {
        Next::Nothing => {}
        Next::Discard => place.discard(&disk).unwrap(),
        Next::Finish(version) => {
            assert_eq!(version, Version::new(9, 9, 9));
            place.swap(&disk).unwrap();
            assert_eq!(place.after_cut().unwrap(), Next::Prove(version));
            place.settle(&disk).unwrap();
        }
        Next::Prove(_) => place.settle(&disk).unwrap(),
    }
}

#[test]
fn wherever_the_power_goes_a_program_is_there() {
    for one_step in [true, false] {
        let mut cuts = 0;
        for left in 0.. {
            let bench = Bench::new();
            if update(&bench.place, &disk(one_step, left)).is_ok() {
                break;
            }
            cuts += 1;
            let program = bench.read("starling-node");
            // In two steps there is a moment with none; then both lie beside it.
            let both = bench.read("starling-node.old") == OLD && bench.read("starling-node.new") == NEW;
            assert!([OLD, NEW].contains(&program.as_str()) || (!one_step && both), "cut at {left}: {program:?}");
            let began = bench.read("starling-node.update").contains("9.9.9");
            repair(&bench.place, one_step);
            let expected = if began { NEW } else { OLD };
            for file in ["starling-node", "libx.so"] {
                assert_eq!(bench.read(file), expected, "{file}, cut at {left}");
            }
            let half = ["starling-node.update-half", "starling-node.old.half", "libx.so.old.half"];
            let left_over: Vec<String> =
                bench.leftovers().into_iter().filter(|name| !half.contains(&name.as_str())).collect();
            assert_eq!(left_over, Vec::<String>::new(), "cut at {left}");
        }
        assert!(cuts > 6, "{cuts}");
    }
}

#[test]
fn the_program_before_is_kept_and_comes_back() {
    for one_step in [true, false] {
        let bench = Bench::new();
        let disk = disk(one_step, usize::MAX);
        bench.place.commit(&disk, &Version::new(9, 9, 9)).unwrap();
        bench.place.swap(&disk).unwrap();
        assert_eq!((bench.read("starling-node"), bench.read("starling-node.old")), (NEW.into(), OLD.into()));
        bench.place.go_back(&disk).unwrap();
        for file in ["starling-node", "libx.so"] {
            assert_eq!((bench.read(file), bench.read(&format!("{file}.old"))), (OLD.into(), NEW.into()), "{file}");
        }
        assert_eq!(bench.place.after_cut().unwrap(), Next::Nothing);
        bench.place.go_back(&disk).unwrap();
        assert_eq!(bench.read("starling-node"), NEW, "and again");
        assert_eq!(bench.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn to_what_was_of_no_use_nobody_goes_back() {
    for one_step in [true, false] {
        let bench = Bench::new();
        let disk = disk(one_step, usize::MAX);
        bench.place.commit(&disk, &Version::new(9, 9, 9)).unwrap();
        bench.place.swap(&disk).unwrap();
        bench.place.undo(&disk).unwrap();
        assert_eq!((bench.read("starling-node"), bench.read("libx.so")), (OLD.into(), OLD.into()));
        assert!(!bench.place.has_old());
        assert_eq!(bench.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn going_back_survives_a_cut_too() {
    for one_step in [true, false] {
        for left in 0.. {
            let bench = Bench::new();
            let power = disk(one_step, usize::MAX);
            bench.place.commit(&power, &Version::new(9, 9, 9)).unwrap();
            bench.place.swap(&power).unwrap();
            if bench.place.go_back(&disk(one_step, left)).is_ok() {
                break;
            }
            // The next update goes on: it finds the new one wanting again, or has the old one already.
            if let Next::Finish(_) = bench.place.after_cut().unwrap() {
                bench.place.swap(&power).unwrap();
                bench.place.settle(&power).unwrap();
                assert_eq!(bench.read("starling-node"), OLD, "cut at {left}");
            } else if bench.read("starling-node") == NEW {
                bench.place.go_back(&power).unwrap();
                assert_eq!(bench.read("starling-node"), OLD, "cut at {left}");
            }
            assert!([OLD, NEW].contains(&bench.read("starling-node").as_str()));
        }
    }
}

#[test]
fn a_note_that_is_none_is_said() {
    let bench = Bench::new();
    bench.write("starling-node.update", "nonsense");
    assert!(bench.place.after_cut().is_err());
}

#[test]
fn other_files_are_nobodys_business() {
    let bench = Bench::new();
    bench.write("other-program.new", "x");
    bench.write("notes.txt.new", "x");
    bench.place.discard(&disk(true, usize::MAX)).unwrap();
    assert_eq!(bench.leftovers(), ["notes.txt.new", "other-program.new"]);
}
