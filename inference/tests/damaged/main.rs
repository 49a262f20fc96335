//! Model files with flipped bits: whatever stands in a header, opening the file ends soon, with an error or an engine
//! that answers. What passes the checks in safe Rust is given to llama.cpp in a child process, so that an abort is seen
//! and told from an error; each that was ever found has become a check in `model/check.rs`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "how many flips did what is worth seeing")]

mod child;
mod tiny_bert;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use starling_inference::OpenError;
use starling_inference::model::ModelFile;

use child::{Child, Ended};

/// Longest time that the header of a damaged file may take.
const SOON: Duration = Duration::from_secs(1);
/// Flips a model.
const FLIPS: u64 = 1000;

/// A model and where its header has its structure: numbers, types and lengths rather than the words of its tokens.
struct Subject {
    name: &'static str,
    bytes: Vec<u8>,
    structure: [Range<u64>; 2],
}

impl Subject {
    fn from_file(name: &'static str, structure: [Range<u64>; 2]) -> Self {
        let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)).unwrap();
        Self { name, bytes, structure }
    }

    fn demo() -> Self {
        Self::from_file("swarm-demo-3M-q8_0.gguf", [0..1000, 94_104..97_254])
    }

    fn stories() -> Self {
        Self::from_file("stories260K.gguf", [0..660, 11_272..14_242])
    }

    fn bert() -> Self {
        let (bytes, end) = tiny_bert::file();
        Self { name: "tiny-bert.gguf", bytes, structure: [0..end, 0..end] }
    }
}

/// One or several bits, by place.
type Flips = Vec<(u64, u8)>;

#[test]
fn the_demo_model_with_flipped_bits() {
    check(&Subject::demo());
}

#[test]
fn the_stories_model_with_flipped_bits() {
    check(&Subject::stories());
}

#[test]
fn an_embedding_model_with_flipped_bits() {
    check(&Subject::bert());
}

#[test]
fn the_models_cut_off_anywhere() {
    for subject in [Subject::demo(), Subject::stories(), Subject::bert()] {
        let mut patient = Patient::new(&subject);
        let (all, header) = (subject.bytes.len() as u64, subject.header_end());
        let places =
            (0..50).map(|part| header * part / 50).chain((0..50).map(|part| header + (all - header) * part / 50));
        for length in places {
            patient.file.set_len(length).unwrap();
            let what = format!("{} cut at {length}", subject.name);
            assert!(patient.soon(&what).is_err(), "{what}");
        }
        assert!(matches!(patient.whole(), Ended::Answered));
    }
}

#[test]
fn a_death_is_seen() {
    let mut child = Child::default();
    for _ in 0..2 {
        assert!(matches!(child.open(Path::new(child::ABORT)), Ended::Died(how) if how.contains("signal")));
    }
    assert!(matches!(child.open(Path::new("no/such/file")), Ended::Refused));
}

fn check(subject: &Subject) {
    let mut patient = Patient::new(subject);
    let (mut broken, mut refused, mut answered, mut died) = (0, 0, 0, vec![]);
    let every = std::env::var("STARLING_EVERY_FLIP").is_ok();
    let flips: Vec<Flips> =
        if every { subject.every().collect() } else { (0..FLIPS).map(|number| subject.flips(number)).collect() };
    for flips in flips {
        patient.flip(&flips);
        let good = patient.soon(&format!("{flips:?}"));
        match good.map(|_| patient.child.open(&patient.path)) {
            Err(_) => broken += 1,
            Ok(Ended::Refused) => refused += 1,
            Ok(Ended::Answered) => answered += 1,
            Ok(Ended::Died(how)) => {
                println!("{flips:?} {how}");
                died.push(flips.clone());
            }
        }
        patient.flip(&flips);
    }
    let name = subject.name;
    println!("{name}: {broken} by the checks, {refused} by llama.cpp refused, {answered} answered, died: {died:?}");
    assert!(died.is_empty(), "llama.cpp died of {died:?}");
    assert!(broken > 200 && answered > 50, "{broken} {answered}");
}

impl Subject {
    /// Flip number `number`: one bit or, every fourth time, up to eight; two thirds of them in the structure.
    fn flips(&self, number: u64) -> Flips {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.header_end());
        let bits = if number.is_multiple_of(4) { 1 + random.below(8) } else { 1 };
        let place = |random: &mut Random| match random.below(3) {
            0 => random.below(self.header_end()),
            part => {
                let range = &self.structure[usize::try_from(part - 1).unwrap()];
                range.start + random.below(range.end - range.start)
            }
        };
        (0..bits).map(|_| (place(&mut random), 1 << random.below(8))).collect()
    }

    fn header_end(&self) -> u64 {
        self.structure[1].end
    }

    /// Each bit of the structure, one at a time: some tens of thousands, for when llama.cpp changes.
    fn every(&self) -> impl Iterator<Item = Flips> {
        let places = self.structure.iter().cloned().flatten();
        places.flat_map(|at| (0..8).map(move |bit| vec![(at, 1 << bit)]))
    }
}

/// xorshift64*: a test needs no better.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}

/// A copy of a model that is damaged and mended in place.
struct Patient {
    _folder: tempfile::TempDir,
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
    child: Child,
}

impl Patient {
    fn new(subject: &Subject) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(subject.name);
        fs::write(&path, &subject.bytes).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        Self { _folder: folder, path, file, bytes: subject.bytes.clone(), child: Child::default() }
    }

    /// What the checks in safe Rust say, and soon. A machine that did something else meanwhile gets two more chances.
    fn soon(&self, what: &str) -> Result<ModelFile, OpenError> {
        for _ in 0..3 {
            let started = Instant::now();
            let opened = ModelFile::open(&self.path);
            if started.elapsed() < SOON {
                return opened;
            }
        }
        panic!("{what}: it takes too long");
    }

    /// Mended altogether, and opened.
    fn whole(&mut self) -> Ended {
        fs::write(&self.path, &self.bytes).unwrap();
        self.child.open(&self.path)
    }

    /// Flips bits; the second time they are what they were.
    fn flip(&mut self, flips: &Flips) {
        for &(at, bit) in flips {
            let byte = &mut self.bytes[usize::try_from(at).unwrap()];
            *byte ^= bit;
            self.file.seek(SeekFrom::Start(at)).unwrap();
            self.file.write_all(&[*byte]).unwrap();
        }
    }
}
