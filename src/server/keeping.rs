//! What outlives the process: what the server says of it, what it takes over from an earlier process, and
//! what moderators learn when it cannot be written.

use super::{Output, Server};
use crate::base::sorted::map_of;
use crate::base::time::Now;
use crate::kept::{Change, ForgetError, RestoreError, Restored};
use crate::log_event::LogEvent;
use crate::users::persistence;
use std::collections::BTreeMap;

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
        let now = self.begin_shared_time(now);
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
        let entries: Vec<(Vec<u8>, Vec<u8>)> = entries.into_iter().collect();
        if self.is_shared() && self.users.are_of_other_room(&entries) {
            return self.note(LogEvent::OtherRoom);
        }
        let now = if self.is_shared() { self.at() } else { now };
        let changes = self.users.keep_all(now, &self.settings, secret, entries);
        self.outputs.extend(changes.into_iter().map(Output::Keep));
    }

    /// What is to change in the entries of a server that does not run, so that they say nothing of a person
    /// any more, who has this address or, where it has no `+tag`, this mailbox: names, sessions, mutes,
    /// invitations, and reports by them or about them go. A ban stays, as a hash without a name.
    ///
    /// # Errors
    /// If it is no address, or an entry cannot be read.
    pub fn forget(
        secret: [u8; 32],
        address: &str,
        entries: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<Vec<Change>, ForgetError> {
        persistence::forget(secret, address, entries)
    }

    /// Whether what outlives the process is said by [`Output::Keep`].
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.users.keeps()
    }

    /// All that is to be kept, for tests that compare it with what was said.
    #[doc(hidden)]
    pub fn kept_entries(&mut self, now: Now) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let changes = self.users.all_changes(now).into_iter();
        map_of(changes.filter_map(|Change { key, value }| Some((key, value?))))
    }

    /// Says what is to be kept of what has changed.
    pub(super) fn say_changes(&mut self) {
        let changes = self.users.take_changes(self.at());
        self.outputs.extend(changes.into_iter().map(Output::Keep));
    }

    /// What is to outlive the process cannot be written. Nothing changes by that but what moderators know.
    pub(super) fn keep_failed(&mut self) {
        if !self.has_told_of_failure {
            self.has_told_of_failure = true;
            self.tell_moderators(
                "Names, bans and other rules are in force, but cannot be saved at the moment. After a restart \
                 some may be missing. The server's log says why.",
            );
        }
    }
}
