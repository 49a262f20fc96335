//! What a repository of the hub has, and which of its files is meant.

use reqwest::{Url, header::HeaderMap};
use serde::Deserialize;
use starling_protocol::{ModelId, program::Exit};

use super::{
    client::{Client, Fault},
    name::{Hub, Name, Pick, is_file},
    quantisation, show,
};

/// Longest list of files that is read: some ten thousand files.
const MAX_LIST_BYTES: usize = 8 << 20;
/// Files that are named when the one asked for is not there.
const MAX_NAMED: usize = 24;

/// A file on a server, as far as it is known before it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) url: Url,
    /// What the index calls its source.
    pub(crate) source: String,
    /// The last part of its path.
    pub(crate) file: String,
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<ModelId>,
}

/// One entry of the hub's list, as it writes it.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    size: u64,
    lfs: Option<Large>,
}

#[derive(Deserialize)]
struct Large {
    /// SHA-256 in hexadecimal.
    oid: String,
    size: u64,
}

/// Finds the file that a name means. Says which one where the name leaves that open.
pub(crate) async fn find(client: &Client, name: &Hub) -> Result<Remote, Fault> {
    let files = list(client, name).await?;
    let file = pick(name, &files).map_err(Fault::Final)?;
    let sha256 = file.lfs.as_ref().and_then(|large| large.oid.parse().ok());
    let whole = name.of_file(&file.path);
    if name.pick == Pick::Usual {
        show::note(&format!("taking {} of {}", file.path, name.repo));
    }
    let path = ["resolve", &name.revision].into_iter().chain(file.path.split('/'));
    Ok(Remote {
        url: address(client.hub(), &[], &name.repo, path),
        file: file.path.rsplit('/').next().unwrap_or(&file.path).to_owned(),
        source: Name::Hub(whole).to_string(),
        bytes: Some(file.lfs.as_ref().map_or(file.size, |large| large.size)),
        sha256,
    })
}

async fn list(client: &Client, name: &Hub) -> Result<Vec<Listed>, Fault> {
    let mut url = address(client.hub(), &["api", "models"], &name.repo, ["tree", &name.revision].into_iter());
    url.set_query(Some("recursive=true"));
    let mut response = client.get(&url, HeaderMap::new()).await?;
    let (mut body, silence) = (vec![], client.patience.silence);
    while let Some(chunk) = tokio::time::timeout(silence, response.chunk())
        .await
        .map_err(|_| Fault::Passing("the hub does not answer".to_owned()))?
        .map_err(|error| super::client::fault(&url, error))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_LIST_BYTES {
            return Err(Fault::last(
                format!("{} has too many files", name.repo),
                "give the address of the file: https://…",
            ));
        }
    }
    let wrong = |error| Fault::last(format!("the hub's list of {} is not as expected: {error}", name.repo), NO_LIST);
    let files: Vec<Listed> = serde_json::from_slice(&body).map_err(wrong)?;
    Ok(files.into_iter().filter(|file| file.kind == "file" && is_model(&file.path)).collect())
}

const NO_LIST: &str = "check HF_ENDPOINT, or give the address of the file: https://…";

/// Whether a file could be a language model; `mmproj` files are the eyes of one.
fn is_model(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    is_file(path) && !file.starts_with("mmproj") && !file.contains("imatrix")
}

/// The one that is meant.
fn pick<'a>(name: &Hub, files: &'a [Listed]) -> Result<&'a Listed, Exit> {
    let whole: Vec<&Listed> = files.iter().filter(|file| quantisation::part_of(&file.path).is_none()).collect();
    let found = match &name.pick {
        Pick::File(path) => files.iter().find(|file| file.path == *path),
        Pick::Quantisation(asked) => {
            in_quantisation(whole.iter().copied(), asked).or_else(|| in_quantisation(files.iter(), asked))
        }
        Pick::Usual => {
            let paths: Vec<&str> = whole.iter().map(|file| file.path.as_str()).collect();
            quantisation::usual(&paths).and_then(|usual| files.iter().find(|file| file.path == usual))
        }
    };
    match found {
        Some(file) if quantisation::part_of(&file.path).is_some() => Err(Exit::usage(
            format!("{} is one part of several, which are not put together here", file.path),
            format!("choose another: {}; or join the parts with llama-gguf-split --merge", choices(name, &whole)),
        )),
        Some(file) => Ok(file),
        None if files.is_empty() => Err(Exit::usage(
            format!("{} has no GGUF file", name.repo),
            "look for a repository of the same model whose name ends in GGUF",
        )),
        None => {
            let what = match &name.pick {
                Pick::Usual => format!("{} does not say which of its files is the usual one", name.repo),
                Pick::Quantisation(asked) => format!("{} has no {asked}", name.repo),
                Pick::File(path) => format!("{} has no {path}", name.repo),
            };
            Err(Exit::usage(what, format!("choose one of {}", choices(name, &whole))))
        }
    }
}

