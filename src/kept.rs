//! What outlives the process, if the operator has chosen a folder for it: a map from keys to values. The
//! server says how it changes, the shell keeps it on disk, and neither knows the other's half: to the disk
//! all values are bytes, and the server knows no file.

use crate::base::frost::frost;
use std::collections::BTreeMap;

/// What stands under each key.
pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A change of the map.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// What changes.
    pub key: Vec<u8>,
    /// What stands under the key from now on; `None`: nothing.
    pub value: Option<Vec<u8>>,
}

frost!(struct Change { key, value });

impl Change {
    /// Makes the change. Gives what stood under the key.
    pub fn make(self, entries: &mut Entries) -> Option<Vec<u8>> {
        match self.value {
            Some(value) => entries.insert(self.key, value),
            None => entries.remove(&self.key),
        }
    }
}

/// Says how much, not what: it may hold names and hashes of addresses.
impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.value.as_ref().map(Vec::len);
        write!(f, "Change {{ key: {} bytes, value: {value:?} bytes }}", self.key.len())
    }
}

/// What has come back from the map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Entries that hold.
    pub entries: usize,
    /// Entries that are over by now.
    pub expired: usize,
    /// Entries that have no place any more: names that are somebody else's or nobody's by now, sessions
    /// without a name, or more than there may be.
    pub left_out: usize,
}

/// An entry of the map cannot be read: it was damaged, or a later version has written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreError {
    /// The first byte of its key.
    pub kind: u8,
}

impl std::fmt::Display for RestoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an entry of kind {} cannot be read", self.kind)
    }
}

/// Why nobody is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgetError {
    /// What was given is no email address.
    NoAddress,
    /// An entry cannot be read, and may be about the person.
    Unreadable(RestoreError),
}

impl std::fmt::Display for ForgetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAddress => f.write_str("that is no email address"),
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}
