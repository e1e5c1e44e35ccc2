//! The table of clients, their timers, and the two lists that a turn works off: touched clients, whose
//! consequences are still to be derived, and clients that have something to write beside the room's round.

use super::client::Client;
use super::connection::Clock;
use super::quota::Quota;
use super::unfinished::{self, Unfinished};
use crate::base::frost::{Frost, Frozen, freeze_fields, frost};
use crate::base::sorted::set_of;
use crate::base::time::Moment;
use crate::base::timer_queue::TimerQueue;
use crate::ids::ClientId;
use crate::limits::{REFUSALS_MAX, REFUSALS_PER_ADDRESS};
use crate::room::log::Ring;
use std::collections::VecDeque;
use std::net::IpAddr;

#[derive(Debug, Default)]
pub(crate) struct Clients {
    table: Vec<Option<Entry>>,
    len: usize,
    /// Refused connections that are still open for their answer, by client network. They do not count among
    /// the server's connections: a flood that must be refused takes no place from anybody.
    refusals: Quota<IpAddr>,
    timers: TimerQueue<ClientId>,
    /// Clients that may have changed since their consequences were last derived.
    touched: VecDeque<ClientId>,
    /// Clients that can write beside the room's round.
    ready: VecDeque<ClientId>,
    unfinished: Unfinished,
}

#[derive(Debug)]
struct Entry {
    client: Client,
    is_touched: bool,
    is_ready: bool,
    /// Its entry in the timer queue.
    due: Option<Moment>,
}

frost!(struct Entry { client, due } but { is_touched: false, is_ready: false });

/// Between two calls of the server no client is touched.
impl Frost for Clients {
    fn freeze(&self, to: &mut Vec<u8>) {
        let Self { table, len: _, refusals, timers: _, touched: _, ready, unfinished: _ } = self;
        // Of those that are gone nothing follows.
        let ready: Vec<ClientId> = ready.iter().copied().filter(|&id| self.get(id).is_some()).collect();
        freeze_fields(to, |to| {
            table.freeze(to);
            refusals.freeze(to);
            ready.freeze(to);
        });
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let mut fields = from.fields()?;
        let (table, refusals, ready) = (fields.field()?, fields.field()?, fields.field()?);
        Some(Self { table, refusals, ready, ..Self::default() })
    }
}

impl Clients {
    /// Derives what was not frozen. `None`: a client is in the wrong slot or twice in a list, or cannot have
    /// become what it is.
    pub(crate) fn derive(&mut self, clock: Clock, log: &Ring) -> Option<()> {
        for (slot, entry) in self.table.iter_mut().enumerate() {
            let Some(Entry { client, due, .. }) = entry else { continue };
            if client.id.slot() != slot || !client.is_sound(log) {
                return None;
            }
            self.len += 1;
            let bytes = client.unfinished_bytes();
            self.unfinished.hold(&mut client.unfinished, bytes);
            // Other settings may have made a deadline earlier than the timer.
            let earliest = [due.take(), client.next_deadline(clock)].into_iter().flatten().min();
            self.timers.set(client.id, due, earliest);
        }
        for &id in &self.ready {
            let entry = entry(&mut self.table, id).filter(|entry| !entry.is_ready)?;
            entry.is_ready = true;
        }
        let refused = set_of(self.refusals.iter().map(|(id, _)| id));
        let is_sound =
            refused.len() == self.refusals.len() && refused.iter().all(|&id| self.get(id).is_some());
        is_sound.then_some(())
    }

    /// Adds a client. Its slot is free: see [`Clients::in_slot_of`].
    pub(crate) fn insert(&mut self, client: Client) {
        let id = client.id;
        if self.table.len() <= id.slot() {
            self.table.resize_with(id.slot() + 1, || None);
        }
        let entry = Entry { client, is_touched: true, is_ready: false, due: None };
        if let Some(place) = self.table.get_mut(id.slot()) {
            self.len += usize::from(place.is_none());
            *place = Some(entry);
            self.touched.push_back(id);
        }
    }

    pub(crate) fn get(&self, id: ClientId) -> Option<&Client> {
        self.table.get(id.slot())?.as_ref().map(|entry| &entry.client).filter(|client| client.id == id)
    }

