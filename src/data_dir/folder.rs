//! The folder: its owner and mode, its lock, the key file, and the system calls that change it.

use super::error::DataError;
use super::{KEY_BYTES, KEY_FILE, LEFT_FILE, LOG_FILE, NEW_KEY_FILE, NEW_LOG_FILE};
use crate::limits::DATA_FILE_BYTES_MAX;
use rustix::process::geteuid;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// The system calls that change the log: an interface, so that tests can let each of them fail.
pub(super) trait Disk {
    /// Opens the log for writing.
    fn open_log(&mut self) -> io::Result<File>;
    /// Makes the file that will take the log's place, empty.
    fn create_new(&mut self) -> io::Result<File>;
    /// Writes all these bytes at this place.
    fn write(&mut self, file: &File, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Cuts a file off.
    fn cut(&mut self, file: &File, bytes: u64) -> io::Result<()>;
    /// Waits until a file's bytes are on the disk.
    fn sync(&mut self, file: &File) -> io::Result<()>;
    /// Puts the new file into the place of the log.
    fn replace(&mut self) -> io::Result<()>;
    /// Waits until the names in the folder are on the disk.
    fn sync_folder(&mut self) -> io::Result<()>;
    /// Removes a new file that did not take the log's place.
    fn remove_new(&mut self) -> io::Result<()>;
    /// Leaves a state for the next process.
    fn leave(&mut self, state: &[u8]) -> io::Result<()>;
}

/// A folder that is ours alone, and locked as long as this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: File,
    /// The user and the group that its files are to belong to, if root works on the folder of another user.
    owner: Option<(u32, u32)>,
}

/// Whose folder may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Our own.
    Own,
    /// Our own; root may open that of any user.
    OwnOrRoot,
}

