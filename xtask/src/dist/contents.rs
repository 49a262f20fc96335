//! What lies in each package.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::manifest::{Package, System};
use super::tree::{Kind, Tree};
use super::word;

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// What packages are made of.
pub(super) struct Parts<'a> {
    /// The folder with the programs of their system.
    pub(super) programs: &'a Path,
    /// The checkout.
    pub(super) root: &'a Path,
    pub(super) version: &'a str,
    /// The licences of what the package's program is made of.
    pub(super) licences: &'a str,
}

/// The words in which the two programs' packages differ.
struct Words {
    programs: &'static [&'static str],
    units: &'static [&'static str],
    readme: &'static str,
    /// What it computes on, if it does.
    computes: &'static str,
    /// Packages of Debian that it uses where they are.
    suggests: Option<&'static str>,
    about: &'static str,
    after_install: &'static str,
    before_removal: &'static str,
    after_removal: &'static str,
}

const NODE: Words = Words {
    programs: &["starling-node"],
    units: &["starling-node.service"],
    readme: include_str!("texts/node.txt"),
    computes: " It computes on a graphics card whose driver has Vulkan 1.2 (those of NVIDIA, AMD and Intel have), else on\n\
               the processor, which must be one with AVX2 (most since 2013). `starling-node doctor` says which it is.",
    suggests: Some("libvulkan1"),
    about: "computes answers for a Starling swarm",
    after_install: include_str!("texts/node.postinst"),
    before_removal: include_str!("texts/node.prerm"),
    after_removal: include_str!("texts/node.postrm"),
};
const GATEWAY: Words = Words {
    programs: &["starling-gateway", "starling-bootstrap"],
    units: &["starling-gateway.service", "starling-bootstrap.service"],
    readme: include_str!("texts/gateway.txt"),
    computes: "",
    suggests: None,
    about: "web chat and API of a Starling swarm",
    after_install: include_str!("texts/gateway.postinst"),
    before_removal: include_str!("texts/gateway.prerm"),
    after_removal: include_str!("texts/gateway.postrm"),
};

fn words(package: Package) -> &'static Words {
    if package.program == "starling-node" { &NODE } else { &GATEWAY }
}

impl Parts<'_> {
    /// One folder, with everything in it.
    pub(super) fn archive(&self, package: Package) -> Result<Tree> {
        let top = format!("{}-{}", package.program, self.version);
        let mut tree = Tree::default();
        for program in words(package).programs {
            let name = super::file_name(package.system, program);
            tree.add(format!("{top}/{name}"), Kind::Program, self.program(&name)?)?;
        }
        tree.add(format!("{top}/README.txt"), Kind::Plain, self.readme(package)?)?;
        tree.add(format!("{top}/LICENSE"), Kind::Plain, self.source("LICENSE")?)?;
        tree.add(format!("{top}/LICENSES-OTHERS.txt"), Kind::Plain, self.licences)?;
        if package.system == System::Linux {
            for unit in words(package).units {
                tree.add(format!("{top}/{unit}"), Kind::Plain, self.source(&format!("deploy/{unit}"))?)?;
            }
        }
        Ok(tree)
    }

    /// What dpkg is to know, and what it is to put where.
    pub(super) fn deb(&self, package: Package) -> Result<(Tree, Tree)> {
        let words = words(package);
        let mut files = Tree::default();
        for program in words.programs {
            files.add(format!("usr/bin/{program}"), Kind::Program, self.program(program)?)?;
        }
        let doc = format!("usr/share/doc/{}", package.program);
        let licences = [&self.source("LICENSE")?[..], b"\n", self.licences.as_bytes()].concat();
        files.add(format!("{doc}/copyright"), Kind::Plain, licences)?;
        files.add(format!("{doc}/README.txt"), Kind::Plain, self.readme(package)?)?;
        for unit in words.units {
            let text = String::from_utf8(self.source(&format!("deploy/{unit}"))?)?;
            let text = text.replace("/usr/local/bin/", "/usr/bin/");
            files.add(format!("usr/lib/systemd/system/{unit}"), Kind::Plain, text)?;
        }
        let mut control = Tree::default();
        control.add("control", Kind::Plain, self.control(package, &files)?)?;
        control.add("postinst", Kind::Program, words.after_install)?;
        control.add("prerm", Kind::Program, words.before_removal)?;
        control.add("postrm", Kind::Program, words.after_removal)?;
        Ok((control, files))
    }

    fn control(&self, package: Package, files: &Tree) -> Result<String> {
        let kib = files.bytes().div_ceil(1024);
        let depends = format!("libc6 (>= {}), libgcc-s1, passwd", self.glibc(package)?);
        let suggests = words(package).suggests.map(|suggests| ("Suggests", suggests));
        let lines = [
            ("Package", package.program),
            ("Version", self.version),
            ("Architecture", "amd64"),
            ("Maintainer", "The Starling authors"),
            ("Installed-Size", &kib.to_string()),
            ("Depends", &depends),
            ("Section", "net"),
            ("Priority", "optional"),
            ("Homepage", REPOSITORY),
            ("Description", words(package).about),
        ];
        Ok(lines.into_iter().chain(suggests).map(|(name, value)| format!("{name}: {value}\n")).collect())
    }

    fn readme(&self, package: Package) -> Result<String> {
        let system = match package.system {
            System::Windows => "Windows 10 or 11".to_owned(),
            System::Linux => format!("Linux with glibc {} or newer", self.glibc(package)?),
        };
        let needs = format!("It needs {system}.{}", words(package).computes);
        let text = words(package).readme.replace("VERSION", self.version).replace("SYSTEM", word(package.system));
        Ok(text.replace("REPOSITORY", REPOSITORY).replace("NEEDS", &needs))
    }

    /// The newest version of glibc that any of a package's programs asks for.
    fn glibc(&self, package: Package) -> Result<String> {
        let mut newest = None;
        for program in words(package).programs {
            newest = newest.max(newest_glibc(&self.program(program)?));
        }
        let (major, minor) = newest.context("a program for Linux names no version of glibc")?;
        Ok(format!("{major}.{minor}"))
    }

    fn program(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.programs.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(!bytes.is_empty(), "{} is empty", path.display());
        Ok(bytes)
    }

    fn source(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }
}

