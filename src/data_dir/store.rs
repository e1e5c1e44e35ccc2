//! What is on disk, what is not yet, and how it gets there: appended, or rewritten as a whole. Knows no
//! thread and no clock; every change of the disk goes through [`Disk`].

use super::folder::Disk;
use super::record::{self, Draft, HEAD_BYTES, KeyId, size_of};
use crate::kept::{Change, Entries};
use crate::limits::{DATA_DEAD_MAX, DATA_ENTRY_BYTES_MAX, DATA_FILE_BYTES_MAX, DATA_REWRITE_BYTES_MIN};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

/// The log, and the entries that it holds.
pub(super) struct Store<D> {
    disk: D,
    id: KeyId,
    /// What the log says.
    saved: Entries,
    /// What it is to say: only what differs from `saved`, so that nothing is written for nothing, and a log
    /// that cannot be written for days costs no more than the entries themselves.
    unsaved: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Bytes that `saved` needs in a log without dead entries, about.
    live_bytes: usize,
    dead: Dead,
    /// The log, open for writing; `None` before the first write, and after a failure.
    file: Option<File>,
    /// Where the last whole record ends.
    end: usize,
    /// Whether there may be something behind `end`.
    is_torn: bool,
    /// Whether the log is lost, or not known to be on the disk.
    must_rewrite: bool,
}

/// Entries in the log that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dead {
    None,
    /// Since this moment.
    Since(Instant),
    /// Since an earlier run.
    Old,
}

impl<D: Disk> Store<D> {
    /// The store of a log that was read. One that has dead entries is rewritten with the next
    /// [`save`](Self::save), and a torn end cut off before something is appended.
    pub(super) fn new(disk: D, id: KeyId, contents: record::Contents, has_tail: bool) -> Self {
        let live_bytes = contents.entries.iter().map(|(key, value)| size_of(key, value)).sum();
        Self {
            disk,
            id,
            saved: contents.entries,
            unsaved: BTreeMap::new(),
            live_bytes,
            dead: if contents.has_dead { Dead::Old } else { Dead::None },
            file: None,
            end: contents.end,
            is_torn: has_tail,
            must_rewrite: false,
        }
    }

    /// Makes a log without entries.
    pub(super) fn create(disk: D, id: KeyId) -> io::Result<Self> {
        let contents = record::Contents { entries: Entries::new(), end: HEAD_BYTES, has_dead: false };
        let mut store = Self::new(disk, id, contents, false);
        store.rewrite()?;
        Ok(store)
    }

    /// What the log says.
    pub(super) const fn saved(&self) -> &Entries {
        &self.saved
    }

    pub(super) const fn disk(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Takes a change, which [`save`](Self::save) will write.
    ///
    /// # Errors
    /// If it has more bytes than any rule: what cannot be kept must not keep others from it.
    pub(super) fn apply(&mut self, change: Change) -> io::Result<()> {
        let Change { key, value } = change;
        if size_of(&key, value.as_deref().unwrap_or_default()) > DATA_ENTRY_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        if self.saved.get(&key) == value.as_ref() {
            self.unsaved.remove(&key);
        } else {
            self.unsaved.insert(key, value);
        }
        Ok(())
    }

    /// Whether [`save`](Self::save) has something to do.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.must_rewrite || !self.unsaved.is_empty() || self.should_rewrite(now)
    }

