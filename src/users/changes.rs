//! What has changed in a table, for whoever keeps a copy. Where nobody does, nothing is noted.

use std::mem;

/// The keys of what has changed since it was last asked, in order.
#[derive(Debug)]
pub(crate) struct Changes<K>(Option<Vec<K>>);

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K> Changes<K> {
    /// Begins to note.
    pub(crate) fn begin(&mut self) {
        self.0.get_or_insert_default();
    }

    /// Notes a change, if somebody keeps a copy. `key` is only called then.
    pub(crate) fn note(&mut self, key: impl FnOnce() -> K) {
        if let Some(keys) = &mut self.0 {
            keys.push(key());
        }
    }

    /// What has changed since the last time.
    pub(crate) fn take(&mut self) -> Vec<K> {
        self.0.as_mut().map(mem::take).unwrap_or_default()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut K> {
        self.0.iter_mut().flatten()
    }
}