/// By its whole name first; `Q4_K_XL` also means `UD-Q4_K_XL` where there is no other.
fn in_quantisation<'a>(files: impl Iterator<Item = &'a Listed> + Clone, asked: &str) -> Option<&'a Listed> {
    let with = |name: &str| files.clone().find(|file| quantisation::is(&file.path, name));
    with(asked).or_else(|| with(&format!("UD-{asked}")))
}

/// What there is, as it would be asked for.
fn choices(name: &Hub, files: &[&Listed]) -> String {
    let shown = |file: &&Listed| {
        let size = show::size(file.lfs.as_ref().map_or(file.size, |large| large.size));
        match quantisation::of_file(&file.path) {
            Some(quantisation) => format!("{quantisation} ({size})"),
            None => format!("{} ({size})", name.of_file(&file.path)),
        }
    };
    let names: Vec<String> = files.iter().take(MAX_NAMED).map(shown).collect();
    if names.is_empty() { "no other".to_owned() } else { names.join(", ") }
}

/// An address on the hub; every part is escaped as it needs.
fn address<'a>(hub: &Url, before: &[&str], repo: &str, after: impl Iterator<Item = &'a str>) -> Url {
    let mut url = hub.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().extend(before).extend(repo.split('/')).extend(after);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(paths: &[&str]) -> Vec<Listed> {
        let file = |path: &&str| Listed { kind: "file".into(), path: (*path).into(), size: 1_500_000_000, lfs: None };
        paths.iter().filter(|path| is_model(path)).map(file).collect()
    }

    fn picked(name: &str, paths: &[&str]) -> Result<String, String> {
        let Ok(Name::Hub(name)) = Name::parse(name, &super::super::name::HUB.parse().unwrap()) else {
            panic!("{name}")
        };
        match pick(&name, &listed(paths)) {
            Ok(file) => Ok(file.path.clone()),
            Err(Exit::Usage { what, hint }) => Err(format!("{what}; {hint}")),
            Err(exit) => panic!("{exit:?}"),
        }
    }

    #[test]
    fn the_file_that_is_meant() {
        let many = ["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-UD-Q5_K_XL.gguf", "mmproj-m-F16.gguf", "README.md"];
        for (name, file) in [
            ("hf:o/r", "m-Q4_K_M.gguf"),
            ("hf:o/r:q8_0", "m-Q8_0.gguf"),
            ("hf:o/r:Q5_K_XL", "m-UD-Q5_K_XL.gguf"),
            ("hf:o/r/m-Q8_0.gguf", "m-Q8_0.gguf"),
        ] {
            assert_eq!(picked(name, &many).as_deref(), Ok(file), "{name}");
        }
        assert_eq!(picked("hf:o/r", &["mmproj.gguf", "only.gguf"]).as_deref(), Ok("only.gguf"));
    }

    #[test]
    fn what_is_not_there_comes_with_what_is() {
        let parts = ["m-F16-00001-of-00002.gguf", "m-F16-00002-of-00002.gguf", "m-Q8_0.gguf"];
        for (name, paths, says) in [
            ("hf:o/r:Q3_K_S", &["m-Q8_0.gguf", "m.gguf"][..], "no Q3_K_S; choose one of Q8_0 (1.50 GB), hf:o/r/m.gguf"),
            ("hf:o/r/x.gguf", &["m-Q8_0.gguf"], "no x.gguf; choose one of Q8_0"),
            ("hf:o/r:F16", &parts, "one part of several, which are not put together here; choose another: Q8_0"),
            ("hf:o/r", &["a.gguf", "b.gguf"], "usual one"),
            ("hf:o/r", &["model.safetensors"], "no GGUF file"),
        ] {
            let error = picked(name, paths).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn addresses_are_escaped() {
        let hub = "https://mirror.example/hub/".parse().unwrap();
        let url = address(&hub, &[], "o/r", ["resolve", "main", "a b+c.gguf"].into_iter());
        assert_eq!(url.as_str(), "https://mirror.example/hub/o/r/resolve/main/a%20b+c.gguf");
    }
}
