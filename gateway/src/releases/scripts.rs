//! The scripts that install a node, with the gateway's address, the pinned key and the version filled in.
//!
//! What is filled in has been checked where it came from (an origin, a key of base64, a version): none of it can hold a
//! quote, a space or a sign that a shell reads.

use semver::Version;
use starling_protocol::release::ReleaseKey;

/// For which shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// POSIX sh, for Linux.
    Sh,
    /// PowerShell, for Windows.
    PowerShell,
}

impl Script {
    const fn template(self) -> &'static str {
        match self {
            Self::Sh => include_str!("install.sh"),
            Self::PowerShell => include_str!("install.ps1"),
        }
    }

    /// The script as it is served.
    pub(super) fn filled(self, origin: &str, key: &ReleaseKey, version: &Version) -> String {
        let values = [("@@URL@@", origin), ("@@KEY@@", &key.to_string()), ("@@VERSION@@", &version.to_string())];
        values.iter().fold(self.template().to_owned(), |text, (name, value)| {
            debug_assert!(is_harmless(value), "{name}");
            text.replace(name, value)
        })
    }
}

/// Whether it means the same in every shell, with quotes around it.
fn is_harmless(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=.:-[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled() {
        let key: ReleaseKey = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse().unwrap();
        for script in [Script::Sh, Script::PowerShell] {
            let text = script.filled("https://chat.example:8443", &key, &Version::new(1, 2, 3));
            assert!(!text.contains("@@"), "{script:?}");
            for value in ["'https://chat.example:8443'", &format!("'{key}'"), "'1.2.3'"] {
                assert!(text.contains(value), "{script:?}: {value}");
            }
        }
    }

    #[test]
    fn an_origin_a_key_and_a_version_are_harmless() {
        for good in ["http://[::1]:80", "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", "1.2.3-rc.1+b"] {
            assert!(is_harmless(good), "{good}");
        }
        for bad in ["'", "\"", "$x", "`", "a b", "a\nb", ";", "\\", "ü", "a&b", "(", "%"] {
            assert!(!is_harmless(bad), "{bad}");
        }
    }
}
