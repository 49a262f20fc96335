//! How many chat sockets each person has open.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::error::ApiError;
use crate::id::UserId;

/// Windows and devices of one person.
const MAX_SOCKETS_PER_USER: usize = 16;

/// Counts them. Cheap to clone; the lock is held for a look and never while anything is awaited.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    open: Arc<Mutex<HashMap<UserId, usize>>>,
}

/// One socket's place; dropping it makes room.
#[derive(Debug)]
pub struct Place {
    sockets: Sockets,
    user: UserId,
}

impl Sockets {
    /// Room for one more.
    ///
    /// # Errors
    /// When the user has as many as may be.
    pub fn enter(&self, user: UserId) -> Result<Place, ApiError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(user).or_default();
        if *count >= MAX_SOCKETS_PER_USER {
            return Err(ApiError::TooManySockets);
        }
        *count += 1;
        Ok(Place { sockets: self.clone(), user })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sockets.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = open.get_mut(&self.user) else { return };
        *count -= 1;
        if *count == 0 {
            open.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_by_user() {
        let (sockets, a, b) = (Sockets::default(), UserId::generate(), UserId::generate());
        let mut places: Vec<_> = (0..16).map(|_| sockets.enter(a).unwrap()).collect();
        assert!(sockets.enter(a).is_err());
        assert!(sockets.enter(b).is_ok());
        places.pop();
        assert!(sockets.enter(a).is_ok());
        places.clear();
        assert!(sockets.open.lock().unwrap().is_empty());
    }
}
