//! A guest: asks for a login code, shows it or a session token, and becomes a member.

use super::client::{Client, Membership};
use super::client_addresses::Try;
use super::entry::{AtDoor, Entry};
use super::{Output, Server};
use crate::base::time::Now;
use crate::close_reason::CloseReason;
use crate::ids::{ClientId, NodeId};
use crate::limits::{CONNECTION_TRIES, HISTORY_BYTES_MAX, NAMES_TOLD_MAX, WRONG_TRY_PAUSE};
use crate::log_event::LogEvent;
use crate::message::{Hello, MayNotEnter, Notice, ServerMessage, Welcome};
use crate::room::log::Position;
use crate::users::names::{BOT_NAME, NameError};
use crate::users::sessions::SessionId;
use crate::users::user_name::UserName;
use crate::users::{self, Asker, AuthError, Delivery, Entered, HelloError, ResumeError, Users};
use std::time::Duration;

/// The lines that a new member has seen already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// None: it has just logged in, and is greeted.
    Newcomer,
    /// None that it still knows.
    Nothing,
    /// All lines up to this id; `None`: of another run.
    UpTo(Option<u64>),
}

/// Where a new member begins to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// Its own enter line, if there is one, begins here.
    pub(crate) before: Position,
    pub(crate) from: Position,
    /// Whether lines that it should have seen are gone.
    pub(crate) has_gap: bool,
}

impl Server {
    pub(crate) fn hello(&mut self, id: ClientId, hello: &Hello<'_>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let address = client.address;
        let Some(guest) = client.guest() else { return };
        // Before the name is looked at, or the answer would still tell whether it is taken.
        let wait = address.map_or(Duration::ZERO, |address| {
            self.addresses.wait_to_try(self.now.moment, address, Try::Name)
        });
        if !wait.is_zero() {
            return self.limit_mail(id, wait);
        }
        let asker = Asker {
            node: NodeId::default(),
            connection: id,
            address: address.and_then(|address| self.addresses.network(address)),
            former: guest.flow,
            mails: guest.mails,
        };
        let randomness = self.users.draw();
        let entry = Entry::Hello { asker, name: hello.name(), email: hello.email(), randomness };
        self.submit(&entry);
    }

    pub(super) fn answer_hello(&mut self, id: ClientId, result: Result<users::Hello, HelloError>) {
        if id == ClientId::ELSEWHERE {
            return;
        }
        match result {
            Ok(hello) => {
                let is_mailed = matches!(hello.delivery, Delivery::Mail(_));
                if let Some(guest) = self.clients.get_mut(id).and_then(Client::guest) {
                    guest.flow = Some(hello.flow);
                    guest.mails = guest.mails.saturating_add(u8::from(is_mailed));
                }
                let answer = ServerMessage::hello(hello.name.as_str(), &hello.flow_token, hello.code_chars);
                self.send(id, &answer);
                match hello.delivery {
                    Delivery::Mail(mail) => self.outputs.push_back(Output::Mail(mail)),
                    Delivery::Lately(wait) => {
                        self.note(LogEvent::MailLimited(id));
                        self.notify(id, Notice::CodeSentLately(whole_seconds(wait)));
                    }
                }
            }
            Err(HelloError::BadName(error)) => self.notify(id, Notice::BadName(error.sentence())),
            Err(HelloError::BadEmail) => self.notify(id, Notice::BadEmail),
            Err(HelloError::NotAdmitted(name)) => {
                self.not_admitted(id, name.as_ref().map_or("", UserName::as_str));
            }
            Err(HelloError::Locked(name, wait)) => {
                self.locked(id, &name, wait);
                self.count_try(id, Try::Name);
            }
            Err(HelloError::MayNotEnter(name, refusal)) => {
                self.send(id, &ServerMessage::may_not_enter(name.as_str(), refusal.into()));
                self.count_try(id, Try::Name);
            }
            Err(HelloError::MailLimited(wait)) => self.limit_mail(id, wait),
        }
    }