impl Folder {
    /// Opens a folder, without a lock.
    pub(super) fn open(path: &Path, owner: Owner) -> Result<Option<Self>, DataError> {
        // Before it is opened: a pipe in its place would be waited for.
        let meta = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(DataError::NotAFolder),
            meta => meta.map_err(DataError::of("examine it"))?,
        };
        if !meta.is_dir() {
            return Err(DataError::NotAFolder);
        }
        let own = geteuid();
        let is_own = meta.uid() == own.as_raw();
        let may_open = is_own || own.is_root() && owner == Owner::OwnOrRoot;
        if !may_open {
            return Err(DataError::OtherOwner(meta.uid()));
        }
        if is_wide(meta.mode()) {
            return Err(DataError::WideFolder(meta.mode() & MODE_BITS));
        }
        let dir = File::open(path).map_err(DataError::of("open it"))?;
        let owner = (!is_own).then(|| (meta.uid(), meta.gid()));
        Ok(Some(Self { path: path.to_owned(), dir, owner }))
    }

    /// Makes the folder, in one that exists.
    pub(super) fn create(path: &Path) -> Result<(), DataError> {
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(DataError::NoParent),
            made => made.map_err(DataError::of("make it")),
        }?;
        // Without this a power cut could take the folder away, with all that is in it.
        let parent = File::open(parent(path));
        parent.and_then(|parent| parent.sync_all()).map_err(DataError::of("sync the folder above it"))
    }

    /// Whether there is a folder that this one could be made in.
    pub(super) fn has_parent(path: &Path) -> bool {
        parent(path).is_dir()
    }

    /// Keeps other processes out, until this value is dropped.
    pub(super) fn lock(&self) -> Result<(), DataError> {
        self.dir.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DataError::InUse,
            TryLockError::Error(error) => DataError::of("lock it")(error),
        })
    }

    /// The key in the key file; `None` if there is no such file.
    pub(super) fn read_key(&self) -> Result<Option<[u8; KEY_BYTES]>, DataError> {
        let doing = DataError::of("read key in it");
        let path = self.path.join(KEY_FILE);
        // A pipe in its place would be waited for.
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(doing(error)),
            Ok(meta) if !meta.is_file() => return Err(DataError::KeyNotAFile),
            Ok(meta) if is_wide(meta.mode()) => return Err(DataError::WideKey(meta.mode() & MODE_BITS)),
            Ok(meta) if meta.len() != KEY_BYTES as u64 => return Err(DataError::KeySize(meta.len())),
            Ok(_) => {}
        }
        let mut key = [0; KEY_BYTES];
        File::open(path).and_then(|mut file| file.read_exact(&mut key)).map_err(doing)?;
        Ok(Some(key))
    }

    /// Makes the key file. It appears whole or not at all.
    pub(super) fn write_key(&mut self, key: &[u8; KEY_BYTES]) -> Result<(), DataError> {
        let doing = DataError::of("make key in it");
        // What a crash at the first start has left behind.
        remove(&self.path.join(NEW_KEY_FILE)).map_err(&doing)?;
        let write = |file: &File| file.write_all_at(key, 0).and_then(|()| file.sync_all());
        let written = self.create_file(NEW_KEY_FILE).and_then(|file| write(&file));
        let named = written.and_then(|()| fs::rename(self.path.join(NEW_KEY_FILE), self.path.join(KEY_FILE)));
        named.and_then(|()| self.sync_folder()).map_err(|error| {
            // It is empty or half-written: of no use to the next start.
            let _gone = remove(&self.path.join(NEW_KEY_FILE));
            doing(error)
        })
    }

    /// All bytes of the log; `None` if there is none.
    pub(super) fn read_log(&self) -> Result<Option<Vec<u8>>, DataError> {
        let doing = DataError::of("read rules in it");
        let path = self.path.join(LOG_FILE);
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(doing(error)),
            Ok(meta) if !meta.is_file() => return Err(DataError::NotALog),
            Ok(meta) if meta.len() > DATA_FILE_BYTES_MAX => return Err(DataError::TooLarge(meta.len())),
            Ok(_) => {}
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(DATA_FILE_BYTES_MAX).read_to_end(&mut bytes))
            .map_err(doing)?;
        Ok(Some(bytes))
    }

    /// Takes the state that the last process has left, which is gone from the folder then. `None`: there is
    /// none, or it cannot be read or removed; one that stayed would be taken twice.
    pub(super) fn take_left(&self) -> Option<Vec<u8>> {
        let path = self.path.join(LEFT_FILE);
        let meta = fs::symlink_metadata(&path).ok()?;
        let is_sound = meta.is_file() && !is_wide(meta.mode()) && meta.len() <= DATA_FILE_BYTES_MAX;
        let state = if is_sound { fs::read(&path).ok() } else { None };
        self.remove_left().ok().and(state)
    }

    /// Removes the state that a process has left.
    pub(super) fn remove_left(&self) -> io::Result<()> {
        remove(&self.path.join(LEFT_FILE))
    }

    /// Makes a file of our own, which did not exist.
    fn create_file(&self, name: &str) -> io::Result<File> {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(self.path.join(name))?;
        if let Some((user, group)) = self.owner {
            fchown(&file, Some(user), Some(group))?;
        }
        Ok(file)
    }
}

impl Disk for Folder {
    fn open_log(&mut self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join(LOG_FILE))
    }

    fn create_new(&mut self) -> io::Result<File> {
        self.remove_new()?;
        self.create_file(NEW_LOG_FILE)
    }

    fn write(&mut self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn cut(&mut self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn replace(&mut self) -> io::Result<()> {
        fs::rename(self.path.join(NEW_LOG_FILE), self.path.join(LOG_FILE))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.dir.sync_all()
    }

    fn remove_new(&mut self) -> io::Result<()> {
        remove(&self.path.join(NEW_LOG_FILE))
    }

    /// It is of no use after a power cut, so nothing waits for the disk; a part of it is no state.
    fn leave(&mut self, state: &[u8]) -> io::Result<()> {
        self.remove_left()?;
        self.create_file(LEFT_FILE)?.write_all_at(state, 0)
    }
}

/// The folder above.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether a mode gives rights to other users.
const fn is_wide(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// The bits of a mode that chmod(1) sets.
const MODE_BITS: u32 = 0o7777;
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
