//! Packs: the same files and the same time give the same bytes, whoever packs them and wherever.

use std::io::{Cursor, Write as _};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::tree::Tree;

/// When everything in a package was last changed, in seconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) u64);

/// Every file belongs to root, and folders are in it.
pub(crate) fn tar_gz(tree: &Tree, moment: Moment) -> Result<Vec<u8>> {
    // Neither a name nor a time in its own head.
    let gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for folder in tree.folders() {
        let mut header = header(moment, tar::EntryType::Directory, 0o755, 0);
        tar.append_data(&mut header, format!("{folder}/"), std::io::empty())?;
    }
    for (path, file) in tree.files() {
        let mut header = header(moment, tar::EntryType::Regular, file.mode(), file.bytes.len() as u64);
        tar.append_data(&mut header, path, file.bytes.as_slice())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

fn header(moment: Moment, kind: tar::EntryType, mode: u32, bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_mtime(moment.0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

pub(crate) fn zip(tree: &Tree, moment: Moment) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(moment.in_zip()?);
    for (path, file) in tree.files() {
        zip.start_file(path, options.unix_permissions(file.mode()))?;
        zip.write_all(&file.bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// A Debian package: an `ar` archive of its version, what dpkg is to know, and the files.
pub(crate) fn deb(control: &Tree, files: &Tree, moment: Moment) -> Result<Vec<u8>> {
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", tar_gz(control, moment)?),
        ("data.tar.gz", tar_gz(files, moment)?),
    ];
    let mut ar = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        // Name, time, owner, group, mode, length: columns of fixed width.
        writeln!(ar, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", moment.0, 0, 0, 100_644, bytes.len())?;
        ar.extend_from_slice(&bytes);
        if bytes.len() % 2 == 1 {
            ar.push(b'\n');
        }
    }
    Ok(ar)
}

impl Moment {
    /// The day and the time, by the algorithm `civil_from_days` of Howard Hinnant's "chrono-Compatible Low-Level Date
    /// Algorithms".
    fn civil(self) -> (u64, u64, u64, [u64; 3]) {
        let (days, seconds) = (self.0 / 86_400 + 719_468, self.0 % 86_400);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let (day, month) =
            (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
        let year = era * 400 + year + u64::from(month <= 2);
        (year, month, day, [seconds / 3_600, seconds / 60 % 60, seconds % 60])
    }

    fn in_zip(self) -> Result<DateTime> {
        let (year, month, day, [hour, minute, second]) = self.civil();
        let small = |number: u64| u8::try_from(number);
        let year = u16::try_from(year).context("a time beyond what a zip file can say")?;
        let when = DateTime::from_date_and_time(
            year,
            small(month)?,
            small(day)?,
            small(hour)?,
            small(minute)?,
            // It counts in steps of two.
            small(second / 2 * 2)?,
        );
        when.context("a zip file knows times from 1980 to 2107")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::tree::Kind;
    use super::*;

    const MOMENT: Moment = Moment(1_700_000_001);

    fn tree(names: [&str; 3]) -> Tree {
        let mut tree = Tree::default();
        for name in names {
            let kind = if name.ends_with("program") { Kind::Program } else { Kind::Plain };
            tree.add(name, kind, format!("what is in {name}").repeat(100)).unwrap();
        }
        tree
    }

    fn both_ways() -> [Tree; 2] {
        [tree(["x-1/program", "x-1/LICENSE", "x-1/doc/a"]), tree(["x-1/doc/a", "x-1/program", "x-1/LICENSE"])]
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        for pack in [tar_gz, zip] {
            let [one, other] = both_ways();
            let packed = pack(&one, MOMENT).unwrap();
            assert_eq!(packed, pack(&other, MOMENT).unwrap());
            assert_ne!(packed, pack(&one, Moment(MOMENT.0 + 2)).unwrap(), "the time is in it");
        }
        let [one, other] = both_ways();
        assert_eq!(deb(&one, &other, MOMENT).unwrap(), deb(&other, &one, MOMENT).unwrap());
    }

    #[test]
    fn a_tar_says_nothing_of_who_packed_it() {
        let packed = tar_gz(&both_ways()[0], MOMENT).unwrap();
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut seen = Vec::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.mtime().unwrap(), MOMENT.0);
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let path = entry.path().unwrap().display().to_string();
            assert_eq!(text.is_empty(), path.ends_with('/'), "{path}");
            seen.push((path, header.mode().unwrap()));
        }
        let expected = [
            ("x-1/", 0o755),
            ("x-1/doc/", 0o755),
            ("x-1/LICENSE", 0o644),
            ("x-1/doc/a", 0o644),
            ("x-1/program", 0o755),
        ];
        assert_eq!(seen, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }

    #[test]
    fn a_zip_holds_the_files_and_the_day() {
        let packed = zip(&both_ways()[0], MOMENT).unwrap();
        let mut read = zip::ZipArchive::new(Cursor::new(packed)).unwrap();
        let names: Vec<String> = read.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["x-1/LICENSE", "x-1/doc/a", "x-1/program"]);
        let mut file = read.by_name("x-1/program").unwrap();
        let when = file.last_modified().unwrap();
        assert_eq!((when.year(), when.month(), when.day(), when.hour()), (2023, 11, 14, 22));
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "what is in x-1/program".repeat(100));
    }

    #[test]
    fn days_are_counted_as_calendars_do() {
        let check = |seconds, expected| assert_eq!(Moment(seconds).civil(), expected, "{seconds}");
        check(0, (1970, 1, 1, [0, 0, 0]));
        check(951_782_399, (2000, 2, 28, [23, 59, 59]));
        check(951_782_400, (2000, 2, 29, [0, 0, 0]));
        check(4_107_542_400, (2100, 3, 1, [0, 0, 0]));
        assert!(zip(&Tree::default(), Moment(0)).is_err(), "before 1980");
    }
}
