//! The chat room: a log of encoded frames, the members' cursors into it, and who is present. Owns the log,
//! the list of readers and presence. Handles only ids of users and connections, never users, sockets or
//! sessions.

pub(crate) mod cursor;
pub(crate) mod log;
pub(crate) mod presence;
pub(crate) mod readers;

use crate::base::frost::{Frost, refill};
use log::{Mark, Ring};
use presence::Presence;
use readers::Readers;

/// `U` is the id type of users.
pub(crate) struct Room<U> {
    pub(crate) log: Ring,
    pub(crate) presence: Presence<U>,
    pub(crate) readers: Readers,
}

refill!([U: Ord + Copy + Frost] struct Room<U> { log, presence, readers });

impl<U: Ord + Copy> Room<U> {
    pub(crate) fn new(log_bytes: usize) -> Self {
        Self { log: Ring::new(log_bytes), presence: Presence::default(), readers: Readers::default() }
    }

    /// Broadcasts one line: appends its frame to the log and begins a round of writes to all readers. The one
    /// place where a line becomes visible. Returns the line's id, or `None` if the frame does not fit into
    /// the log. [`Ring::marked`] finds it by its mark.
    pub(crate) fn broadcast(&mut self, frame: &[u8], mark: Mark) -> Option<u64> {
        let id = self.log.append(frame, mark)?;
        self.readers.begin_round();
        Some(id)
    }
}
