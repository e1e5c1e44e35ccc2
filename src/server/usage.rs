//! What the server keeps at a moment, counted.

use super::Server;
use super::client::Client;
use crate::limits::{
    ADDRESSES_MAX, FOLLOWERS_MAX, LINE_FRAME_BYTES_MAX, PRIVATE_UNSENT_BYTES_MAX, READ_SHARE_BYTES,
    REFUSALS_MAX, UNFINISHED_BYTES_MAX,
};
use crate::usage::Usage;

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

    /// Everything that grows with what peers do, beside its limit; of what each connection has, the most that
    /// one has. All of it is zero once nobody is connected and everything that is kept for a while has
    /// expired, except for the rules that moderators have set.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let connections_max = self.settings.connections_max;
        let most_of = |bytes: fn(&Client) -> usize| self.clients.iter().map(bytes).max().unwrap_or(0);
        let members = self.clients.iter().filter_map(Client::membership).count();
        let kept = most_of(|client| client.connection.kept_bytes());
        let held = most_of(|client| client.connection.outbox.held_bytes());
        let mut counts = vec![
            Usage::new("connections", self.clients.admitted(), connections_max),
            Usage::new("refused connections", self.clients.refused(), REFUSALS_MAX),
            Usage::new("members", members, connections_max),
            Usage::new("places in the round", self.room.readers().len(), connections_max),
            Usage::new("streams that follow the room", self.followers.len(), FOLLOWERS_MAX),
            Usage::new("client addresses", self.addresses.len(), ADDRESSES_MAX),
            Usage::new("bytes of unfinished messages", self.clients.unfinished_bytes(), UNFINISHED_BYTES_MAX),
            Usage::new("bytes of one connection that wait to be used", kept, READ_SHARE_BYTES),
            // What was not fetched yet, and then the longest answer (the built-in page has no longer ones),
            // or a line, or the rest of one.
            Usage::new(
                "bytes held for one connection alone",
                held,
                PRIVATE_UNSENT_BYTES_MAX + 2 * LINE_FRAME_BYTES_MAX,
            ),
        ];
        // They are gone within the grace; the budget for email, where email is really sent, bounds how many
        // come.
        counts.push(Usage::new("people in the room", self.room.presence.count(), usize::MAX));
        counts.extend(self.users.usage());
        counts
    }
}
