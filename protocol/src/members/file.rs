//! The file that revocations are kept in.
//!
//! It names its swarm, since a machine may join another one, and carries a digest: a file with one changed
//! bit must be seen as damaged and not as one that revokes somebody less.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use crate::{
    disk::replace,
    limits::MAX_REVOCATIONS,
    membership::{Revocation, Revocations, SwarmId},
};

/// Longest file that is looked at: more than as many revocations as are remembered can take.
const MAX_FILE: u64 = MAX_REVOCATIONS as u64 * 256 + 1_024;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Sealed {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    body: Vec<u8>,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    digest: Vec<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    swarm: SwarmId,
    #[n(1)]
    revocations: Vec<Revocation>,
}

/// What is kept of this swarm's revocations; nothing when there is no file, or one of another swarm.
///
/// # Errors
/// `InvalidData` for a damaged file, else whatever the file system says.
pub(super) fn load(path: &Path, swarm: &SwarmId) -> io::Result<Vec<Revocation>> {
    let mut bytes = vec![];
    match File::open(path) {
        Ok(file) => drop(file.take(MAX_FILE + 1).read_to_end(&mut bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    }
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let sealed: Sealed = minicbor::decode(&bytes).map_err(|_| damaged())?;
    // Encoded anew so that no bit of the file is left out of the comparison.
    if Sha256::digest(&sealed.body)[..] != sealed.digest[..] || encoded(&sealed) != bytes {
        return Err(damaged());
    }
    let body: Body = minicbor::decode(&sealed.body).map_err(|_| damaged())?;
    Ok(if body.swarm == *swarm { body.revocations } else { vec![] })
}

pub(super) fn save(path: &Path, swarm: SwarmId, revocations: &Revocations) -> io::Result<()> {
    let body = encoded(&Body { swarm, revocations: revocations.iter().cloned().collect() });
    let digest = Sha256::digest(&body).to_vec();
    replace(path, &encoded(&Sealed { body, digest }))
}

fn encoded<T: Encode<()>>(message: &T) -> Vec<u8> {
    minicbor::to_vec(message).expect("encoding into a Vec cannot fail")
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;
    use crate::membership::SwarmKey;

    #[test]
    fn revocations_are_read_back_and_one_changed_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revocations.cbor");
        let (key, other) = (SwarmKey::generate().unwrap(), SwarmKey::generate().unwrap());
        assert_eq!(load(&path, &key.id()).unwrap(), vec![]);
        let mut revocations = Revocations::default();
        assert!(revocations.add(key.revoke(PeerId::random(), 1_000), &key.id(), 1_000));
        save(&path, key.id(), &revocations).unwrap();
        assert_eq!(load(&path, &key.id()).unwrap(), revocations.iter().cloned().collect::<Vec<_>>());
        assert_eq!(load(&path, &other.id()).unwrap(), vec![], "those of another swarm say nothing here");

        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, flipped).unwrap();
            assert_eq!(load(&path, &key.id()).unwrap_err().kind(), io::ErrorKind::InvalidData, "bit {bit}");
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(load(&path, &key.id()).is_err(), "cut short");
    }

    #[test]
    fn as_many_as_are_remembered_fit_the_file() {
        const SOME: usize = 16;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revocations.cbor");
        let key = SwarmKey::generate().unwrap();
        let mut revocations = Revocations::default();
        for _ in 0..SOME {
            assert!(revocations.add(key.revoke(PeerId::random(), u64::MAX / 2), &key.id(), 0));
        }
        save(&path, key.id(), &revocations).unwrap();
        let each = std::fs::metadata(&path).unwrap().len() / SOME as u64;
        assert!(each * (MAX_REVOCATIONS as u64) < MAX_FILE, "{each} bytes each");
    }
}
