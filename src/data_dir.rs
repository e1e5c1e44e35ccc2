//! The folder of `PLUME_DATA`: what outlives the process, as a log of changes. Owns the folder's files and
//! the thread that writes them; never decides what is kept, and knows no key or value from within.
//!
//! The files, all of mode 0600 in a folder of mode 0700: `key`, 32 random bytes made at the first start;
//! `rules`, the log, whose format is in `record`; while it is rewritten, `rules.new`; and, between two
//! processes, `handover`, the state that the first has left for the second. The folder itself is locked
//! (flock(2)), so that no second process can write.
//!
//! After the start the [`Keeper`]'s thread alone touches the folder. The event loop hands changes over and
//! goes on, also when the disk is full, slow or gone.

mod error;
mod folder;
mod keeper;
mod record;
mod store;

pub use crate::kept::Entries;
pub use error::DataError;
pub use keeper::{Keeper, Report};

use crate::kept::Change;
use folder::{Disk, Folder, Owner};
use record::KeyId;
use std::path::Path;
use std::time::Instant;
use store::Store;

/// A folder that is open, and locked as long as this value lives.
pub struct DataDir {
    key: [u8; KEY_BYTES],
    store: Store<Folder>,
    cut_bytes: usize,
}

impl DataDir {
    /// Opens the folder, and makes it if only it is missing. Without a key file `fresh_key` becomes the key.
    /// The end of a log that a crash has torn is cut off.
    ///
    /// # Errors
    /// If the folder cannot be used, or something in it is not as Plume has left it.
    pub fn open(path: &Path, fresh_key: [u8; KEY_BYTES]) -> Result<Self, DataError> {
        if let Some(folder) = Folder::open(path, Owner::Own)? {
            return Self::read(folder, fresh_key);
        }
        Folder::create(path)?;
        let folder = Folder::open(path, Owner::Own)?.ok_or(DataError::NoParent)?;
        Self::read(folder, fresh_key)
    }

    fn read(mut folder: Folder, fresh_key: [u8; KEY_BYTES]) -> Result<Self, DataError> {
        folder.lock()?;
        let bytes = folder.read_log()?;
        let key = match (folder.read_key()?, &bytes) {
            (Some(key), _) => key,
            (None, Some(_)) => return Err(DataError::NoKey),
            (None, None) => {
                folder.write_key(&fresh_key)?;
                fresh_key
            }
        };
        let id = KeyId::of(&key);
        let Some(bytes) = bytes else {
            let store = Store::create(folder, id).map_err(DataError::of("make rules in it"))?;
            return Ok(Self { key, store, cut_bytes: 0 });
        };
        let contents = record::read(&bytes, id)?;
        let cut_bytes = bytes.len().saturating_sub(contents.end);
        // On a disk that cannot be written it stays, and is cut off before the first write.
        let _stays = folder.remove_new();
        let mut store = Store::new(folder, id, contents, cut_bytes > 0);
        let _stays = store.cut_tail();
        Ok(Self { key, store, cut_bytes })
    }

    /// Opens a folder in which a person is to be forgotten; nothing is made. Root may do so with that of any
    /// user, whose files they stay.
    ///
    /// # Errors
    /// As for [`open`](Self::open), or if there is nothing.
    pub fn open_to_forget(path: &Path) -> Result<Self, DataError> {
        let folder = Folder::open(path, Owner::OwnOrRoot)?.ok_or(DataError::NothingThere)?;
        match (folder.read_key()?, folder.read_log()?) {
            (_, None) => Err(DataError::NothingThere),
            (None, Some(_)) => Err(DataError::NoKey),
            (Some(key), Some(_)) => Self::read(folder, key),
        }
    }

    /// Makes changes, and rewrites the log, so that nothing of what is gone is left in it.
    ///
    /// # Errors
    /// If the log cannot be written; then it is as it was.
    pub fn forget(&mut self, changes: Vec<Change>) -> Result<(), DataError> {
        let doing = DataError::of("rewrite rules in it");
        for change in changes {
            self.store.apply(change).map_err(&doing)?;
        }
        self.store.rewrite_next();
        self.store.save(Instant::now()).map_err(doing)?;
        // Addresses are in clear there.
        self.store.disk().remove_left().map_err(DataError::of("remove handover in it"))
    }

    /// Takes the state that the last process has left for this one.
    pub fn take_left(&mut self) -> Option<Vec<u8>> {
        self.store.disk().take_left()
    }

    /// Reads the folder as [`open`](Self::open) would, and changes nothing; another process may use it. Gives
    /// the number of entries, or `None` if there is no folder yet, and one can be made.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn check(path: &Path) -> Result<Option<usize>, DataError> {
        let Some(folder) = Folder::open(path, Owner::OwnOrRoot)? else {
            return if Folder::has_parent(path) { Ok(None) } else { Err(DataError::NoParent) };
        };
        // The key first: where a server starts for the first time just now, it is made first.
        let (key, bytes) = (folder.read_key()?, folder.read_log()?);
        match (key, bytes) {
            (Some(key), Some(bytes)) => {
                record::read(&bytes, KeyId::of(&key)).map(|contents| Some(contents.entries.len()))
            }
            (None, Some(_)) => Err(DataError::NoKey),
            (_, None) => Ok(Some(0)),
        }
    }

    /// The key for what must not be readable from the log alone.
    #[must_use]
    pub const fn key(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    /// What the log says.
    #[must_use]
    pub const fn entries(&self) -> &Entries {
        self.store.saved()
    }

    /// How many bytes of an unfinished record were found at the end of the log.
    #[must_use]
    pub const fn cut_bytes(&self) -> usize {
        self.cut_bytes
    }
}

impl std::fmt::Debug for DataDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataDir {{ entries: {} }}", self.entries().len())
    }
}

/// Bytes of the key.
pub const KEY_BYTES: usize = 32;
const KEY_FILE: &str = "key";
const NEW_KEY_FILE: &str = "key.new";
const LOG_FILE: &str = "rules";
const NEW_LOG_FILE: &str = "rules.new";
const LEFT_FILE: &str = "handover";

#[cfg(test)]
mod tests;
