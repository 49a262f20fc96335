//! The one-time code that makes the first administrator.
//!
//! Whoever can read the gateway's console owns it; the code carries that from the console to the
//! browser. It is shown while nobody can sign in, and after ten wrong tries another takes its place.

use starling_protocol::message::Private;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::secret;

/// Wrong tries that a code survives: with 50 random bits this is for the reader's peace of mind.
const MAX_WRONG: u32 = 10;

/// The code there is now, or `None` once there is an administrator.
#[derive(Debug)]
pub struct SetupDoor {
    code: watch::Sender<Option<SetupCode>>,
}

/// A code on the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupCode {
    code: Private,
    wrong: u32,
}

impl SetupCode {
    /// The code, to be shown to the operator and to nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.code.0
    }

    fn fresh() -> Self {
        Self { code: secret::typed_code(), wrong: 0 }
    }
}

impl SetupDoor {
    /// A door that is open while setting up is `needed`.
    #[must_use]
    pub fn new(needed: bool) -> Self {
        Self { code: watch::Sender::new(needed.then(SetupCode::fresh)) }
    }

    /// The code as it is now, for the console.
    #[must_use]
    pub fn code(&self) -> watch::Receiver<Option<SetupCode>> {
        self.code.subscribe()
    }

    /// Whether there is no administrator yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.code.borrow().is_some()
    }

    /// Whether the code is right. A wrong try counts.
    #[must_use]
    pub fn fits(&self, typed: &str) -> bool {
        let typed = secret::normalise_code(typed);
        let mut fits = false;
        self.code.send_if_modified(|state| {
            let Some(code) = state else { return false };
            fits = bool::from(code.code.0.as_bytes().ct_eq(typed.0.as_bytes()));
            if fits {
                return false;
            }
            code.wrong += 1;
            let worn = code.wrong >= MAX_WRONG;
            if worn {
                *code = SetupCode::fresh();
            }
            worn
        });
        fits
    }

    /// There is an administrator now.
    pub fn close(&self) {
        self.code.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_fits_until_ten_tries_were_wrong() {
        let door = SetupDoor::new(true);
        let mut shown = door.code();
        let first = shown.borrow_and_update().clone().unwrap();
        for _ in 0..9 {
            assert!(!door.fits("WRONGWRONG"));
        }
        assert!(door.fits(first.reveal()), "nine wrong tries do not matter");
        assert!(!shown.has_changed().unwrap());
        assert!(!door.fits(""));
        assert!(shown.has_changed().unwrap(), "the new code is shown");
        let second = shown.borrow_and_update().clone().unwrap();
        assert_ne!(first.reveal(), second.reveal());
        assert!(!door.fits(first.reveal()));
        assert!(door.fits(&second.reveal().to_lowercase()));
        door.close();
        assert!(!door.is_open());
        assert!(!door.fits(second.reveal()));
    }

    #[test]
    fn a_closed_door_has_no_code() {
        assert!(SetupDoor::new(false).code().borrow().is_none());
    }

    #[test]
    fn codes_stay_out_of_debug_output() {
        let door = SetupDoor::new(true);
        let code = door.code().borrow().clone().unwrap();
        assert!(!format!("{door:?} {code:?}").contains(code.reveal()));
    }
}
