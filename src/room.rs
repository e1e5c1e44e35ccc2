//! The room: a log of finished frames, the cursors into it, and who is present. It knows ids of users and connections, never
//! what a user or a connection is.

pub(crate) mod cursor;
pub(crate) mod log;
pub(crate) mod presence;
pub(crate) mod readers;

use crate::ids::ClientId;
use log::Ring;
use presence::Presence;
use readers::Readers;

/// The room. `U` is the id of a user.
pub(crate) struct Room<U> {
    /// What was said.
    pub(crate) log: Ring,
    /// Who is present.
    pub(crate) presence: Presence<U>,
    readers: Readers,
}

impl<U: Ord + Copy> Room<U> {
    /// An empty room whose log holds `log_bytes`.
    pub(crate) fn new(log_bytes: usize) -> Self {
        Self { log: Ring::new(log_bytes), presence: Presence::default(), readers: Readers::default() }
    }

    /// Makes a line visible: appends its frame to the log, and begins a round of writes to all readers. The one place where that
    /// happens. Returns the line's id; `None` if the frame does not fit into the log. Lines can be found by a mark other than zero.
    pub(crate) fn broadcast(&mut self, frame: &[u8], mark: u32) -> Option<u64> {
        let id = self.log.append(frame, mark)?;
        self.readers.begin_round();
        Some(id)
    }

    /// Adds a connection to the readers; returns its place among them.
    pub(crate) fn join(&mut self, id: ClientId) -> u32 {
        self.readers.add(id)
    }

    /// Removes the reader at a place. Returns the reader that has the place now.
    pub(crate) fn leave(&mut self, place: u32) -> Option<(ClientId, u32)> {
        self.readers.remove(place)
    }

    /// The next reader to write to in this round.
    pub(crate) fn next_to_write(&mut self) -> Option<ClientId> {
        self.readers.next_in_round()
    }

    /// All readers, in no particular order.
    pub(crate) fn readers(&self) -> &[ClientId] {
        self.readers.ids()
    }
}
