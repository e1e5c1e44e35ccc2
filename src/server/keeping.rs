//! What outlives the process: how it comes back, and how the server says what changes.

use super::{Output, Server};
use crate::base::time::Now;
use crate::kept::{RestoreError, Restored};

impl Server {
    /// Takes the place of a process that has ended, from what it said by [`Output::Keep`]: names, sessions,
    /// the rules of the room and reports. From now on this server says so, too. To be called before the first
    /// input. `secret` is the key of the hashes in the entries: the same for all processes.
    ///
    /// # Errors
    /// If an entry cannot be read. The server is of no use then.
    pub fn restore(
        &mut self,
        now: Now,
        secret: [u8; 32],
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Restored, RestoreError> {
        let (restored, changes) = self.users.restore(now, &self.settings, secret, entries)?;
        self.outputs.extend(changes.into_iter().map(Output::Keep));
        Ok(restored)
    }

    /// The same for a server that was thawed: its state is newer than the entries, which are brought up to
    /// it.
    pub fn keep_all(
        &mut self,
        now: Now,
        secret: [u8; 32],
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) {
        let changes = self.users.keep_all(now, &self.settings, secret, entries);
        self.outputs.extend(changes.into_iter().map(Output::Keep));
    }

    /// Says what is to be kept of what has changed.
    pub(super) fn say_changes(&mut self) {
        let changes = self.users.take_changes(self.now);
        self.outputs.extend(changes.into_iter().map(Output::Keep));
    }
}
