//! What the server keeps at a moment, counted.

use super::Server;
use super::client::State;
use crate::limits::{
    ADDRESSES_MAX, FOLLOWERS_MAX, LINE_FRAME_BYTES_MAX, PRIVATE_UNSENT_BYTES_MAX, READ_SHARE_BYTES,
    REFUSALS_MAX, UNFINISHED_BYTES_MAX,
};
use crate::usage::Usage;

/// All clients, counted in one pass: with many of them, that takes longer than everything else here.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) http: usize,
    pub(super) guests: usize,
    pub(super) members: usize,
    pub(super) closing: usize,
    /// Most bytes of input that one keeps.
    kept_bytes: usize,
    /// Most bytes that are held for one alone.
    held_bytes: usize,
}

impl Server {
    /// Users that are present.
    #[must_use]
    pub fn people(&self) -> usize {
        self.room.presence.count()
    }

    /// Lines of the room in this run, including who entered and left.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.room.log.newest_id()
    }

    pub(super) fn census(&self) -> Census {
        let mut census = Census::default();
        for client in self.clients.iter() {
            match client.state {
                State::Http(_) | State::Streaming(_) => census.http += 1,
                State::Guest(_) => census.guests += 1,
                State::Member(_) => census.members += 1,
                State::Closing(_) => census.closing += 1,
            }
            census.kept_bytes = census.kept_bytes.max(client.connection.kept_bytes());
            census.held_bytes = census.held_bytes.max(client.connection.outbox.held_bytes());
        }
        census
    }

    /// Everything that grows with what peers do, beside its limit; of what each connection has, the most that
    /// one has. All of it is zero once nobody is connected and everything that is kept for a while has
    /// expired, except for the rules that moderators have set.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        self.usage_of(&self.census())
    }

    pub(super) fn usage_of(&self, census: &Census) -> Vec<Usage> {
        let connections_max = self.settings.connections_max;
        let mut counts = vec![
            Usage::new("connections", self.clients.admitted(), connections_max),
            Usage::new("refused connections", self.clients.refused(), REFUSALS_MAX),
            Usage::new("members", census.members, connections_max),
            Usage::new("places in the round", self.room.readers().len(), connections_max),
            Usage::new("streams that follow the room", self.followers.len(), FOLLOWERS_MAX),
            Usage::new("client addresses", self.addresses.len(), ADDRESSES_MAX),
            Usage::new("bytes of unfinished messages", self.clients.unfinished_bytes(), UNFINISHED_BYTES_MAX),
            Usage::new("bytes of one connection that wait to be used", census.kept_bytes, READ_SHARE_BYTES),
            // What was not fetched yet, and then the longest answer (the built-in page has no longer ones),
            // or a line, or the rest of one.
            Usage::new(
                "bytes held for one connection alone",
                census.held_bytes,
                PRIVATE_UNSENT_BYTES_MAX + 2 * LINE_FRAME_BYTES_MAX,
            ),
        ];
        // They are gone within the grace; the budget for email, where email is really sent, bounds how many
        // come.
        counts.push(Usage::new("people in the room", self.room.presence.count(), usize::MAX));
        counts.extend(self.users.usage());
        counts.extend(self.usage_of_nodes());
        counts
    }
}