    /// A client that is about to change: marks it as touched.
    pub(crate) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        let entry = entry(&mut self.table, id)?;
        if !entry.is_touched {
            entry.is_touched = true;
            self.touched.push_back(id);
        }
        Some(&mut entry.client)
    }

    /// A client without marking it: nothing may follow from what the caller changes.
    pub(crate) fn get_untouched(&mut self, id: ClientId) -> Option<&mut Client> {
        Some(&mut entry(&mut self.table, id)?.client)
    }

    /// The next touched client; from here on it no longer counts as touched.
    pub(crate) fn pop_touched(&mut self) -> Option<ClientId> {
        while let Some(id) = self.touched.pop_front() {
            if let Some(entry) = entry(&mut self.table, id) {
                entry.is_touched = false;
                return Some(id);
            }
        }
        None
    }

    /// The client in the slot of another one.
    pub(crate) fn in_slot_of(&self, id: ClientId) -> Option<ClientId> {
        self.table.get(id.slot())?.as_ref().map(|entry| entry.client.id)
    }

    pub(crate) fn remove(&mut self, id: ClientId) -> Option<Client> {
        let place = self.table.get_mut(id.slot())?;
        let mut entry = place.take_if(|entry| entry.client.id == id)?;
        self.timers.set(id, &mut entry.due, None);
        self.unfinished.hold(&mut entry.client.unfinished, 0);
        self.len = self.len.saturating_sub(1);
        self.refusals.remove(id);
        Some(entry.client)
    }

    /// Counts a connection as refused, which takes no place any more. False if there is no room for its
    /// answer either.
    pub(crate) fn refuse(&mut self, id: ClientId, network: IpAddr) -> bool {
        self.refusals.add(id, network, REFUSALS_MAX, REFUSALS_PER_ADDRESS).is_ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Clients that were not refused.
    pub(crate) fn admitted(&self) -> usize {
        self.len.saturating_sub(self.refusals.len())
    }

    /// Refused clients that are open for their answer.
    pub(crate) fn refused(&self) -> usize {
        self.refusals.len()
    }

    /// In order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.table.iter().flatten().map(|entry| &entry.client)
    }

    /// All clients without marking them: nothing may follow from what the caller changes.
    pub(crate) fn iter_untouched(&mut self) -> impl Iterator<Item = &mut Client> {
        self.table.iter_mut().flatten().map(|entry| &mut entry.client)
    }

    /// In order of their slots.
    pub(crate) fn ids(&self) -> Vec<ClientId> {
        self.iter().map(|client| client.id).collect()
    }

    /// Brings the table up to date with a client: its place among those that can write, its share of
    /// unfinished messages, and its earliest deadline. A timer that is too early stays: it is set anew when
    /// it fires.
    pub(crate) fn update(&mut self, id: ClientId, clock: Clock, log: &Ring) {
        let Some(entry) = entry(&mut self.table, id) else { return };
        let client = &mut entry.client;
        if !entry.is_ready && client.can_write(log) {
            entry.is_ready = true;
            self.ready.push_back(id);
        }
        let bytes = client.unfinished_bytes();
        self.unfinished.hold(&mut client.unfinished, bytes);
        let due = client.next_deadline(clock);
        if due.is_some_and(|due| entry.due.is_none_or(|set| due < set)) {
            self.timers.set(id, &mut entry.due, due);
        }
    }

    /// The next client that is ready and can still write.
    pub(crate) fn pop_ready(&mut self, log: &Ring) -> Option<ClientId> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(entry) = entry(&mut self.table, id) {
                entry.is_ready = false;
                if entry.client.can_write(log) {
                    return Some(id);
                }
            }
        }
        None
    }

    pub(crate) fn unfinished_bytes(&self) -> usize {
        self.unfinished.bytes()
    }

    /// The client whose unfinished message has to give way.
    pub(crate) fn surplus(&self) -> Option<ClientId> {
        if self.unfinished.is_too_much() { unfinished::biggest(self.iter()) } else { None }
    }

    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<ClientId> {
        let (_, id) = self.timers.pop_due(now)?;
        if let Some(entry) = entry(&mut self.table, id) {
            entry.due = None;
        }
        Some(id)
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.timers.first()
    }
}

fn entry(table: &mut [Option<Entry>], id: ClientId) -> Option<&mut Entry> {
    table.get_mut(id.slot())?.as_mut().filter(|entry| entry.client.id == id)
}