/// Each symbol's version is named in the program: `GLIBC_2.34`.
fn newest_glibc(program: &[u8]) -> Option<(u32, u32)> {
    let version = |name: &[u8]| {
        let mut numbers = std::str::from_utf8(name.strip_prefix(b"GLIBC_")?).ok()?.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    program.split(|byte| *byte == 0).filter_map(version).max()
}

#[cfg(test)]
mod tests {
    use super::super::manifest::PACKAGES;
    use super::super::pack::{self, Moment};
    use super::*;

    /// A checkout and programs, as far as packing looks at them.
    fn parts(check: impl FnOnce(&Parts)) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("deploy")).unwrap();
        fs::write(at("LICENSE"), "ours").unwrap();
        for unit in [NODE.units, GATEWAY.units].concat() {
            fs::write(at("deploy").join(unit), "ExecStart=/usr/local/bin/starling run\n").unwrap();
        }
        for program in ["starling-node", "starling-gateway", "starling-bootstrap"] {
            fs::write(at(program), b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.4\0").unwrap();
            fs::write(at(&format!("{program}.exe")), b"MZ").unwrap();
        }
        check(&Parts { programs: dir.path(), root: dir.path(), version: "1.2.3", licences: "theirs" });
    }

    fn package(program: &str, system: System) -> Package {
        *PACKAGES.iter().find(|package| package.program == program && package.system == system).unwrap()
    }

    #[test]
    fn an_archive_is_one_folder_with_what_belongs_together() {
        let names = |tree: &Tree| tree.files().map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
        parts(|parts| {
            let windows = parts.archive(package("starling-node", System::Windows)).unwrap();
            let expected = ["LICENSE", "LICENSES-OTHERS.txt", "README.txt", "starling-node.exe"];
            assert_eq!(names(&windows), expected.map(|name| format!("starling-node-1.2.3/{name}")));
            let gateway = names(&parts.archive(package("starling-gateway", System::Linux)).unwrap());
            for name in ["starling-gateway", "starling-bootstrap", "starling-gateway.service"] {
                assert!(gateway.contains(&format!("starling-gateway-1.2.3/{name}")), "{gateway:?}");
            }
        });
    }

    #[test]
    fn a_readme_says_what_the_program_needs() {
        parts(|parts| {
            let text = parts.readme(package("starling-node", System::Linux)).unwrap();
            assert!(text.starts_with("starling-node 1.2.3 for Linux, x86_64\n"), "{text}");
            assert!(text.contains("glibc 2.34 or newer. It computes on a graphics card"), "{text}");
            assert!(text.contains("Vulkan 1.2") && text.contains("AVX2"), "{text}");
            assert!(!text.contains("NEEDS") && !text.contains("REPOSITORY"), "{text}");
            let gateway = parts.readme(package("starling-gateway", System::Windows)).unwrap();
            assert!(gateway.contains("It needs Windows 10 or 11.\n"), "{gateway}");
        });
    }

    #[test]
    fn a_deb_puts_programs_and_units_where_they_belong() {
        parts(|parts| {
            let (control, files) = parts.deb(package("starling-gateway", System::Linux)).unwrap();
            let text = |tree: &Tree, name: &str| {
                let file = tree.files().find(|(path, _)| *path == name).unwrap().1;
                String::from_utf8(file.bytes.clone()).unwrap()
            };
            let about = text(&control, "control");
            assert!(about.starts_with("Package: starling-gateway\nVersion: 1.2.3\nArchitecture: amd64\n"), "{about}");
            assert!(about.contains("Depends: libc6 (>= 2.34)"), "{about}");
            assert!(!about.contains("Suggests"), "{about}");
            let node = parts.deb(package("starling-node", System::Linux)).unwrap().0;
            assert!(text(&node, "control").ends_with("\nSuggests: libvulkan1\n"));
            let unit = text(&files, "usr/lib/systemd/system/starling-gateway.service");
            assert_eq!(unit, "ExecStart=/usr/bin/starling run\n");
            assert!(text(&files, "usr/share/doc/starling-gateway/copyright").contains("theirs"));
            let deb = pack::deb(&control, &files, Moment(1_700_000_000)).unwrap();
            assert!(deb.starts_with(b"!<arch>\ndebian-binary   1700000000  0     0     100644  4         `\n2.0\n"));
        });
    }
}
