//! Messages of clients: what each is charged, when its turn is, and who it is for. Guests' are in `guest`, members' in `member`.

use super::Server;
use super::clients::Role;
use crate::base::time::Moment;
use crate::close_reason::CloseReason;
use crate::ids::ClientId;
use crate::limits::{REF_BYTES_MAX, TOKEN_BYTES, USERS_PER_ADDRESS};
use crate::log_event::LogEvent;
use crate::message::{self, ClientMessage, Notice, ServerMessage};
use crate::server::connection::Event;

impl Server {
    pub(crate) fn react(&mut self, id: ClientId, event: Event) {
        match event {
            Event::Refused(status) => self.note(LogEvent::Answered(id, status)),
            Event::Request(request) => self.answer(id, &request),
            Event::Message(bytes) => self.hear(id, &bytes),
        }
    }

    pub(crate) fn hear(&mut self, id: ClientId, bytes: &[u8]) {
        self.charge(id, bytes.len());
        let Ok(json) = str::from_utf8(bytes) else { return self.end(id, CloseReason::NotUtf8) };
        let Some(message) = message::parse(json) else {
            self.tell(id, Notice::Malformed);
            return self.end(id, CloseReason::Malformed);
        };
        let Some(client) = self.clients.get_mut(id) else { return };
        match (&client.role, message) {
            (Role::Guest(_), ClientMessage::Hello(None)) => self.tell(id, Notice::NoLineEnd),
            (Role::Guest(_), ClientMessage::Hello(Some(hello))) => self.hello(id, &hello),
            (Role::Guest(guest), ClientMessage::Auth { code, flow }) => {
                let own = guest.flow;
                self.auth(id, own, flow.as_deref(), &code);
            }
            (Role::Guest(_), ClientMessage::Resume { token, run, after }) => {
                self.resume(id, &token, run.as_deref(), after);
            }
            (&Role::Member(member), ClientMessage::Text { text, reference }) => {
                self.say(id, member, &text, reference.as_deref());
            }
            (&Role::Member(member), ClientMessage::Leave) => self.leave(member.session),
            (Role::Guest(_) | Role::Member(_), ClientMessage::Ping(text)) => self.answer_ping(id, &text),
            (_, ClientMessage::Unknown) => self.unknown_messages += 1,
            // Guests have nothing to say, members are in already, and nobody speaks for the server.
            (
                Role::Guest(_),
                ClientMessage::Text { .. } | ClientMessage::Leave | ClientMessage::ServerOnly,
            )
            | (
                Role::Member(_),
                ClientMessage::Hello(_)
                | ClientMessage::Auth { .. }
                | ClientMessage::Resume { .. }
                | ClientMessage::ServerOnly,
            )
            | (Role::Http(_) | Role::Refused | Role::Closing, _) => {}
        }
    }

    /// When the input of a connection may be used: `None` means now. Users, guests and client addresses have a rate; the
    /// connections of one take turns.
    pub(crate) fn wait_for_turn(&mut self, id: ClientId) -> Option<Moment> {
        if self.rate.is_unlimited() {
            return None;
        }
        let now = self.now.moment;
        let client = self.clients.get_mut(id)?;
        let has_slot = client.connection.take_slot();
        let own = match &mut client.role {
            Role::Member(member) => self.users.throttle(member.user),
            Role::Guest(guest) => Some(&mut guest.throttle),
            Role::Http(_) | Role::Refused | Role::Closing => None,
        };
        let turn = own?.wait_for_turn(now, self.rate, has_slot);
        let address = client.address.and_then(|address| self.addresses.throttle(address));
        let turn_of_address = address
            .and_then(|throttle| throttle.wait_for_turn(now, self.rate.times(USERS_PER_ADDRESS), has_slot));
        turn.max(turn_of_address)
    }

    /// The input of a connection waits for its turn; one that has waited for too long without a pause is closed.
    pub(crate) fn delay_input(&mut self, id: ClientId, turn: Moment) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Err(reason) = client.connection.wait_for_turn(self.now.moment, turn) {
            self.end(id, reason);
        }
    }

    /// Charges for a message: to the user or guest who sent it, and to the client address.
    pub(crate) fn charge(&mut self, id: ClientId, message_bytes: usize) {
        let now = self.now.moment;
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection.count_message();
        let own = match &mut client.role {
            Role::Member(member) => self.users.throttle(member.user),
            Role::Guest(guest) => {
                // Even where messages have no limit: a guest has no use for many.
                client.connection.charge_frame(now);
                Some(&mut guest.throttle)
            }
            Role::Http(_) | Role::Refused | Role::Closing => None,
        };
        let tokens = 1 + message_bytes.saturating_sub(1) as u64 / TOKEN_BYTES;
        if let Some(throttle) = own {
            throttle.charge(now, self.rate, tokens);
        }
        if let Some(throttle) = client.address.and_then(|address| self.addresses.throttle(address)) {
            throttle.charge(now, self.rate.times(USERS_PER_ADDRESS), tokens);
        }
    }

    pub(crate) fn answer_ping(&mut self, id: ClientId, text: &str) {
        if let Some(client) = self.clients.get_mut(id)
            && text.len() <= REF_BYTES_MAX
        {
            client.connection.send(&self.room.log, &mut self.frame, &ServerMessage::ping(text));
        }
    }

    pub(crate) fn tell(&mut self, id: ClientId, notice: Notice) {
        if let Some(client) = self.clients.get_mut(id) {
            client.connection.send(&self.room.log, &mut self.frame, &ServerMessage::notice(notice));
        }
    }
}
