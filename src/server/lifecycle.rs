//! The life of a connection in the server: its input, its writes, what follows from its state, and its end.

use super::clients::{Guest, Role};
use super::{Life, Output, Server};
use crate::close_reason::CloseReason;
use crate::ids::ClientId;
use crate::limits::{GUEST_MESSAGE_BYTES_MAX, MEMBER_MESSAGE_BYTES_MAX};
use crate::log_event::LogEvent;
use crate::message::{Line, ServerMessage};
use crate::users::sessions::SessionId;

impl Server {
    pub(super) fn receive(&mut self, id: ClientId, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection.hear(self.now.moment);
        if client.connection.has_kept() {
            client.connection.keep(bytes);
        } else {
            self.use_input(id, bytes);
        }
        self.settle(id);
    }

    /// Uses what was received as far as that may be used now, and keeps the rest.
    pub(super) fn use_input(&mut self, id: ClientId, bytes: &[u8]) {
        let mut used = 0;
        while used < bytes.len() {
            let Some(client) = self.clients.get_mut(id) else { return };
            if !client.connection.may_use_input() {
                client.connection.keep(&bytes[used..]);
                return;
            }
            if let Some(turn) = self.wait_for_turn(id) {
                self.delay_input(id, turn);
                continue;
            }
            let Some(client) = self.clients.get_mut(id) else { return };
            let message_bytes_max = match client.role {
                Role::Member(_) => MEMBER_MESSAGE_BYTES_MAX,
                Role::Http(_) | Role::Refused | Role::Guest(_) | Role::Closing => GUEST_MESSAGE_BYTES_MAX,
            };
            let (taken, event) = client.connection.receive(
                &self.room.log,
                &mut self.codec,
                self.now.moment,
                &bytes[used..],
                message_bytes_max,
            );
            used += taken;
            if let Some(event) = event {
                self.react(id, event);
            }
            self.step_out_if_ending(id);
        }
    }

    pub(super) fn wrote(&mut self, id: ClientId, bytes: usize) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.connection.wrote(&self.room.log, self.now.moment, bytes).is_err() {
            return self.remove(id, CloseReason::Lapped);
        }
        if client.connection.can_write(&self.room.log) {
            self.clients.make_ready(id);
        }
        self.settle(id);
    }

    pub(super) fn unblock(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection.unblock();
        self.clients.make_ready(id);
        self.settle(id);
    }

    pub(super) fn peer_ended(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.connection.peer_ended();
            self.settle(id);
        }
    }

    /// Makes everything that is derived from a connection true again. Comes after each change to one.
    pub(super) fn settle(&mut self, id: ClientId) {
        loop {
            let Some(client) = self.clients.get_mut(id) else { return };
            if client.connection.has_kept() && client.connection.may_use_input() {
                let kept = client.connection.take_kept();
                self.use_input(id, &kept);
                continue;
            }
            if client.connection.is_exhausted() && !client.connection.is_ending() {
                match client.role {
                    Role::Http(_) | Role::Refused => self.end(id, CloseReason::HttpDone),
                    Role::Guest(_) | Role::Member(_) | Role::Closing => {
                        self.remove(id, CloseReason::PeerGone);
                    }
                }
                continue;
            }
            break;
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.connection.ends_writing(&self.room.log, self.now.moment) {
            self.outputs.push_back(Output::EndWriting(id));
        }
        if client.connection.is_over() {
            let reason = client.connection.reason().unwrap_or(CloseReason::PeerGone);
            self.remove(id, reason);
            return;
        }
        let wants_read = client.connection.wants_read();
        if wants_read && !client.is_read {
            self.outputs.push_back(Output::Read(id));
        }
        client.is_read = wants_read;
        if client.connection.has_private() && client.connection.can_write(&self.room.log) {
            self.clients.make_ready(id);
        }
        self.clients.weigh(id);
        self.clients.schedule(id, self.clock());
    }

    /// Begins the end of a connection.
    pub(super) fn end(&mut self, id: ClientId, reason: CloseReason) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection.end(&self.room.log, self.now.moment, reason);
        if client.connection.has_unsent(&self.room.log) {
            self.clients.make_ready(id);
        }
        self.step_out_if_ending(id);
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, id: ClientId, reason: CloseReason) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let note = match client.role {
            Role::Http(_) | Role::Refused => LogEvent::HttpClosed(id, reason),
            Role::Member(_) => LogEvent::Closed(id, reason),
            Role::Closing if client.was_member => LogEvent::Closed(id, reason),
            Role::Guest(_) | Role::Closing => LogEvent::GuestClosed(id, reason),
        };
        if let Some(address) = client.address {
            self.addresses.leave(self.now.moment, address);
        }
        self.step_out(id);
        self.clients.remove(id);
        self.note(note);
        self.outputs.push_back(Output::Close(id));
    }

    /// A connection that ends is no longer in the room.
    pub(super) fn step_out_if_ending(&mut self, id: ClientId) {
        if self.clients.get(id).is_some_and(|client| client.connection.is_ending()) {
            self.step_out(id);
        }
    }

    pub(super) fn step_out(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        match client.role {
            Role::Http(_) | Role::Refused | Role::Closing => {}
            Role::Guest(Guest { .. }) => client.role = Role::Closing,
            Role::Member(member) => {
                (client.role, client.was_member) = (Role::Closing, true);
                if let Some((moved, place)) = self.room.leave(member.place) {
                    self.clients.set_place(moved, place);
                }
                self.disconnect(member.session);
            }
        }
    }

    /// A connection of a session is gone. If it was the user's last, leaving is announced when the grace is over.
    pub(super) fn disconnect(&mut self, session: SessionId) {
        let now = self.now.moment;
        let Some(user) = self.users.disconnect(now, session) else { return };
        let grace = self.settings.leave_grace;
        if let Some(name) = self.room.presence.depart(user, now.after(grace), grace.is_zero()) {
            self.post_event(&name, "left chat", "leave");
        }
    }

    /// Makes a line part of the room, in the one order that all see. Nothing is said after the server's last word.
    pub(super) fn post(&mut self, line: &Line<'_>, mark: u32) {
        if self.life == Life::Serving {
            let id = self.room.log.next_id();
            let frame = self.frame.build(|out| ServerMessage::line(id, line).write(out));
            // A line is shorter than the smallest ring, so it always fits.
            self.room.broadcast(frame, mark);
        }
    }

    pub(super) fn post_event(&mut self, name: &str, text: &str, event: &'static str) {
        let time = self.now.wall_ms;
        self.post(&Line { time, name, text, event: Some(event), reference: None }, 0);
    }
}
