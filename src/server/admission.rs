//! How a connection comes in: whether there is room for it, and which client address it counts for.

use super::client::Client;
use super::client_addresses::{AddressId, Forwarded, Origin, network};
use super::{Life, Output, Server};
use crate::close_reason::CloseReason;
use crate::http::site::Refusal;
use crate::ids::ClientId;
use crate::log_event::LogEvent;
use std::mem;
use std::net::IpAddr;

impl Server {
    pub(crate) fn accept(&mut self, id: ClientId, peer: IpAddr, origin: Origin) {
        // The socket that had the slot is closed, or this one would not have it.
        if let Some(former) = self.clients.in_slot_of(id) {
            self.remove(former, CloseReason::PeerGone);
        }
        let (address, refused) = match self.make_room(id, origin) {
            Ok(address) => (address, None),
            Err(reason) if self.clients.refuse(id, network(peer)) => (None, Some(reason)),
            Err(_) => return self.outputs.push_back(Output::Close(id)),
        };
        self.clients.insert(Client::new(id, self.now.moment, origin, address));
        if let Some(reason) = refused {
            self.refuse(id, Refusal::Full, reason);
        } else if self.life != Life::Serving {
            self.close(id, CloseReason::Restarting);
        }
    }

    /// Whether there is room for one more connection; gives its client address, where that is known.
    fn make_room(&mut self, id: ClientId, origin: Origin) -> Result<Option<AddressId>, CloseReason> {
        if self.clients.admitted() >= self.settings.connections_max {
            if !self.is_full {
                self.note(LogEvent::Full(id));
            }
            self.is_full = true;
            self.counters.count_full();
            return Err(CloseReason::Full);
        }
        self.is_full = false;
        let address = match origin {
            Origin::Client(address) => Some(self.enter_address(id, address)?),
            Origin::Proxy(_) | Origin::Local => None,
        };
        self.note(LogEvent::Accepted(id));
        Ok(address)
    }

    /// Counts a connection for a client address.
    fn enter_address(&mut self, id: ClientId, address: IpAddr) -> Result<AddressId, CloseReason> {
        self.addresses.enter(self.now.moment, address).ok_or_else(|| {
            self.note(LogEvent::AddressFull(id));
            CloseReason::AddressFull
        })
    }

    /// Turns an HTTP client into a guest. Only its request says which client a trusted proxy speaks for.
    pub(crate) fn upgrade(&mut self, id: ClientId, head: &[u8], forwarded_for: Option<&str>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(origin) = client.origin() else { return };
        client.upgrade(self.now.moment, head, &self.room.log);
        self.note(LogEvent::Upgraded(id));
        let proxy = match (origin, forwarded_for) {
            (Origin::Client(_), _) | (Origin::Local, None) => return,
            (Origin::Local, Some(_)) => {
                // Once in a run: the setting does not change before the next.
                if !mem::replace(&mut self.has_noted_unknown_proxy, true) {
                    self.note(LogEvent::UnknownProxy(id));
                }
                return;
            }
            (Origin::Proxy(proxy), _) => proxy,
        };
        let (address, is_silent) = match self.addresses.forwarded(proxy, forwarded_for) {
            Forwarded::Client(address) => (address, false),
            Forwarded::Unknown(proxy) => (proxy, true),
        };
        match self.enter_address(id, address) {
            Ok(address) => {
                if let Some(client) = self.clients.get_mut(id) {
                    client.address = Some(address);
                }
            }
            Err(reason) if self.clients.refuse(id, network(address)) => self.close(id, reason),
            Err(reason) => self.remove(id, reason),
        }
        if is_silent && !mem::replace(&mut self.has_noted_silent_proxy, true) {
            self.note(LogEvent::SilentProxy(id));
        }
    }
}

#[cfg(test)]
mod tests;
