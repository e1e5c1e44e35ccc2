//! The table of connections, with what each of them is to the server, and when it wants to be looked at.

use super::client_addresses::{AddressId, Origin};
use super::refusals::Refusals;
use super::unfinished::{self, Share, Unfinished};
use crate::base::shared_throttle::SharedThrottle;
use crate::base::time::Moment;
use crate::base::timer_queue::TimerQueue;
use crate::ids::ClientId;
use crate::room::log::{Position, Ring};
use crate::server::connection::{Clock, Connection};
use crate::users::logins::FlowId;
use crate::users::names::UserId;
use crate::users::sessions::SessionId;
use std::collections::VecDeque;
use std::net::IpAddr;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    id: ClientId,
    pub(crate) connection: Connection,
    pub(crate) role: Role,
    /// Its client address, where that is known.
    pub(crate) address: Option<AddressId>,
    /// Whether the shell knows that the connection may be read.
    pub(crate) is_read: bool,
    is_ready: bool,
    /// Whether it was a member's, which the log tells apart from a guest's.
    pub(crate) was_member: bool,
    /// What it holds of the unfinished messages.
    unfinished: Share,
    /// Its entry in the agenda.
    due: Option<Moment>,
}

/// What a connection is to the server.
#[derive(Debug)]
pub(crate) enum Role {
    /// Speaks HTTP.
    Http(Origin),
    /// Is told that the server is full.
    Refused,
    /// A WebSocket before its login.
    Guest(Guest),
    /// A WebSocket that reads the room and may speak.
    Member(Member),
    /// A WebSocket that is ending.
    Closing,
}

/// The login state of a guest.
#[derive(Debug, Default)]
pub(crate) struct Guest {
    /// The flow that began on this connection.
    pub(crate) flow: Option<FlowId>,
    pub(crate) wrong_tries: u8,
    pub(crate) mails: u8,
    pub(crate) throttle: SharedThrottle,
}

/// A member's session, and its place in the room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) session: SessionId,
    /// Whose session it is.
    pub(crate) user: UserId,
    /// Where it began to read the room.
    pub(crate) start: Position,
    /// The place in the list of members.
    pub(crate) place: u32,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    table: Vec<Option<Client>>,
    len: usize,
    refusals: Refusals,
    agenda: TimerQueue<ClientId>,
    /// Those with something to write beside the room's lines.
    ready: VecDeque<ClientId>,
    unfinished: Unfinished,
}

impl Client {
    pub(crate) const fn id(&self) -> ClientId {
        self.id
    }

    /// Bytes of a message that has begun and not ended.
    pub(crate) const fn unfinished_bytes(&self) -> usize {
        self.unfinished.bytes()
    }
}

impl Clients {
    /// Adds a connection. Its slot is free: see [`Clients::in_slot_of`].
    pub(crate) fn insert(
        &mut self,
        id: ClientId,
        connection: Connection,
        role: Role,
        address: Option<AddressId>,
    ) {
        if self.table.len() <= id.slot() {
            self.table.resize_with(id.slot() + 1, || None);
        }
        let client = Client {
            id,
            connection,
            role,
            address,
            is_read: true,
            is_ready: false,
            was_member: false,
            unfinished: Share::default(),
            due: None,
        };
        if let Some(place) = self.table.get_mut(id.slot()) {
            self.len += usize::from(place.is_none());
            *place = Some(client);
        }
    }

    pub(crate) fn get(&self, id: ClientId) -> Option<&Client> {
        self.table.get(id.slot())?.as_ref().filter(|client| client.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.table.get_mut(id.slot())?.as_mut().filter(|client| client.id == id)
    }

    /// The connection in the slot of another one.
    pub(crate) fn in_slot_of(&self, id: ClientId) -> Option<ClientId> {
        self.table.get(id.slot())?.as_ref().map(Client::id)
    }

    pub(crate) fn remove(&mut self, id: ClientId) {
        let place = self.table.get_mut(id.slot());
        let Some(mut client) = place.and_then(|place| place.take_if(|client| client.id == id)) else {
            return;
        };
        self.agenda.set(id, &mut client.due, None);
        self.unfinished.hold(&mut client.unfinished, 0);
        self.len = self.len.saturating_sub(1);
        self.refusals.remove(id);
    }

    /// Counts a connection as refused, which takes no place any more. False if there is no room for its answer either.
    pub(crate) fn refuse(&mut self, id: ClientId, network: IpAddr) -> bool {
        self.refusals.add(id, network)
    }

    pub(crate) fn set_address(&mut self, id: ClientId, address: AddressId) {
        if let Some(client) = self.get_mut(id) {
            client.address = Some(address);
        }
    }

    /// Connections, all told.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Connections that were not turned away.
    pub(crate) fn holders(&self) -> usize {
        self.len.saturating_sub(self.refusals.len())
    }

    /// Connections that were turned away and are open for their answer.
    pub(crate) fn refused(&self) -> usize {
        self.refusals.len()
    }

    /// All connections, in order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.table.iter().flatten()
    }

    /// The names of all connections, in order of their slots.
    pub(crate) fn ids(&self) -> Vec<ClientId> {
        self.iter().map(|client| client.id).collect()
    }

    pub(crate) fn set_place(&mut self, id: ClientId, place: u32) {
        if let Some(Client { role: Role::Member(member), .. }) = self.get_mut(id) {
            member.place = place;
        }
        // Its turn in the round may just have been lost with its old place.
        self.make_ready(id);
    }

    /// Puts a connection among those that are asked for unsent bytes next.
    pub(crate) fn make_ready(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id)
            && !client.is_ready
        {
            client.is_ready = true;
            self.ready.push_back(id);
        }
    }

    /// The next that is ready and can indeed write.
    pub(crate) fn pop_ready(&mut self, ring: &Ring) -> Option<ClientId> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(client) = self.get_mut(id) {
                client.is_ready = false;
                if client.connection.can_write(ring) {
                    return Some(id);
                }
            }
        }
        None
    }

    /// Notes when a connection wants to be looked at. An entry that is too early is left alone: it asks again when it fires.
    pub(crate) fn schedule(&mut self, id: ClientId, clock: Clock) {
        let Some(Some(client)) = self.table.get_mut(id.slot()) else { return };
        let due = client.connection.next_deadline(clock);
        let is_late = match (client.due, due) {
            (Some(entry), Some(due)) => due < entry,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if is_late {
            self.agenda.set(id, &mut client.due, due);
        }
    }

    /// Notes how much a connection holds of an unfinished message.
    pub(crate) fn weigh(&mut self, id: ClientId) {
        let Some(Some(client)) = self.table.get_mut(id.slot()) else { return };
        let bytes = client.connection.unfinished_bytes().unwrap_or(0);
        self.unfinished.hold(&mut client.unfinished, bytes);
    }

    /// Bytes of all unfinished messages.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        self.unfinished.bytes()
    }

    /// Whose unfinished message has to give way.
    pub(crate) fn surplus(&self) -> Option<ClientId> {
        if self.unfinished.is_too_much() { unfinished::biggest(self.iter()) } else { None }
    }

    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<ClientId> {
        let (_, id) = self.agenda.pop_due(now)?;
        if let Some(client) = self.get_mut(id) {
            client.due = None;
        }
        Some(id)
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.agenda.first()
    }
}
