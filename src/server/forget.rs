//! What the entries on disk hold of one person, for a server that does not run.

use super::Server;
use crate::kept::RestoreError;
use crate::users::persistence::entries_of;
use std::collections::BTreeMap;

impl Server {
    /// The keys of all entries of the person with this address: a word for each kind of entry, and the keys.
    /// `secret` is the one that was given to [`Server::restore`]. All addresses of one mailbox are one person.
    ///
    /// # Errors
    /// If an entry cannot be read, which may be about the person.
    pub fn entries_of(
        secret: [u8; 32],
        address: &str,
        entries: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<Vec<(&'static str, Vec<Vec<u8>>)>, RestoreError> {
        entries_of(secret, address, entries)
    }
}
