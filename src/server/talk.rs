//! What the server does when somebody says something.

use super::client_addresses::Try;
use super::clients::{Guest, Member, Role};
use super::{Output, Server};
use crate::base::time::Moment;
use crate::close_reason::CloseReason;
use crate::ids::ClientId;
use crate::limits::{
    CONNECTION_TRIES, HISTORY_BYTES_MAX, NAMES_TOLD_MAX, REF_BYTES_MAX, TEXT_BYTES_MAX, TOKEN_BYTES,
    USERS_PER_ADDRESS, WRONG_TRY_PAUSE,
};
use crate::log_event::LogEvent;
use crate::message::{self, ClientMessage, Hello, Line, Notice, ServerMessage, Welcome};
use crate::room::log::Position;
use crate::server::connection::Event;
use crate::users::logins::FlowId;
use crate::users::names::UserId;
use crate::users::names::{BOT_NAME, NameError};
use crate::users::sessions::SessionId;
use crate::users::{Asker, AuthError, Delivery, Entered, HelloError, Users};
use crate::websocket::text_of;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// What somebody who comes in has seen already.
enum Seen {
    /// Nothing, and is to be greeted.
    Newcomer,
    /// Nothing that is still known.
    Nothing,
    /// All lines up to this id; `None`: of another run.
    UpTo(Option<u64>),
}

impl Server {
    pub(crate) fn react(&mut self, id: ClientId, event: Event) {
        match event {
            Event::Refused(status) => self.note(LogEvent::Answered(id, status)),
            Event::Request(request) => self.answer(id, &request),
            Event::Message(bytes) => self.hear(id, &bytes),
        }
    }

