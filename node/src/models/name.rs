//! Names of models as people write them: a repository of the hub, an address, a path.

use std::{fmt, path::PathBuf};

use reqwest::Url;
use starling_protocol::{ModelId, program::Exit};

use super::quantisation;

/// Longest name that is looked at.
const MAX_BYTES: usize = 2048;
/// Longest name of an owner, of a repository or of one of its branches; the hub's own limit is 96.
const MAX_PART_BYTES: usize = 96;
/// Longest path of a file in a repository.
const MAX_FILE_BYTES: usize = 512;
/// The hub where the environment names no other.
pub(crate) const HUB: &str = "https://huggingface.co";
/// Branch of a repository where the name says none.
pub(crate) const MAIN: &str = "main";

/// Short names for what many want.
const SHORT: [(&str, &str); 1] =
    [("all-minilm-l6-v2", "hf:second-state/All-MiniLM-L6-v2-Embedding-GGUF/all-MiniLM-L6-v2-ggml-model-f16.gguf")];

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A file of a repository on the hub.
    Hub(Hub),
    /// A file at an address; what it should hash to, where that is known.
    Url(Url, Option<ModelId>),
    /// A file on this machine, or the name of a model that is here.
    Local(PathBuf),
}

/// A file of a repository on the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hub {
    /// `owner/name`.
    pub(crate) repo: String,
    /// Branch or commit.
    pub(crate) revision: String,
    /// Which of its files.
    pub(crate) pick: Pick,
}

/// Which file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// The only one, or the usual one.
    Usual,
    /// The one in this quantisation.
    Quantisation(String),
    /// The one of this name.
    File(String),
}

impl Name {
    /// Reads a name. `hub` is the address of the hub, so that an address of it is known as such.
    ///
    /// # Errors
    /// Says what is wrong with the name, and how names look.
    pub(crate) fn parse(text: &str, hub: &Url) -> Result<Self, Exit> {
        let text = text.trim();
        let text = SHORT.iter().find(|(short, _)| short.eq_ignore_ascii_case(text)).map_or(text, |(_, long)| long);
        if text.is_empty() || text.len() > MAX_BYTES || text.contains(char::is_control) {
            return Err(wrong("this is no name of a model"));
        }
        if let Some(rest) = text.strip_prefix("hf:") {
            return Hub::parse(rest).map(Self::Hub);
        }
        // One letter before the colon is a drive of Windows.
        match text.split_once("://") {
            Some((scheme, _)) if scheme.len() > 1 => Self::from_url(text, hub),
            _ => Ok(Self::Local(text.into())),
        }
    }