    fn limit_mail(&mut self, id: ClientId, wait: Duration) {
        self.note(LogEvent::MailLimited(id));
        self.notify(id, Notice::MailLimited(whole_seconds(wait)));
    }

    pub(crate) fn auth(&mut self, id: ClientId, flow_token: Option<&str>, code: &str) {
        let (guest, randomness) = (self.at_door(id), self.users.draw());
        self.submit(&Entry::Try { guest, flow_token, code, randomness });
    }

    fn at_door(&mut self, from: ClientId) -> AtDoor {
        let client = self.clients.get_untouched(from);
        let (address, own_flow) = client
            .map_or((None, None), |client| (client.address, client.guest().and_then(|guest| guest.flow)));
        let network = address.and_then(|address| self.addresses.closable_network(address));
        AtDoor { from, own_flow, network }
    }

    pub(super) fn refuse_code(&mut self, id: ClientId, error: AuthError) {
        if self.clients.get(id).is_none() {
            return;
        }
        match error {
            // A right code is good whatever others have tried from the same address: the budget of each email
            // address bounds how many codes are tried, so this limit only has to slow that down.
            AuthError::Wrong { left } if self.has_try(id, Try::Code) => self.wrong_code(id, left),
            AuthError::Wrong { .. } => self.end_tries(id),
            AuthError::NotAdmitted(name) => self.not_admitted(id, name.as_str()),
            AuthError::Locked(name, wait) => self.locked(id, &name, wait),
            AuthError::MayNotEnter(name, refusal) => {
                self.send(id, &ServerMessage::may_not_enter(name.as_str(), refusal.into()));
            }
        }
    }

    /// Refuses an address at the door. It counts like a wrong code, so that the lists cannot be probed.
    fn not_admitted(&mut self, id: ClientId, name: &str) {
        if !self.has_try(id, Try::Code) {
            return self.end_tries(id);
        }
        self.note(LogEvent::NotAdmitted(id));
        self.count_try(id, Try::Code);
        self.reject(id, &ServerMessage::may_not_enter(name, MayNotEnter::NotAdmitted));
    }

    fn locked(&mut self, id: ClientId, name: &UserName, wait: Duration) {
        let refusal = MayNotEnter::Locked(whole_seconds(wait));
        self.send(id, &ServerMessage::may_not_enter(name.as_str(), refusal));
    }

    pub(crate) fn resume(&mut self, id: ClientId, token: &str, run: Option<&str>, after: Option<u64>) {
        let guest = self.at_door(id);
        self.submit(&Entry::Resume { guest, token, run, after });
    }

    pub(super) fn refuse_token(&mut self, id: ClientId, token: &str, error: ResumeError) {
        if self.clients.get(id).is_none() {
            return;
        }
        match error {
            ResumeError::Invalid => self.wrong_token(id, token),
            ResumeError::NotAdmitted(name) => self.not_admitted(id, name.as_str()),
        }
    }

    pub(super) fn note_entered(&mut self, id: ClientId, seen: Seen) {
        if self.clients.get(id).is_some() {
            self.note(if seen == Seen::Newcomer { LogEvent::LoggedIn(id) } else { LogEvent::Resumed(id) });
        }
    }

    /// Whether the client's address has a try of this kind left.
    fn has_try(&mut self, id: ClientId, kind: Try) -> bool {
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
        self.reject(id, &ServerMessage::auth_rst(left));
    }

    /// A session token that is not valid. After a restart all tokens are, of as many people as share a client
    /// address; and nobody guesses 128 bits. So only what has not even the form of a token counts against the
    /// address.
    fn wrong_token(&mut self, id: ClientId, token: &str) {
        if !Users::is_token(token) {
            if !self.has_try(id, Try::Token) {
                return self.end_tries(id);
            }
            self.count_try(id, Try::Token);
        }
        self.note(LogEvent::WrongToken(id));
        self.reject(id, &ServerMessage::auth_rst(0));
    }

