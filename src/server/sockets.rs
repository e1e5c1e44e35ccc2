//! What the shell asks about a socket.

use super::Server;
use super::client::Client;
use crate::ids::ClientId;
use crate::room::cursor::Unsent;

impl Server {
    /// The bytes to write to a connection's socket now, in order; empty if there are none.
    pub fn unsent(&mut self, id: ClientId) -> Unsent<'_> {
        match self.clients.get_untouched(id) {
            Some(client) => client.connection.unsent(&self.room.log),
            None => [&[], &[], &[]],
        }
    }

    /// All connections, in order of their slots: what a successor's shell looks for sockets for. Each is
    /// registered afresh, so its readiness is reported once more, and nothing depends on what was reported
    /// to the predecessor: see [`Server::is_blocked`] and [`Server::wants_read`].
    pub fn connections(&self) -> impl Iterator<Item = ClientId> {
        self.clients.iter().map(|client| client.id)
    }

    /// Whether a connection waits for its socket to take bytes again: what the shell asks when a socket
    /// becomes writable.
    #[must_use]
    pub fn is_blocked(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.connection.is_full())
    }

    /// Whether a connection should be read. From no to yes is an output, [`super::Output::Read`].
    #[must_use]
    pub fn wants_read(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(Client::wants_read)
    }

    /// Whether the server knows a connection. Not right after it was accepted: it was refused without an
    /// answer.
    #[must_use]
    pub fn has_connection(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some()
    }
}
