//! Whose turn it is to write.
//!
//! Writes of private bytes (answers, pings, the rest of a line) and writes of the room's round alternate as
//! long as there are both, and each connection is asked once before any is asked again. So a line is offered
//! to every member within one pass over all connections that have something to write.

use super::Server;
use super::client::Client;
use crate::close_reason::CloseReason;
use crate::ids::ClientId;

impl Server {
    /// The next connection that has something to write, and whose socket may take it.
    pub(super) fn next_to_write(&mut self) -> Option<ClientId> {
        while let Some(id) = self.next_turn() {
            self.close_if_lapped(id);
            if self.fill_stream(id) {
                return Some(id);
            }
        }
        None
    }

    /// Private bytes and the room's round take turns.
    fn next_turn(&mut self) -> Option<ClientId> {
        self.is_rounds_turn = !self.is_rounds_turn;
        if self.is_rounds_turn {
            self.next_in_round().or_else(|| self.clients.pop_ready(&self.room.log))
        } else {
            self.clients.pop_ready(&self.room.log).or_else(|| self.next_in_round())
        }
    }

    fn next_in_round(&mut self) -> Option<ClientId> {
        while let Some(id) = self.room.readers.next_in_round() {
            if self.clients.get(id).is_some_and(|client| client.can_write(&self.room.log)) {
                return Some(id);
            }
        }
        None
    }

    /// Closes a client that the log has lapped. Called when its socket may take bytes: the next are the close
    /// frame.
    fn close_if_lapped(&mut self, id: ClientId) {
        let is_lapped = |client: &Client| client.connection.outbox.is_lapped(&self.room.log);
        if self.clients.get(id).is_some_and(is_lapped) {
            self.close(id, CloseReason::Lapped);
            // One that was closing already, and still reading up to the last line, stops reading.
            if let Some(client) = self.clients.get_mut(id) {
                client.connection.outbox.unfollow();
            }
            self.settle();
        }
    }
}