    /// Answers a wrong code or token, or an address that is not admitted, and holds up the connection that
    /// sent it.
    fn reject(&mut self, id: ClientId, answer: &ServerMessage<'_>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(guest) = client.guest() else { return };
        guest.wrong_tries = guest.wrong_tries.saturating_add(1);
        let is_last = guest.wrong_tries >= CONNECTION_TRIES;
        if !is_last {
            client.connection.read_throttle.pause(self.now.moment.after(WRONG_TRY_PAUSE));
        }
        self.send(id, answer);
        if is_last {
            self.end_tries(id);
        }
    }

    fn end_tries(&mut self, id: ClientId) {
        self.notify(id, Notice::TooManyTries);
        self.close(id, CloseReason::TooManyTries);
    }

    /// Makes a guest a member: queues the acknowledgement, the lines that it missed and the greeting. False:
    /// there is no such guest.
    pub(super) fn join(
        &mut self,
        at: Now,
        id: ClientId,
        entered: &Entered,
        seen: Seen,
        start: Start,
    ) -> bool {
        let name = entered.name.as_str();
        let Start { before, from: start, has_gap } = start;
        let Some(client) = self.clients.get_mut(id) else { return false };
        if client.guest().is_none() {
            return false;
        }
        client.join(Membership { session: entered.session, user: entered.user, start });
        self.room.readers.add(id);
        let topic = self.users.rules().topic();
        let welcome = Welcome {
            run: self.users.run(),
            version: env!("CARGO_PKG_VERSION"),
            count: self.room.presence.count(),
            names: self.room.presence.names().take(NAMES_TOLD_MAX).collect(),
            last: self.room.log.newest_id(),
            moderator: self.users.is_moderator(entered.user),
            topic: topic.as_deref(),
            slow: self.users.rules().slow().map(whole_seconds),
            muted: self.users.mute_left(at.moment, entered.user).map(whole_seconds),
        };
        let mut send_at = |place, message: &ServerMessage<'_>| {
            client.connection.outbox.push_at(place, self.frame.build(|out| message.write(out)));
        };
        send_at(start, &ServerMessage::auth_ack(name, &entered.token, welcome));
        if has_gap {
            send_at(start, &ServerMessage::notice(Notice::Gap));
        }
        if seen == Seen::Newcomer {
            let greeting = [
                format!("Welcome to {}, @{name}!", self.settings.name),
                "Please be kind: your email address is tied to what you say.".to_owned(),
            ];
            for text in greeting {
                send_at(before, &ServerMessage::aside(at.wall_ms, BOT_NAME, &text));
            }
        }
        true
    }

    /// Where a new member begins to read. Its own enter line, if there is one, stands behind `before`.
    pub(super) fn start(&self, seen: Seen, before: Position, session: SessionId, is_new: bool) -> Start {
        let ring = &self.room.log;
        let lines = self.settings.history_lines + usize::from(is_new);
        let history = ring.newest(lines, HISTORY_BYTES_MAX);
        let Seen::UpTo(after) = seen else { return Start { before, from: history, has_gap: false } };
        // A token says nothing of what was seen: nothing from before the session began, but for what any
        // newcomer is shown.
        let first = self.users.first_seen(session).min(ring.id_at(history));
        let after = match after {
            Some(0) => Some(first.saturating_sub(1)),
            after => after.filter(|after| after.saturating_add(1) >= first),
        };
        let next = after.and_then(|after| ring.after(after));
        Start { before, from: next.map_or(history, |next| next.min(before)), has_gap: next.is_none() }
    }
}

impl From<NameError> for MayNotEnter {
    fn from(error: NameError) -> Self {
        match error {
            NameError::Taken => Self::NameTaken,
            NameError::TooManyNames => Self::TooManyNames,
        }
    }
}

/// A wait in seconds, rounded up, so that after it there is nothing left to wait.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
