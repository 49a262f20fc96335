//! The account of the service on Windows, and what it may do in its folder.

/// A virtual account: it has no password and no rights but its own.
#[cfg(windows)]
pub(super) const ACCOUNT: &str = "NT SERVICE\\starling-node";

/// What Windows knows that account by: it follows from the service's name, as `sc showsid starling-node` says.
const SID: &str = "S-1-5-80-3402390007-625386779-2305349044-4014524375-2053209094";

/// Who may do what in the data folder, in Windows' own notation (SDDL): it belongs to the administrators; they and the
/// system may do all, the service may read, write and delete, and nobody else is let in. Nothing comes from the folder
/// above, and all that lies inside has the same.
pub(super) fn folder_rights() -> String {
    format!("O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1301bf;;;{SID})")
}

#[cfg(test)]
mod tests {
    use sha1::{Digest, Sha1};

    use super::*;

    /// The SHA-1 of the name in capitals, in UTF-16, as five numbers.
    fn sid_of(name: &str) -> String {
        let text: Vec<u8> = name.to_uppercase().encode_utf16().flat_map(u16::to_le_bytes).collect();
        let digest = Sha1::digest(&text);
        let numbers = digest.chunks(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        numbers.fold("S-1-5-80".to_owned(), |sid, number| format!("{sid}-{number}"))
    }

    #[test]
    fn the_account_is_that_of_our_service() {
        // One that is known to everybody shows that the test computes it as Windows does.
        let known = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
        assert_eq!(sid_of("TrustedInstaller"), known);
        assert_eq!(sid_of(crate::service::NAME), SID);
    }

    #[test]
    fn nobody_else_is_let_in() {
        let rights = folder_rights();
        assert!(rights.starts_with("O:BAD:P("), "protected from what the folder above would give: {rights}");
        assert_eq!(rights.matches("(A;OICI;").count(), 3);
        for (who, whom) in [(";;;WD)", "everybody"), (";;;BU)", "users"), (";;;AU)", "who has signed in")] {
            assert!(!rights.contains(who), "{whom}");
        }
    }
}