    fn hear(&mut self, id: ClientId, bytes: &[u8]) {
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
            (Role::Guest(stranger), ClientMessage::Auth { code, flow }) => {
                let own = stranger.flow;
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
            // Strangers have nothing to say, members are in already, and nobody speaks for the server.
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

    fn hello(&mut self, id: ClientId, hello: &Hello<'_>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Role::Guest(stranger) = &mut client.role else { return };
        let now = self.now.moment;
        let address = client.address;
        // Before the name is looked at, or the answer would still tell whether it is taken.
        let wait =
            address.map_or(Duration::ZERO, |address| self.addresses.wait_to_try(now, address, Try::Name));
        if !wait.is_zero() {
            return self.limit_mail(id, wait);
        }
        let asker = Asker {
            connection: id,
            address: address.and_then(|address| self.addresses.network(address)),
            former: stranger.flow,
            mails: stranger.mails,
        };
        match self.users.hello(now, asker, hello.name(), hello.email()) {
            Ok(hello) => {
                stranger.flow = Some(hello.flow);
                let answer = ServerMessage::hello(hello.name.as_str(), &hello.flow_token, hello.code_chars);
                client.connection.send(&self.room.log, &mut self.frame, &answer);
                match hello.delivery {
                    Delivery::Mail(mail) => {
                        stranger.mails = stranger.mails.saturating_add(1);
                        self.outputs.push_back(Output::Mail(mail));
                    }
                    Delivery::Lately(wait) => {
                        self.note(LogEvent::MailLimited(id));
                        self.tell(id, Notice::CodeSentLately(whole_seconds(wait)));
                    }
                }
            }
            Err(HelloError::BadName) => self.tell(id, Notice::BadName),
            Err(HelloError::BadEmail) => self.tell(id, Notice::BadEmail),
            Err(HelloError::MayNotEnter(name, refusal)) => {
                let answer = ServerMessage::may_not_enter(name.as_str(), reason_word(refusal));
                client.connection.send(&self.room.log, &mut self.frame, &answer);
                if let Some(address) = address {
                    self.addresses.count_try(now, address, Try::Name);
                }
            }
            Err(HelloError::MailLimited(wait)) => self.limit_mail(id, wait),
        }
    }

    fn limit_mail(&mut self, id: ClientId, wait: Duration) {
        self.note(LogEvent::MailLimited(id));
        self.tell(id, Notice::MailLimited(whole_seconds(wait)));
    }

    fn auth(&mut self, id: ClientId, own_flow: Option<FlowId>, flow_token: Option<&str>, code: &str) {
        match self.users.auth(self.now.moment, own_flow, flow_token, code) {
            Ok(entered) => {
                self.note(LogEvent::LoggedIn(id));
                self.enter(id, &entered, &Seen::Newcomer);
            }
            // A right code is good whatever others have tried from the same address: the budget of each email address
            // bounds how many codes are tried, so this limit only has to slow that down.
            Err(AuthError::Wrong { left }) if self.has_try(id, Try::Code) => self.wrong_code(id, left),
            Err(AuthError::Wrong { .. }) => self.end_tries(id),
            Err(AuthError::MayNotEnter(name, refusal)) => {
                if let Some(client) = self.clients.get_mut(id) {
                    let answer = ServerMessage::may_not_enter(name.as_str(), reason_word(refusal));
                    client.connection.send(&self.room.log, &mut self.frame, &answer);
                }
            }
        }
    }

    fn resume(&mut self, id: ClientId, token: &str, run: Option<&str>, after: Option<u64>) {
        let Some(entered) = self.users.resume(token) else { return self.wrong_token(id, token) };
        let is_this_run = run.is_none_or(|run| run == self.users.run());
        let seen = match after {
            None => Seen::Nothing,
            Some(after) => Seen::UpTo(is_this_run.then_some(after)),
        };
        self.note(LogEvent::Resumed(id));
        self.enter(id, &entered, &seen);
    }

    /// Whether the client's address has a try of this kind left.
    fn has_try(&self, id: ClientId, kind: Try) -> bool {
        let address = self.clients.get(id).and_then(|client| client.address);
        address.is_none_or(|address| self.addresses.wait_to_try(self.now.moment, address, kind).is_zero())
    }

    fn count_try(&mut self, id: ClientId, kind: Try) {
        if let Some(address) = self.clients.get(id).and_then(|client| client.address) {
            self.addresses.count_try(self.now.moment, address, kind);
        }
    }

    fn wrong_code(&mut self, id: ClientId, left: u8) {
        self.note(LogEvent::WrongTry(id));
        self.count_try(id, Try::Code);
        self.reject(id, left);
    }

    /// A session token that is not valid. After a restart all tokens are, of as many people as share a client address; and
    /// nobody guesses 128 bits. So only what has not even the form of a token counts against the address.
    fn wrong_token(&mut self, id: ClientId, token: &str) {
        if !Users::is_token(token) {
            if !self.has_try(id, Try::Token) {
                return self.end_tries(id);
            }
            self.count_try(id, Try::Token);
        }
        self.note(LogEvent::WrongToken(id));
        self.reject(id, 0);
    }

    /// Answers a wrong code or token, and holds up the connection that sent it.
    fn reject(&mut self, id: ClientId, left: u8) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Role::Guest(stranger) = &mut client.role else { return };
        stranger.wrong_tries = stranger.wrong_tries.saturating_add(1);
        let is_last = stranger.wrong_tries >= CONNECTION_TRIES;
        client.connection.send(&self.room.log, &mut self.frame, &ServerMessage::auth_rst(left));
        if is_last {
            self.end_tries(id);
        } else {
            client.connection.pause(self.now.moment.after(WRONG_TRY_PAUSE));
        }
    }

    fn end_tries(&mut self, id: ClientId) {
        self.tell(id, Notice::TooManyTries);
        self.end(id, CloseReason::TooManyTries);
    }

    /// Makes a connection a member: what it missed, what it has to know, and for the others that somebody came.
    fn enter(&mut self, id: ClientId, entered: &Entered, seen: &Seen) {
        let name = entered.name.as_str();
        let before = self.room.log.end();
        let is_new = self.room.presence.arrive(entered.user, &entered.name.shared());
        if is_new {
            self.post_event(name, "entered chat", "enter");
        }
        let (start, has_gap) = self.start(seen, before, entered.session, is_new);
        if matches!(seen, Seen::Newcomer) {
            self.users.set_first_seen(entered.session, self.room.log.id_at(start));
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Role::Guest(Guest { flow: Some(flow), .. }) = client.role {
            self.users.forget_flow(flow);
        }
        let place = self.room.join(id);
        client.role = Role::Member(Member { session: entered.session, user: entered.user, start, place });
        client.connection.follow(start);
        let welcome = Welcome {
            run: self.users.run(),
            version: env!("CARGO_PKG_VERSION"),
            count: self.room.presence.count(),
            names: self.room.presence.names().take(NAMES_TOLD_MAX).collect(),
            last: self.room.log.newest_id(),
        };
        let ack = ServerMessage::auth_ack(name, &entered.token, welcome);
        client.connection.send_at(&mut self.frame, start, &ack);
        if has_gap {
            client.connection.send_at(&mut self.frame, start, &ServerMessage::notice(Notice::Gap));
        }
        if matches!(seen, Seen::Newcomer) {
            let greeting = [
                format!("Welcome to {}, @{name}!", self.settings.name),
                "Please be kind: your e-mail address is tied to what you say.".to_owned(),
            ];
            for text in greeting {
                let line = ServerMessage::aside(self.now.wall_ms, BOT_NAME, &text);
                client.connection.send_at(&mut self.frame, before, &line);
            }
        }
    }

    /// Where a new member begins to read, and whether lines that it should have seen are gone. Its own enter line, if there is one,
    /// stands behind `before`.
    fn start(&self, seen: &Seen, before: Position, session: SessionId, is_new: bool) -> (Position, bool) {
        let ring = &self.room.log;
        let lines = self.settings.history_lines + usize::from(is_new);
        let history = ring.newest(lines, HISTORY_BYTES_MAX);
        let Seen::UpTo(after) = seen else { return (history, false) };
        // A token says nothing of what was seen: nothing from before the session began, but for what any newcomer is shown.
        let first = self.users.first_seen(session).min(ring.id_at(history));
        let after = match *after {
            Some(0) => Some(first.saturating_sub(1)),
            after => after.filter(|after| after.saturating_add(1) >= first),
        };
        match after.and_then(|after| ring.after(after)) {
            Some(next) => (next.min(before), false),
            None => (history, true),
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
            Role::Guest(stranger) => Some(&mut stranger.throttle),
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
    fn charge(&mut self, id: ClientId, message_bytes: usize) {
        let now = self.now.moment;
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection.count_message();
        let own = match &mut client.role {
            Role::Member(member) => self.users.throttle(member.user),
            Role::Guest(stranger) => {
                // Even where messages have no limit: a guest has no use for many.
                client.connection.charge_frame(now);
                Some(&mut stranger.throttle)
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

    fn say(&mut self, id: ClientId, member: Member, text: &str, reference: Option<&str>) {
        if text.is_empty() {
            return;
        }
        let fits = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let Some(name) = self.users.speaker(member.session).cloned() else { return };
        let reference =
            reference.filter(|reference| !reference.is_empty() && reference.len() <= REF_BYTES_MAX);
        let mark = reference.map_or(0, |reference| mark(member.user, reference));
        if let Some(reference) = reference
            && let Some((place, frame)) = self.said_before(mark, name.as_str(), reference)
        {
            return self.say_again(id, member, place, &frame);
        }
        let time = self.now.wall_ms;
        self.post(&Line { time, name: name.as_str(), text: fits, event: None, reference }, mark);
        if fits.len() < text.len() {
            self.tell(id, Notice::TooLong);
        }
    }

    /// The line of a user that has this `ref`, as long as it stands in the ring.
    fn said_before(&self, mark: u32, name: &str, reference: &str) -> Option<(Position, Vec<u8>)> {
        let frames = self.room.log.marked(mark).take(SAME_MARK_MAX);
        let mut frames = frames.map(|(place, slices)| (place, slices.concat()));
        frames.find(|(_, frame)| message::is_line_of(text_of(frame), name, reference))
    }

    /// A line that was said already is not said twice: its sender had no answer on a connection that broke. Where it will not come
    /// by way of the ring, the sender is shown it once more.
    fn say_again(&mut self, id: ClientId, member: Member, place: Position, frame: &[u8]) {
        if let Some(client) = self.clients.get_mut(id)
            && place < member.start
        {
            client.connection.send_frame(&self.room.log, frame);
        }
    }

    fn answer_ping(&mut self, id: ClientId, text: &str) {
        if let Some(client) = self.clients.get_mut(id)
            && text.len() <= REF_BYTES_MAX
        {
            client.connection.send(&self.room.log, &mut self.frame, &ServerMessage::ping(text));
        }
    }

    fn leave(&mut self, session: SessionId) {
        let of_session = |id: &&ClientId| {
            let client = self.clients.get(**id);
            client.is_some_and(
                |client| matches!(client.role, Role::Member(member) if member.session == session),
            )
        };
        let leaving: Vec<ClientId> = self.room.readers().iter().filter(of_session).copied().collect();
        for id in leaving {
            self.end(id, CloseReason::Left);
            self.settle(id);
        }
        let user = self.users.log_out(session);
        if let Some(name) = user.and_then(|user| self.room.presence.leave_now(user)) {
            self.post_event(&name, "left chat", "leave");
        }
    }

    fn tell(&mut self, id: ClientId, notice: Notice) {
        if let Some(client) = self.clients.get_mut(id) {
            client.connection.send(&self.room.log, &mut self.frame, &ServerMessage::notice(notice));
        }
    }
}

/// What a line is found by that has a `ref`. Others may have the same.
fn mark(user: UserId, reference: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    (user, reference).hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX).max(1)
}

/// Lines of one mark that are looked at. A mark has 32 bits, so that more have it only if somebody makes them.
const SAME_MARK_MAX: usize = 4;

/// The `reason` of a refused name, for programs.
fn reason_word(refusal: NameError) -> &'static str {
    match refusal {
        NameError::Taken => "name-taken",
        NameError::TooManyNames => "too-many-names",
    }
}

/// A wait in seconds, rounded up, so that after it there is nothing left to wait.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
