//! How a connection comes in: whether there is room for it, and whose it is.

use super::addresses::Origin;
use super::clients::{Role, Stranger};
use super::{Life, Server};
use crate::base::ids::ConnectionId;
use crate::base::note::Note;
use crate::base::reason::CloseReason;
use crate::base::shelf::Key;
use crate::wire::connection::Connection;
use crate::wire::routes::Refusal;
use std::net::IpAddr;

impl Server {
    pub(super) fn accept(&mut self, id: ConnectionId, peer: IpAddr) {
        let mut connection = Connection::new(self.now.moment);
        let origin = self.addresses.origin(peer);
        let (role, address) = match self.make_room(id, origin) {
            Ok(address) => (Role::Visitor(origin), address),
            Err(reason) => {
                connection.refuse(&self.shared, self.now.moment, Refusal::Full, reason);
                (Role::Refused, None)
            }
        };
        self.clients.insert(id, connection, role, address);
        if self.life != Life::Serving {
            self.end(id, CloseReason::Restarting);
        }
        self.settle(id);
    }

    /// Whether there is room for one more connection; gives what is counted of its client address, where that is known.
    fn make_room(&mut self, id: ConnectionId, origin: Origin) -> Result<Option<Key>, CloseReason> {
        if self.clients.holders() >= self.settings.connections_max {
            if !self.is_full {
                self.note(Note::Full(id));
            }
            self.is_full = true;
            return Err(CloseReason::Full);
        }
        self.is_full = false;
        let address = match origin {
            Origin::Client(address) => Some(self.enter_address(id, address)?),
            Origin::Proxy | Origin::Local => None,
        };
        self.note(Note::Accepted(id));
        Ok(address)
    }

    /// Counts a connection for a client address.
    fn enter_address(&mut self, id: ConnectionId, address: IpAddr) -> Result<Key, CloseReason> {
        self.addresses.enter(self.now.moment, address).ok_or_else(|| {
            self.note(Note::AddressFull(id));
            CloseReason::AddressFull
        })
    }

    /// A connection has become a WebSocket; only now a proxy has told whose it is.
    pub(super) fn upgrade(&mut self, id: ConnectionId, forwarded_for: Option<&str>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let former = std::mem::replace(&mut client.role, Role::Stranger(Stranger::default()));
        let Role::Visitor(origin) = former else { unreachable!("only who speaks HTTP is upgraded") };
        self.note(Note::Upgraded(id));
        let address = match (origin, forwarded_for) {
            (Origin::Client(_), _) | (Origin::Local, None) => return,
            (Origin::Local, Some(_)) => return self.note_proxy(Note::UnknownProxy(id)),
            (Origin::Proxy, None) => None,
            (Origin::Proxy, Some(forwarded_for)) => self.addresses.forwarded(forwarded_for),
        };
        let Some(address) = address else { return self.note_proxy(Note::SilentProxy(id)) };
        match self.enter_address(id, address) {
            Ok(address) => self.clients.set_address(id, address),
            Err(reason) => self.end(id, reason),
        }
    }

    /// Tells once that a proxy is not set up as it should be.
    fn note_proxy(&mut self, note: Note) {
        if !self.has_noted_proxy {
            self.note(note);
        }
        self.has_noted_proxy = true;
    }
}
