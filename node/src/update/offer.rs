//! What the gateway offers, once its signature holds, and whether it is taken.

use reqwest::{Url, header::HeaderMap};
use semver::Version;
use starling_protocol::{
    ModelId,
    program::Exit,
    release::{MANIFEST, MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, Manifest, ReleaseError, ReleaseFile, SIGNATURE},
};
use tokio::time::timeout;

use super::{PROGRAM, settings::Settings};
use crate::models::{
    client::{Client, Fault, fault},
    hub::Remote,
};

/// A gateway's release.
pub(super) struct Source {
    url: Url,
    manifest: Manifest,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision<'a> {
    /// There is nothing newer.
    Newest,
    /// This package of that version.
    Take(Version, &'a ReleaseFile),
}

impl Source {
    /// Asks the gateway.
    ///
    /// # Errors
    /// When it has no release, or one that was not signed with our key.
    pub(super) async fn fetch(client: &Client, settings: &Settings) -> Result<Self, Exit> {
        let document = read(client, &at(&settings.url, MANIFEST)?, MAX_MANIFEST_BYTES).await?;
        let signature = read(client, &at(&settings.url, SIGNATURE)?, MAX_SIGNATURE_BYTES).await?;
        let manifest =
            Manifest::open(&document, &String::from_utf8_lossy(&signature), &settings.key).map_err(|error| {
                let hint = match error {
                    ReleaseError::Signature => {
                        "nothing was changed; ask the gateway's operator whether releases have another key now"
                    }
                    _ => "nothing was changed; tell the gateway's operator",
                };
                Exit::usage(error, hint)
            })?;
        Ok(Self { url: settings.url.clone(), manifest })
    }

    /// Whether it is taken by one who has `current`; `wanted` is a version that was asked for by name.
    ///
    /// # Errors
    /// When another version was asked for than there is, or there is no package for this system.
    pub(super) fn decide(&self, current: &Version, wanted: Option<&Version>) -> Result<Decision<'_>, Exit> {
        let offered = &self.manifest.version;
        match wanted {
            Some(wanted) if wanted != offered => {
                let hint = format!("starling-node update --version {offered} takes that one");
                return Err(Exit::usage(format!("the gateway has {offered} and not {wanted}"), hint));
            }
            // Signed, and older: who stands between us and the gateway may have kept it. So only by name.
            None if offered <= current => return Ok(Decision::Newest),
            Some(wanted) if wanted == current => return Ok(Decision::Newest),
            _ => {}
        }
        let (system, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let file = self.manifest.package(PROGRAM, system, arch, "archive").ok_or_else(|| {
            Exit::usage(
                format!("{offered} has no package for {system} on {arch}"),
                "ask the gateway's operator for one",
            )
        })?;
        Ok(Decision::Take(offered.clone(), file))
    }

    /// Where a package is, and what it has to be.
    pub(super) fn remote(&self, file: &ReleaseFile) -> Result<Remote, Exit> {
        let url = at(&self.url, &file.name)?;
        let (source, sha256) = (url.to_string(), Some(ModelId::new(file.sha256)));
        Ok(Remote { url, source, file: file.name.clone(), bytes: Some(file.bytes), sha256 })
    }
}

fn at(url: &Url, name: &str) -> Result<Url, Exit> {
    url.join(&format!("/releases/{name}")).map_err(Exit::failed)
}

/// A short document, or the reason why not.
async fn read(client: &Client, url: &Url, most: usize) -> Result<Vec<u8>, Exit> {
    let failed = |fault| match fault {
        Fault::Passing(what) => Exit::usage(format!("the gateway cannot be asked: {what}"), "check the connection"),
        Fault::Final(exit) | Fault::Worthless(exit) => exit,
    };
    let mut response = client.get(url, HeaderMap::new()).await.map_err(failed)?;
    let mut bytes = vec![];
    loop {
        let chunk = timeout(client.patience.silence, response.chunk()).await;
        let chunk = chunk.map_err(|_| failed(Fault::Passing("it has gone silent".to_owned())))?;
        let Some(chunk) = chunk.map_err(|error| failed(fault(url, error)))? else { return Ok(bytes) };
        if bytes.len() + chunk.len() > most {
            return Err(Exit::usage(format!("{url} is over {most} bytes"), "tell the gateway's operator"));
        }
        bytes.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(version: &str) -> Source {
        let file = ReleaseFile {
            name: "node.tar.gz".to_owned(),
            program: PROGRAM.to_owned(),
            system: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            kind: "archive".to_owned(),
            bytes: 9,
            sha256: [1; 32],
        };
        let manifest = Manifest { version: version.parse().unwrap(), files: vec![file] };
        Source { url: "https://a.example".parse().unwrap(), manifest }
    }

    fn takes(offered: &str, current: &str, wanted: Option<&str>) -> Result<bool, Exit> {
        let wanted = wanted.map(|wanted| wanted.parse().unwrap());
        let source = source(offered);
        let decision = source.decide(&current.parse().unwrap(), wanted.as_ref())?;
        Ok(decision != Decision::Newest)
    }

    #[test]
    fn what_is_newer_is_taken_and_nothing_older() {
        for (offered, current, expected) in [
            ("1.2.4", "1.2.3", true),
            ("1.2.3", "1.2.3", false),
            ("1.2.2", "1.2.3", false),
            ("1.10.0", "1.9.0", true),
            ("2.0.0-rc.1", "2.0.0", false),
            ("2.0.0", "2.0.0-rc.1", true),
        ] {
            assert_eq!(takes(offered, current, None).unwrap(), expected, "{offered} over {current}");
        }
    }

    #[test]
    fn a_version_by_name_is_that_one_or_none() {
        assert!(takes("1.2.2", "1.2.3", Some("1.2.2")).unwrap(), "older, and asked for");
        assert!(!takes("1.2.3", "1.2.3", Some("1.2.3")).unwrap());
        assert!(takes("1.2.4", "1.2.3", Some("1.2.2")).is_err());
    }

    #[test]
    fn without_a_package_for_this_system_there_is_no_update() {
        let mut source = source("9.9.9");
        source.manifest.files[0].system = "plan9".to_owned();
        assert!(source.decide(&Version::new(1, 0, 0), None).is_err());
    }

    #[test]
    fn packages_lie_at_the_gateway() {
        let source = source("1.0.0");
        let remote = source.remote(&source.manifest.files[0]).unwrap();
        assert_eq!(remote.url.as_str(), "https://a.example/releases/node.tar.gz");
        assert_eq!((remote.bytes, remote.sha256), (Some(9), Some(ModelId::new([1; 32]))));
    }
}
