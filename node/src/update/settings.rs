//! Where releases come from: out of the node's configuration file, which the installation has written, or from flags.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use reqwest::Url;
use starling_protocol::{
    program::{self, Exit},
    release::ReleaseKey,
};

use super::Options;
use crate::models::name::may_be_asked;

/// Longest configuration file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// What a node's configuration may say under `[update]`; the node itself only checks it.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// The gateway that starling-node update asks for newer releases; in the file: url under [update].
    #[arg(long, value_name = "URL")]
    pub update_url: Option<String>,
    /// The public key that they must be signed with, RWS…; in the file: key under [update].
    #[arg(long, value_name = "KEY")]
    pub update_key: Option<ReleaseKey>,
}

/// All there is to know.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) url: Url,
    pub(super) key: ReleaseKey,
    /// Where the node that runs can be asked.
    pub(super) data: PathBuf,
}

impl Settings {
    /// Of the flags, and of the file for what they leave open.
    ///
    /// # Errors
    /// When neither says where to ask, or one is wrong.
    pub(super) fn read(options: &Options) -> Result<Self, Exit> {
        // Who says all of it wants nothing of a file: it may be one that others write.
        if options.url.is_some() && options.key.is_some() && options.data.is_some() {
            return Self::of(options, &toml::Table::new());
        }
        let file = options.config.clone().unwrap_or_else(usual_file);
        let text = match read(&file) {
            Ok(text) => text,
            Err(_) if options.config.is_none() => String::new(),
            Err(error) => {
                return Err(Exit::usage(
                    format!("cannot read {}: {error}", file.display()),
                    "check the path after --config",
                ));
            }
        };
        let table: toml::Table =
            text.parse().map_err(|error| Exit::usage(format!("{}: {error}", file.display()), "correct that file"))?;
        Self::of(options, &table)
    }

    fn of(options: &Options, table: &toml::Table) -> Result<Self, Exit> {
        let under = |name: &str| table.get("update")?.get(name)?.as_str().map(str::to_owned);
        let hint = "the gateway's install script writes it; or give --url and --key";
        let missing = |what: &str| Exit::usage(format!("the configuration has no {what} under [update]"), hint);
        let url = options.url.clone().or_else(|| under("url")).ok_or_else(|| missing("url"))?;
        let key = match (&options.key, under("key")) {
            (Some(key), _) => key.clone(),
            (None, Some(text)) => text.parse().map_err(|error| Exit::usage(error, hint))?,
            (None, None) => return Err(missing("key")),
        };
        let data = options.data.clone().or_else(|| Some(table.get("data")?.as_str()?.into()));
        Ok(Self { url: parse(&url)?, key, data: program::data_dir(data, "node")? })
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    if fs::metadata(file)?.len() > MAX_BYTES {
        return Err(std::io::Error::other("it is too long"));
    }
    fs::read_to_string(file)
}

/// An address without a path, which is encrypted or on this machine.
fn parse(text: &str) -> Result<Url, Exit> {
    let hint = "it is the gateway's address, such as https://chat.example.org";
    let url: Url = text.parse().map_err(|error| Exit::usage(format!("{text} is no address: {error}"), hint))?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !plain {
        return Err(Exit::usage(format!("{text} is more than an address"), hint));
    }
    // What comes is signed. But without encryption those on the way could hold an old release before us for ever.
    if may_be_asked(&url) { Ok(url) } else { Err(Exit::usage(format!("{text} is not encrypted"), "use https://")) }
}

/// Where the installation puts it.
fn usual_file() -> PathBuf {
    if cfg!(windows) {
        let common = std::env::var_os("ProgramData").unwrap_or_else(|| "C:\\ProgramData".into());
        return PathBuf::from(common).join("Starling").join("node.toml");
    }
    "/etc/starling/node.toml".into()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn settings(flags: &[&str], file: &str) -> Result<Settings, Exit> {
        let Cli { options } = Cli::try_parse_from([&["x"], flags].concat()).unwrap();
        Settings::of(&options, &file.parse().unwrap())
    }

    #[test]
    fn the_file_says_it_and_flags_win() {
        let file = format!("data = '/d'\nslots = 2\n[update]\nurl = 'https://a.example'\nkey = '{KEY}'");
        let read = settings(&[], &file).unwrap();
        assert_eq!((read.url.as_str(), read.data.as_path()), ("https://a.example/", Path::new("/d")));
        let read = settings(&["--url", "http://127.0.0.1:1", "--data", "/e"], &file).unwrap();
        assert_eq!((read.url.as_str(), read.data.as_path()), ("http://127.0.0.1:1/", Path::new("/e")));
        assert_eq!(read.key.to_string(), KEY);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let check = |file: &str, says: &str| {
            let Err(Exit::Usage { what, .. }) = settings(&[], file) else { panic!("{file}") };
            assert!(what.contains(says), "{what}");
        };
        check("", "no url");
        check("[update]\nurl = 'https://a.example'", "no key");
        check("[update]\nurl = 'https://a.example'\nkey = 'RWS'", "no public key");
        for (url, says) in
            [("a", "no address"), ("http://a.example", "not encrypted"), ("https://a.example/b", "more than")]
        {
            check(&format!("[update]\nurl = '{url}'\nkey = '{KEY}'"), says);
        }
    }
}
