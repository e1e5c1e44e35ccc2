//! The life of a client in the server: its input, its writes, what follows from its state, and its end.

use super::client::{Client, Event, Former, Membership, Step};
use super::entry::Entry;
use super::{Life, Output, Server};
use crate::base::time::Now;
use crate::close_reason::CloseReason;
use crate::http::site::Refusal;
use crate::ids::ClientId;
use crate::log_event::LogEvent;
use crate::message::{Line, Notice, ServerMessage};
use crate::room::log::Mark;

impl Server {
    pub(super) fn receive(&mut self, id: ClientId, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection.hear(self.now.moment);
        if client.connection.has_kept() {
            client.connection.keep(bytes);
        } else {
            self.use_input(id, bytes);
        }
    }

    /// Uses received bytes as far as they may be used now, and keeps the rest.
    fn use_input(&mut self, id: ClientId, bytes: &[u8]) {
        let mut used = 0;
        while used < bytes.len() {
            let Some(client) = self.clients.get_mut(id) else { return };
            if !client.may_use_input() {
                return client.connection.keep(&bytes[used..]);
            }
            if client.is_websocket() && self.is_log_full() {
                self.hold_until_room(id);
                continue;
            }
            if let Some(turn) = self.wait_for_turn(id) {
                self.delay_input(id, turn);
                continue;
            }
            let Some(client) = self.clients.get_mut(id) else { return };
            let (taken, event) =
                client.receive(self.now.moment, &bytes[used..], &mut self.codec, &self.room.log);
            used += taken;
            // Only frames that are over their rate hold a client up while it receives.
            if client.connection.read_throttle.paused_until().is_some() {
                self.counters.throttled += 1;
            }
            match event {
                None => {}
                Some(Event::Request(request)) => self.answer(id, request),
                Some(Event::Body(body)) => self.say_as_bot(id, *body),
                Some(Event::BadRequest(refusal)) => {
                    self.note(LogEvent::Answered(id, refusal.status()));
                    self.refuse(id, refusal, CloseReason::BadRequest);
                }
                Some(Event::Message(message)) => self.handle_message(id, &message),
                Some(Event::Ended(reason)) => self.close(id, reason),
            }
        }
    }

    pub(super) fn wrote(&mut self, id: ClientId, bytes: usize) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.wrote(self.now.moment, bytes, &self.room.log).is_err() {
            self.remove(id, CloseReason::Lapped);
        }
    }

    pub(super) fn unblock(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.connection.unblock();
        }
    }

    pub(super) fn peer_ended(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.connection.peer_ended = true;
        }
    }

    /// Derives what follows from the state of every touched client. The one place where that is done:
    /// whatever changes a client only marks it.
    pub(super) fn settle(&mut self) {
        loop {
            while let Some(id) = self.clients.pop_touched() {
                self.settle_client(id);
            }
            let Some(id) = self.clients.surplus() else { return };
            if self.clients.get(id).is_some_and(Client::is_in_request) {
                self.refuse(id, Refusal::Full, CloseReason::Unfinished);
            } else {
                self.close(id, CloseReason::Unfinished);
            }
        }
    }

    fn settle_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_untouched(id) else { return };
        let end_writing = match client.next_step(self.now.moment, &self.room.log) {
            Step::UseInput(bytes) => return self.use_input(id, &bytes),
            Step::Close(reason) => return self.close(id, reason),
            Step::Remove(reason) => return self.remove(id, reason),
            Step::Rest { end_writing } => end_writing,
        };
        if end_writing {
            self.outputs.push_back(Output::EndWriting(id));
        }
        let wants_read = client.wants_read();
        if wants_read && !client.is_read {
            self.outputs.push_back(Output::Read(id));
        }
        client.is_read = wants_read;
        self.clients.update(id, self.clock(), &self.room.log);
    }

    /// Begins to close a client.
    pub(super) fn close(&mut self, id: ClientId, reason: CloseReason) {
        if let Some(Membership { session, .. }) = self.end_membership(id, reason) {
            self.submit(&Entry::Disconnect { session });
        }
    }

    /// The same, where what becomes of its session is the caller's. Returns the membership that ends, if one
    /// does.
    pub(super) fn end_membership(&mut self, id: ClientId, reason: CloseReason) -> Option<Membership> {
        let client = self.clients.get_mut(id)?;
        let membership = client.close(self.now.moment, reason, &self.room.log);
        if membership.is_some() {
            self.room.readers.remove(id);
        }
        self.end_follower(id);
        membership
    }

    /// Sends an error response without a request, and closes.
    pub(super) fn refuse(&mut self, id: ClientId, refusal: Refusal, reason: CloseReason) {
        if let Some(client) = self.clients.get_mut(id) {
            let mut response = Vec::new();
            refusal.write(&mut response);
            client.connection.outbox.push(&response, &self.room.log);
            self.close(id, reason);
        }
    }

    /// Forgets a client at once.
    pub(super) fn remove(&mut self, id: ClientId, reason: CloseReason) {
        let Some(client) = self.clients.remove(id) else { return };
        if let Some(address) = client.address {
            self.addresses.leave(self.now.moment, address);
        }
        if let Some(Membership { session, .. }) = client.membership() {
            self.room.readers.remove(id);
            self.submit(&Entry::Disconnect { session });
        }
        self.end_follower(id);
        self.note(match client.state.former() {
            Former::Http => LogEvent::HttpClosed(id, reason),
            Former::Guest => LogEvent::GuestClosed(id, reason),
            Former::Member => LogEvent::Closed(id, reason),
        });
        self.outputs.push_back(Output::Close(id));
    }

    /// Queues a private message for a client.
    pub(super) fn send(&mut self, id: ClientId, message: &ServerMessage<'_>) {
        // Nothing follows a close. Between an entry's submission and its turn in the log, clients may end.
        if let Some(client) = self.clients.get_mut(id).filter(|client| client.is_websocket()) {
            let frame = self.frame.build(|out| message.write(out));
            client.connection.outbox.push(frame, &self.room.log);
        }
    }

    pub(super) fn notify(&mut self, id: ClientId, notice: Notice) {
        self.send(id, &ServerMessage::notice(notice));
    }

    /// Broadcasts a line, in the one order that all members see. Gives its id; nothing is said after the
    /// shutdown has begun, unless other nodes go on.
    pub(super) fn post(&mut self, line: &Line<'_>, mark: Mark) -> Option<u64> {
        if self.life != Life::Serving && !self.is_shared() {
            return None;
        }
        let id = self.room.log.next_id();
        let frame = self.frame.build(|out| ServerMessage::line(id, line).write(out));
        // A line is shorter than the smallest ring, so it always fits.
        self.room.broadcast(frame, mark)
    }

    pub(super) fn post_event(&mut self, at: Now, name: &str, text: &str, event: &'static str) {
        let line = Line { time: at.wall_ms, name, text, event: Some(event), ..Line::default() };
        self.post(&line, Mark::NONE);
    }
}
