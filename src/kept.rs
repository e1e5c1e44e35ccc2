//! What outlives the process, if the operator has chosen a folder for it: a map from keys to values. The
//! server says how it changes, the shell keeps it on disk, and neither knows the other's half: to the disk
//! all values are bytes, and the server knows no file.

/// A change of the map.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// What changes.
    pub key: Vec<u8>,
    /// What stands under the key from now on; `None`: nothing.
    pub value: Option<Vec<u8>>,
}

/// Says how much, not what: it may hold names and hashes of addresses.
impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.value.as_ref().map(Vec::len);
        write!(f, "Change {{ key: {} bytes, value: {value:?} bytes }}", self.key.len())
    }
}