    /// When entries that are gone must be gone from the log, too.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.dead {
            Dead::Since(since) => since.checked_add(DATA_DEAD_MAX),
            Dead::None | Dead::Old => None,
        }
    }

    /// Lets the next [`save`](Self::save) write a new log, in which nothing is left of what is gone.
    pub(super) const fn rewrite_next(&mut self) {
        self.must_rewrite = true;
    }

    /// Writes all changes, and waits until they are on the disk. After an error the log is as good as before,
    /// and the next call goes on where this one stopped.
    pub(super) fn save(&mut self, now: Instant) -> io::Result<()> {
        let result = self.try_to_save(now);
        if result.is_err() {
            // The next attempt may find another disk in its place.
            self.file = None;
        }
        result
    }

    /// Cuts off what a crash has left behind the last whole record.
    pub(super) fn cut_tail(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file = Some(self.take_file()?);
        }
        Ok(())
    }

    fn try_to_save(&mut self, now: Instant) -> io::Result<()> {
        if self.must_rewrite {
            return self.rewrite();
        }
        while !self.unsaved.is_empty() {
            let mut draft = Draft::default();
            let _ = self.unsaved.iter().take_while(|(key, value)| draft.add(key, value.as_ref())).count();
            if draft.count() == 0 {
                return Err(ErrorKind::FileTooLarge.into());
            }
            let bytes = draft.finish(self.end, self.id);
            if (self.end + bytes.len()) as u64 > DATA_FILE_BYTES_MAX {
                return self.rewrite();
            }
            self.append(&bytes)?;
            self.settle(draft.count(), now);
        }
        if self.should_rewrite(now) { self.rewrite() } else { Ok(()) }
    }

    /// Books the first changes, which are on the disk.
    fn settle(&mut self, count: usize, now: Instant) {
        for _ in 0..count {
            let Some((key, value)) = self.unsaved.pop_first() else { return };
            self.live_bytes += value.as_ref().map_or(0, |value| size_of(&key, value));
            let change = Change { key: key.clone(), value };
            let Some(former) = change.make(&mut self.saved) else { continue };
            self.live_bytes = self.live_bytes.saturating_sub(size_of(&key, &former));
            if self.dead == Dead::None {
                self.dead = Dead::Since(now);
            }
        }
    }

    /// Appends a record. The bytes behind `end` are no one's until it is on the disk.
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let file = self.take_file()?;
        self.is_torn = true;
        self.disk.write(&file, record, self.end as u64)?;
        self.disk.sync(&file)?;
        self.is_torn = false;
        self.end += record.len();
        self.file = Some(file);
        Ok(())
    }

    /// The log for writing, without anything behind `end`.
    fn take_file(&mut self) -> io::Result<File> {
        let file = match self.file.take() {
            Some(file) => Ok(file),
            None => self.disk.open_log(),
        };
        let file = file.and_then(|file| {
            let is_there = file.metadata()?.nlink() > 0;
            is_there.then_some(file).ok_or_else(|| ErrorKind::NotFound.into())
        });
        if file.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            // Somebody has removed it. All of it is known here.
            self.must_rewrite = true;
        }
        let file = file?;
        if self.is_torn {
            self.disk.cut(&file, self.end as u64)?;
            self.disk.sync(&file)?;
            self.is_torn = false;
        }
        Ok(file)
    }

    /// Whether a rewrite is worth it: the log is over twice as long as it needs to be, or has held entries
    /// that are gone for too long.
    fn should_rewrite(&self, now: Instant) -> bool {
        let is_long = self.end > 2 * self.live_bytes + DATA_REWRITE_BYTES_MIN;
        match self.dead {
            Dead::None => false,
            Dead::Since(since) => is_long || now.saturating_duration_since(since) >= DATA_DEAD_MAX,
            Dead::Old => true,
        }
    }

    /// Writes a log of the entries alone beside the old one, and puts it into its place. Whatever happens,
    /// there is one whole log under the name.
    fn rewrite(&mut self) -> io::Result<()> {
        let written = self.write_new().and_then(|new| self.disk.replace().map(|()| new));
        let (file, end) = written.inspect_err(|_| {
            // It may be what fills the disk. If it stays, the next rewrite or start removes it.
            let _gone = self.disk.remove_new();
        })?;
        (self.file, self.end, self.is_torn) = (Some(file), end, false);
        // The name may still be that of the old log on the disk, to which nothing must be missing.
        self.must_rewrite = true;
        self.disk.sync_folder()?;
        self.must_rewrite = false;
        self.dead = Dead::None;
        for (key, value) in std::mem::take(&mut self.unsaved) {
            Change { key, value }.make(&mut self.saved);
        }
        self.live_bytes = self.saved.iter().map(|(key, value)| size_of(key, value)).sum();
        Ok(())
    }

    /// Writes a new log, and gives it with its length.
    fn write_new(&mut self) -> io::Result<(File, usize)> {
        let Self { disk, id, saved, unsaved, .. } = self;
        let file = disk.create_new()?;
        let mut end = 0;
        let mut write = |bytes: &[u8]| {
            let at = end;
            end += bytes.len();
            if end as u64 > DATA_FILE_BYTES_MAX {
                return Err(ErrorKind::FileTooLarge.into());
            }
            disk.write(&file, bytes, at as u64).map(|()| end)
        };
        let mut at = write(&record::head(*id))?;
        let kept = saved.iter().filter(|(key, _)| !unsaved.contains_key(*key));
        let new = unsaved.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let mut entries = kept.chain(new).peekable();
        while entries.peek().is_some() {
            let mut draft = Draft::default();
            while entries.next_if(|(key, value)| draft.add(key, Some(value))).is_some() {}
            if draft.count() == 0 {
                return Err(ErrorKind::FileTooLarge.into());
            }
            at = write(&draft.finish(at, *id))?;
        }
        disk.sync(&file)?;
        Ok((file, at))
    }
}
