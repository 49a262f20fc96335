//! What makes a gateway a member: the swarm's key in its data folder, or a certificate.

use std::{
    io,
    path::{Path, PathBuf},
};

use starling_protocol::{
    members::Standing,
    membership::{MemberRole, Membership, SwarmKey},
    program::Exit,
};

/// The files of a member in its data folder.
#[derive(Clone, Debug)]
pub struct Files {
    /// The swarm's key; whoever has it makes members.
    pub key: PathBuf,
    /// What a gateway has that was let in.
    pub membership: PathBuf,
    /// Who was turned out.
    pub revocations: PathBuf,
}

impl Files {
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self {
            key: data.join("swarm.key"),
            membership: data.join("membership.cbor"),
            revocations: data.join("revocations.cbor"),
        }
    }
}

/// What the data folder says. A gateway that has neither key nor certificate founds a swarm. One that has both
/// was given a copy of the key, and is as good as the founder.
///
/// # Errors
/// When a file cannot be used.
pub fn load(files: &Files) -> Result<Standing, Exit> {
    let authority = || {
        let key = SwarmKey::load_or_create(&files.key)?;
        Ok(Standing::Authority { key, role: MemberRole::Gateway })
    };
    if files.key.exists() {
        return authority();
    }
    let loaded = Membership::load(&files.membership).map_err(|error| unreadable(&files.membership, &error))?;
    loaded.map_or_else(authority, |membership| Ok(Standing::Member(membership)))
}

fn unreadable(path: &Path, error: &io::Error) -> Exit {
    let hint = "restore it from a backup, or delete it and join again with a new invite";
    Exit::usage(format!("the membership {}: {error}", path.display()), hint)
}

#[cfg(test)]
mod tests {
    use starling_protocol::swarm::PeerId;

    use super::*;

    #[test]
    fn the_first_start_founds_a_swarm_and_the_next_ones_stay_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        let id = || match load(&files).unwrap() {
            Standing::Authority { key, role: MemberRole::Gateway } => key.id(),
            other => panic!("{other:?}"),
        };
        assert_eq!(id(), id());
    }

    #[test]
    fn who_was_let_in_founds_nothing_and_a_copied_key_makes_an_authority() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        let key = SwarmKey::generate().unwrap();
        let certificate = key.certify(PeerId::random(), MemberRole::Gateway, 1);
        Membership { certificate, addresses: vec![] }.save(&files.membership).unwrap();
        assert!(matches!(load(&files).unwrap(), Standing::Member(_)));
        assert!(!files.key.exists());
        SwarmKey::load_or_create(&files.key).unwrap();
        assert!(matches!(load(&files).unwrap(), Standing::Authority { .. }));
        std::fs::remove_file(&files.key).unwrap();
        std::fs::write(&files.membership, "garbage").unwrap();
        assert!(matches!(load(&files), Err(Exit::Usage { .. })));
    }
}