    fn from_url(text: &str, hub: &Url) -> Result<Self, Exit> {
        let mut url: Url = text.parse().map_err(|error| wrong(&format!("{text} is no address: {error}")))?;
        if !may_be_asked(&url) {
            let what =
                format!("{}:// is not taken here: whoever is on the way could put in another file", url.scheme());
            return Err(Exit::usage(what, "use an https:// address; http:// is for this machine only"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Exit::usage(
                "an address with a name or password in it is not taken, as it would be written down",
                "download the file by other means and give its path to starling-node run --model",
            ));
        }
        if let Some(name) = Hub::from_page(&url, hub) {
            return Ok(Self::Hub(name));
        }
        let sha256 = url.fragment().map(expected).transpose()?;
        url.set_fragment(None);
        Ok(Self::Url(url, sha256))
    }
}

/// `sha256=…` behind the `#` of an address.
fn expected(fragment: &str) -> Result<ModelId, Exit> {
    let digits = fragment.strip_prefix("sha256=").unwrap_or_default();
    digits.parse().map_err(|_| wrong("behind the # of an address only sha256= and 64 hexadecimal digits can stand"))
}

/// Whether this address is safe to be asked: encrypted, or on this machine.
pub(crate) fn may_be_asked(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether the address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

impl Hub {
    /// `owner/repo`, then `@revision`, then `:QUANTISATION` or `/file.gguf`.
    fn parse(text: &str) -> Result<Self, Exit> {
        let (place, quantisation) = match text.split_once(':') {
            Some((place, quantisation)) => (place, Some(quantisation)),
            None => (text, None),
        };
        let mut parts = place.splitn(3, '/');
        let (owner, repo, file) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
        let (repo, revision) = repo.split_once('@').unwrap_or((repo, MAIN));
        if ![owner, repo, revision].into_iter().all(is_part) {
            return Err(wrong(&format!("hf:{text} names no repository of the hub")));
        }
        let pick = match (file, quantisation) {
            (None, None) => Pick::Usual,
            (None, Some(name)) if quantisation::is_one(name) => Pick::Quantisation(name.to_owned()),
            (None, Some(name)) => return Err(wrong(&format!("{name} is no quantisation"))),
            (Some(file), None) if is_file(file) => Pick::File(file.to_owned()),
            (Some(file), None) => return Err(wrong(&format!("{file} is no GGUF file"))),
            (Some(_), Some(_)) => return Err(wrong("a name has a file or a quantisation and not both")),
        };
        Ok(Self { repo: format!("{owner}/{repo}"), revision: revision.to_owned(), pick })
    }

    /// The address of a file's page or of its content, as people copy it out of their browser.
    fn from_page(url: &Url, hub: &Url) -> Option<Self> {
        if url.origin() != hub.origin() {
            return None;
        }
        let mut parts = url.path().trim_start_matches('/').splitn(5, '/');
        let (owner, repo, kind, revision, file) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let good = ["blob", "resolve"].contains(&kind) && [owner, repo, revision].into_iter().all(is_part);
        (good && is_file(file)).then(|| Self {
            repo: format!("{owner}/{repo}"),
            revision: revision.to_owned(),
            pick: Pick::File(file.to_owned()),
        })
    }

    /// The same name for one file.
    pub(crate) fn of_file(&self, file: &str) -> Self {
        Self { pick: Pick::File(file.to_owned()), ..self.clone() }
    }
}

/// An owner, a repository or a branch: nothing that could climb out of its place in an address.
fn is_part(text: &str) -> bool {
    let fits = (1..=MAX_PART_BYTES).contains(&text.len()) && !text.starts_with('.');
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A path in a repository that ends in `.gguf`.
pub(crate) fn is_file(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    let plain = |c: char| c.is_alphanumeric() || "-_.+()[], =".contains(c);
    let ends = path.len() > 5 && path.to_ascii_lowercase().ends_with(".gguf");
    ends && path.len() <= MAX_FILE_BYTES && path.split('/').all(|text| part(text) && text.chars().all(plain))
}

fn wrong(what: &str) -> Exit {
    Exit::usage(what, "names look like hf:Qwen/Qwen3-8B-GGUF:Q5_K_M, hf:OWNER/REPO/FILE.gguf or https://HOST/FILE.gguf")
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(hub) => hub.fmt(f),
            // What stands behind a ? is often a key that opens the file.
            Self::Url(url, _) => f.write_str(url.as_str().split('?').next().unwrap_or_default()),
            Self::Local(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.repo)?;
        if self.revision != MAIN {
            write!(f, "@{}", self.revision)?;
        }
        match &self.pick {
            Pick::Usual => Ok(()),
            Pick::Quantisation(name) => write!(f, ":{name}"),
            Pick::File(file) => write!(f, "/{file}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Name, Exit> {
        Name::parse(text, &HUB.parse().unwrap())
    }

    /// Each name, and how it is shown once it is understood.
    #[test]
    fn names_as_people_write_them() {
        let digits = "0123456789abcdef".repeat(4);
        for (text, shown) in [
            ("hf:Qwen/Qwen3-8B-GGUF:Q5_K_M", "hf:Qwen/Qwen3-8B-GGUF:Q5_K_M"),
            (" hf:Qwen/Qwen3-8B-GGUF ", "hf:Qwen/Qwen3-8B-GGUF"),
            ("hf:o/r:UD-Q4_K_XL", "hf:o/r:UD-Q4_K_XL"),
            ("hf:o/r@v1.0:q8_0", "hf:o/r@v1.0:q8_0"),
            ("hf:o/r/Q8_0/model-Q8_0.gguf", "hf:o/r/Q8_0/model-Q8_0.gguf"),
            ("https://huggingface.co/o/r/blob/main/a.gguf", "hf:o/r/a.gguf"),
            ("https://huggingface.co/o/r/resolve/v2/b/a.gguf?download=true", "hf:o/r@v2/b/a.gguf"),
            ("https://example.org/a.gguf?key=secret", "https://example.org/a.gguf"),
            (&format!("https://example.org/a.gguf#sha256={digits}"), "https://example.org/a.gguf"),
            ("http://127.0.0.1:80/a.gguf", "http://127.0.0.1/a.gguf"),
            ("http://[::1]:81/a.gguf", "http://[::1]:81/a.gguf"),
            ("http://localhost:81/a", "http://localhost:81/a"),
            ("model.gguf", "model.gguf"),
            ("C:\\models\\a.gguf", "C:\\models\\a.gguf"),
            ("Qwen3-8B-Q5_K_M", "Qwen3-8B-Q5_K_M"),
        ] {
            match parse(text) {
                Ok(name) => assert_eq!(name.to_string(), shown, "{text}"),
                Err(exit) => panic!("{text}: {exit:?}"),
            }
        }
        assert!(matches!(parse("ALL-minilm-l6-v2"), Ok(Name::Hub(_))));
        assert!(matches!(parse(&format!("https://example.org/a#sha256={digits}")), Ok(Name::Url(url, Some(_)))
            if url.as_str() == "https://example.org/a"));
    }

    #[test]
    fn wrong_names_say_what_is_wrong() {
        for (text, says) in [
            ("", "no name of a model"),
            ("a\nb", "no name of a model"),
            ("hf:", "no repository"),
            ("hf:Qwen", "no repository"),
            ("hf:../etc/passwd", "no repository"),
            ("hf:o/..", "no repository"),
            ("hf:o/r@../..", "no repository"),
            ("hf:o/r:", "no quantisation"),
            ("hf:o/r:latest", "no quantisation"),
            ("hf:o/r/../../a.gguf", "no GGUF file"),
            ("hf:o/r/config.json", "no GGUF file"),
            ("hf:o/r/a%2f.gguf", "no GGUF file"),
            ("hf:o/r/a.gguf:Q8_0", "not both"),
            ("http://example.org/a.gguf", "http:// is not taken"),
            ("http://127.0.0.1.example.org/a.gguf", "http:// is not taken"),
            ("ftp://example.org/a.gguf", "ftp:// is not taken"),
            ("https://me:secret@example.org/a.gguf", "name or password"),
            ("https://example.org/a.gguf#sha256=12", "64 hexadecimal digits"),
            ("https://", "no address"),
            (&format!("hf:{}/r", "a".repeat(97)), "no repository"),
            (&"a".repeat(2049), "no name of a model"),
        ] {
            match parse(text) {
                Err(Exit::Usage { what, hint }) => {
                    assert!(what.contains(says) && !hint.is_empty(), "{text}: {what}");
                    assert!(!what.contains("secret"), "{what}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
