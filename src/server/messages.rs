//! Messages of clients: what each is charged, when its turn is, and who it is for. Guests' are in `guest`,
//! members' in `member`.

use super::Server;
use super::client::State;
use super::entry::Entry;
use crate::base::time::Moment;
use crate::close_reason::CloseReason;
use crate::ids::ClientId;
use crate::limits::{REF_BYTES_MAX, TOKEN_BYTES, USERS_PER_ADDRESS};
use crate::message::{self, ClientMessage, Notice, ServerMessage};
use crate::server::read_throttle::TooFast;

impl Server {
    pub(crate) fn handle_message(&mut self, id: ClientId, bytes: &[u8]) {
        self.charge(id, bytes.len());
        let Ok(json) = str::from_utf8(bytes) else { return self.close(id, CloseReason::NotUtf8) };
        let Some(message) = message::parse(json) else {
            self.notify(id, Notice::Malformed);
            return self.close(id, CloseReason::Malformed);
        };
        let Some(client) = self.clients.get_mut(id) else { return };
        match (&client.state, message) {
            (State::Guest(_), ClientMessage::Hello(None)) => self.notify(id, Notice::NoLineEnd),
            (State::Guest(_), ClientMessage::Hello(Some(hello))) => self.hello(id, &hello),
            (State::Guest(_), ClientMessage::Auth { code, flow }) => self.auth(id, flow.as_deref(), &code),
            (State::Guest(_), ClientMessage::Resume { token, run, after }) => {
                self.resume(id, &token, run.as_deref(), after);
            }
            (State::Member(member), ClientMessage::Text { text, reference }) => {
                let session = member.membership.session;
                self.say(id, session, &text, reference.as_deref());
            }
            (State::Member(member), ClientMessage::Leave) => {
                let session = member.membership.session;
                self.submit(&Entry::Logout { session });
            }
            (State::Guest(_) | State::Member(_), ClientMessage::Ping(text)) => self.answer_ping(id, &text),
            (_, ClientMessage::Unknown) => self.unknown_messages += 1,
            // Guests may not talk or leave, members are logged in already, and no client sends the server's
            // messages.
            (
                State::Guest(_),
                ClientMessage::Text { .. } | ClientMessage::Leave | ClientMessage::ServerOnly,
            )
            | (
                State::Member(_),
                ClientMessage::Hello(_)
                | ClientMessage::Auth { .. }
                | ClientMessage::Resume { .. }
                | ClientMessage::ServerOnly,
            )
            | (State::Http(_) | State::Streaming(_) | State::Closing(_), _) => {}
        }
    }

    /// When a client's input may be used: `None` means now. Users, guests and client addresses have a rate;
    /// the connections of one take turns.
    pub(crate) fn wait_for_turn(&mut self, id: ClientId) -> Option<Moment> {
        if self.rate.is_unlimited() {
            return None;
        }
        let now = self.now.moment;
        let client = self.clients.get_mut(id)?;
        let has_slot = client.connection.read_throttle.take_slot();
        let own = match &mut client.state {
            State::Member(member) => self.users.throttle(member.membership.user),
            State::Guest(guest) => Some(&mut guest.throttle),
            State::Http(_) | State::Streaming(_) | State::Closing(_) => None,
        };
        let turn = own?.wait_for_turn(now, self.rate, has_slot);
        let address = client.address.and_then(|address| self.addresses.throttle(address));
        let turn_of_address = address
            .and_then(|throttle| throttle.wait_for_turn(now, self.rate.times(USERS_PER_ADDRESS), has_slot));
        turn.max(turn_of_address)
    }

    /// Makes a client's input wait for its turn. Closes one that has talked too fast for too long.
    pub(crate) fn delay_input(&mut self, id: ClientId, turn: Moment) {
        let Some(client) = self.clients.get_mut(id) else { return };
        self.counters.throttled += 1;
        if let Err(TooFast) = client.connection.read_throttle.wait_for_turn(self.now.moment, turn) {
            self.close(id, CloseReason::TooFast);
        }
    }

    /// Charges for a message: to the user or guest who sent it, and to the client address.
    fn charge(&mut self, id: ClientId, message_bytes: usize) {
        let now = self.now.moment;
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection.read_throttle.count_message();
        let own = match &mut client.state {
            State::Member(member) => self.users.throttle(member.membership.user),
            State::Guest(guest) => {
                // Even where messages have no limit: a guest has no use for many.
                client.connection.read_throttle.charge_frame(now);
                Some(&mut guest.throttle)
            }
            State::Http(_) | State::Streaming(_) | State::Closing(_) => None,
        };
        let tokens = 1 + message_bytes.saturating_sub(1) as u64 / TOKEN_BYTES;
        if let Some(throttle) = own {
            throttle.charge(now, self.rate, tokens);
        }
        if let Some(throttle) = client.address.and_then(|address| self.addresses.throttle(address)) {
            throttle.charge(now, self.rate.times(USERS_PER_ADDRESS), tokens);
        }
    }

    fn answer_ping(&mut self, id: ClientId, text: &str) {
        if text.len() <= REF_BYTES_MAX {
            self.send(id, &ServerMessage::ping(text));
        }
    }
}
