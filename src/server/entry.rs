//! Entries: the decisions about users and the room, and the one place that carries them out.
//!
//! Guests and members *submit* entries; [`Server::apply`] changes users and the room, and then answers the
//! client that submitted the entry. Applying is deterministic: time and randomness are part of what is
//! applied, so the same entries in the same order lead to the same users and the same lines.
//!
//! What is a connection's own is no entry: throttles, unsent bytes, counts of connections and of tries by
//! client address. Neither is expiry, which follows from time.

use super::Server;
use super::commands::{Act, Deletion, Failure};
use super::guest::Seen;
use super::lines::BotLine;
use super::marks::mark_of_act;
use crate::base::time::Now;
use crate::close_reason::CloseReason;
use crate::http::request::Request;
use crate::ids::{ClientId, MailId};
use crate::login_email::MailError;
use crate::message::{self, Answer};
use crate::users::logins::FlowId;
use crate::users::names::UserId;
use crate::users::reports::{Received, Reported, TooManyReports};
use crate::users::rules::{Rule, TableFull};
use crate::users::sessions::SessionId;
use crate::users::{Asker, Entered, Randomness};
use crate::websocket::text_of;
use std::net::IpAddr;

/// `from` is the client that submits an entry and gets the answer.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    /// A guest asks for a login code.
    Hello { asker: Asker, name: &'a str, email: &'a str, randomness: Randomness },
    /// A guest tries a code, for the flow of the token or else for its own.
    Try {
        from: ClientId,
        own_flow: Option<FlowId>,
        flow_token: Option<&'a str>,
        code: &'a str,
        randomness: Randomness,
    },
    /// A guest shows a session token.
    Resume { from: ClientId, token: &'a str, seen: Seen },
    /// A connection of a session joins the room.
    /// `network` is the client network that a ban may close.
    Arrive { from: ClientId, entered: &'a Entered, seen: Seen, network: Option<IpAddr> },
    /// The grace of a user without a connection is over.
    Depart { user: UserId },
    /// A session ends, on all its connections.
    Logout { session: SessionId },
    /// A member says a line.
    Say { from: ClientId, session: SessionId, text: &'a str, reference: Option<&'a str> },
    /// A bot says a line, in answer to which it gets a response to the request.
    SayAsBot { from: ClientId, request: &'a Request, line: &'a BotLine<'a> },
    /// A moderator acts.
    Act { from: ClientId, session: SessionId, act: &'a Act, reference: Option<&'a str> },
    /// Lines are deleted.
    Delete { session: SessionId, deletion: &'a Deletion, reference: Option<&'a str> },
    /// A moderator changes a rule that the room is not told of.
    Rule { from: ClientId, rule: &'a Rule, answer: &'a str, reference: Option<&'a str> },
    /// A member reports somebody or a line to the moderators.
    Report { from: ClientId, session: SessionId, reported: &'a Reported, reference: Option<&'a str> },
    /// The result of sending a login email.
    MailDone { mail: MailId, result: Result<(), MailError> },
}

impl Server {
    /// Submits an entry. It is applied at once.
    pub(super) fn submit(&mut self, entry: &Entry<'_>) {
        self.apply(self.now, entry);
    }

    /// Carries out an entry. The one place where users and the room change.
    fn apply(&mut self, at: Now, entry: &Entry<'_>) {
        match *entry {
            Entry::Say { from, session, text, reference } => {
                self.apply_say(at, from, session, text, reference);
            }
            Entry::SayAsBot { from, request, line } => self.apply_say_as_bot(at, from, request, line),
            Entry::Hello { asker, name, email, randomness } => {
                let result = self.users.hello(at.moment, asker, name, email, randomness);
                self.answer_hello(asker.connection, result);
            }
            Entry::Try { from, own_flow, flow_token, code, randomness } => {
                let result = self.users.auth(at.moment, own_flow, flow_token, code, randomness);
                self.answer_auth(from, result);
            }
            Entry::Resume { from, token, seen } => {
                let result = self.users.resume(at.moment, token);
                self.answer_resume(from, token, result, seen);
            }
            Entry::Arrive { from, entered, seen, network } => {
                self.users.connect(at.moment, entered.session, entered.user, network);
                self.apply_arrive(at, from, entered, seen);
            }
            Entry::Depart { user } => {
                if let Some(name) = self.room.presence.remove(user) {
                    self.post_event(at, &name, "left chat", "leave");
                }
            }
            Entry::Logout { session } => self.apply_logout(session),
            Entry::Act { from, session, act, reference } => {
                self.apply_act(at, from, session, act, reference);
            }
            Entry::Delete { session, deletion, reference } => {
                self.apply_delete(at, session, deletion, reference);
            }
            Entry::Rule { from, rule, answer, reference } => {
                match self.users.set_rule(at.moment, rule.clone()) {
                    Ok(()) => self.answer_privately(from, answer, Answer { reference, ..Answer::default() }),
                    Err(TableFull) => self.refuse_line(from, &Failure::TooMany, reference),
                }
            }
            Entry::Report { from, session, reported, reference } => {
                self.apply_report(at, from, session, reported, reference);
            }
            Entry::MailDone { mail, result } => {
                let waiting = self.users.mail_done(mail, result);
                self.notify_failed_email(&waiting);
            }
        }
    }

    fn apply_arrive(&mut self, at: Now, from: ClientId, entered: &Entered, seen: Seen) {
        let before = self.room.log.end();
        let is_new = self.room.presence.arrive(at.moment, entered.user, &entered.name.shared());
        if is_new {
            self.post_event(at, entered.name.as_str(), "entered chat", "enter");
        }
        self.join(from, entered, seen, before, is_new);
    }

    fn apply_logout(&mut self, session: SessionId) {
        for id in self.connections_of(session) {
            self.close(id, CloseReason::Left);
        }
        self.end_session(session);
    }

    /// Ends a session that has no connection any more. If it was the last of a present user, the room learns
    /// it at once.
    fn end_session(&mut self, session: SessionId) {
        let user = self.users.log_out(session);
        if let Some(user) = user.filter(|&user| self.room.presence.is_in_grace(user)) {
            self.submit(&Entry::Depart { user });
        }
    }

    fn apply_report(
        &mut self,
        at: Now,
        from: ClientId,
        session: SessionId,
        reported: &Reported,
        reference: Option<&str>,
    ) {
        let Some((user, name)) = self.users.speaker(session) else { return };
        let name = name.shared();
        match self.users.report(at.moment, user, reported) {
            Ok(Received::New) => {
                self.tell_moderators(&name, &reported.text);
                self.confirm_report(from, reference);
            }
            Ok(Received::Again) => self.confirm_report(from, reference),
            Err(TooManyReports(wait)) => self.refuse_line(from, &Failure::TooManyReports(wait), reference),
        }
    }

    fn apply_act(&mut self, at: Now, from: ClientId, session: SessionId, act: &Act, reference: Option<&str>) {
        let Some((user, name)) = self.users.speaker(session) else { return };
        let name = name.shared();
        if let Some(rule) = act.rule.clone()
            && let Err(TableFull) = self.users.set_rule(at.moment, rule)
        {
            return self.refuse_line(from, &Failure::TooMany, reference);
        }
        let mark = mark_of_act(user, reference);
        self.post_act(at, &name, act, reference, mark);
        let Some(removal) = &act.removal else { return };
        for session in removal.users.iter().flat_map(|&user| self.users.sessions_of(user)).collect::<Vec<_>>()
        {
            for id in self.connections_of(session) {
                self.notify_removed(id, &name, removal);
                self.close(id, CloseReason::Removed);
            }
            self.end_session(session);
        }
    }

    /// Replaces the lines in the log, each by a frame of the same length, and tells the room. From here on
    /// only a reader that has begun such a line receives its words.
    fn apply_delete(&mut self, at: Now, session: SessionId, deletion: &Deletion, reference: Option<&str>) {
        let Some((user, name)) = self.users.speaker(session) else { return };
        let name = name.shared();
        let outboxes = self.clients.iter_untouched().map(|client| &mut client.connection.outbox);
        for outbox in outboxes.filter(|outbox| outbox.offers_frames() || outbox.has_lines()) {
            for frame in deletion.ids.iter().filter_map(|&id| self.room.log.frame(id)) {
                outbox.keep_offered(&frame);
                outbox.drop_line(frame.start);
            }
        }
        for &id in &deletion.ids {
            let Some(found) = self.room.log.frame(id) else { continue };
            let bytes = text_of(&found.bytes.concat()).len();
            let frame = self.frame.build(|out| message::write_gone(id, bytes, out));
            self.room.log.replace(id, frame);
        }
        self.post_deletion(at, &name, deletion, reference, mark_of_act(user, reference));
    }
}
