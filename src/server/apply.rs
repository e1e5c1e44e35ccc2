//! Where entries are applied: the one place where users and the room change, and where clients are answered.
//! Applying is deterministic: the same entries in the same order, at the same times, lead to the same users
//! and the same lines.

use super::Server;
use super::commands::{self, Act, Deletion, Failure, Parsed};
use super::entry::{AtDoor, Entry};
use super::guest::Seen;
use super::member::Sender;
use crate::base::time::Now;
use crate::close_reason::CloseReason;
use crate::ids::{ClientId, MailId, NodeId};
use crate::login_email::MailError;
use crate::message::{self, Notice};
use crate::users::names::UserId;
use crate::users::reports::{Received, Reported, TooManyReports};
use crate::users::rules::{Rule, TableFull};
use crate::users::sessions::SessionId;
use crate::users::{Asker, Entered};
use crate::websocket::text_of;

impl Server {
    /// Submits an entry. A node that shares its room with nobody applies it at once.
    pub(super) fn submit(&mut self, entry: &Entry<'_>) {
        if self.is_shared() {
            self.submit_to_log(entry);
        } else {
            self.apply(self.now, NodeId::default(), entry);
        }
    }

    /// Applies an entry that a node has submitted.
    pub(super) fn apply(&mut self, at: Now, node: NodeId, entry: &Entry<'_>) {
        match *entry {
            Entry::Hello { asker, name, email, randomness } => {
                let asker = Asker { node, ..asker };
                let result = self.users.hello(at.moment, asker, name, email, randomness);
                self.answer_hello(self.here(node, asker.connection), result);
            }
            Entry::Try { guest, flow_token, code, randomness } => {
                let result = self.users.auth(at.moment, guest.own_flow, flow_token, code, randomness);
                match result {
                    Ok(entered) => self.enter(at, node, guest, &entered, Seen::Newcomer),
                    Err(error) => self.refuse_code(self.here(node, guest.from), error),
                }
            }
            Entry::Resume { guest, token, run, after } => {
                let is_this_run = run.is_none_or(|run| run == self.users.run());
                let seen = match after {
                    None => Seen::Nothing,
                    Some(after) => Seen::UpTo(is_this_run.then_some(after)),
                };
                match self.users.resume(at.moment, token) {
                    Ok(entered) => self.enter(at, node, guest, &entered, seen),
                    Err(error) => self.refuse_token(self.here(node, guest.from), token, error),
                }
            }
            Entry::Disconnect { session } => {
                if self.count_disconnection(session, node) {
                    self.disconnect_session(at, session, false);
                }
            }
            Entry::Logout { session } => {
                for id in self.connections_of(session) {
                    self.end_membership(id, CloseReason::Left);
                }
                self.end_session(at, session);
            }
            Entry::Say { from, session, text, reference } => {
                if let Some(sender) = self.sender(at, self.here(node, from), session, reference) {
                    self.apply_say(&sender, text);
                }
            }
            Entry::Command { from, session, text, reference } => {
                // What submits it has found that it is one.
                if let Parsed::Command(command, arguments) = commands::parse(text)
                    && let Some(sender) = self.sender(at, self.here(node, from), session, reference)
                {
                    self.command(&sender, command, arguments);
                }
            }
            Entry::SayAsBot { from, line } => {
                let result = self.post_as_bot(at, line);
                self.answer_bot(self.here(node, from), line.is_cut, result);
            }
            Entry::MailDone { mail, result } => self.apply_mail_done(mail, result),
        }
    }

    /// A guest has shown who it is: its user has one more connection, and is in the room.
    fn enter(&mut self, at: Now, node: NodeId, guest: AtDoor, entered: &Entered, seen: Seen) {
        let id = self.here(node, guest.from);
        self.note_entered(id, seen);
        self.users.connect(at.moment, entered.session, entered.user, guest.network);
        self.count_connection(entered.session, node, guest.network);
        if let Some(flow) = guest.own_flow {
            self.users.forget_flow(flow);
        }
        let before = self.room.log.end();
        let is_new = self.room.presence.arrive(at.moment, entered.user, &entered.name.shared());
        if is_new {
            self.post_event(at, entered.name.as_str(), "entered chat", "enter");
        }
        let start = self.start(seen, before, entered.session, is_new);
        if seen == Seen::Newcomer {
            self.users.set_first_seen(entered.session, self.room.log.id_at(start.from));
        }
        let session = entered.session;
        if !self.join(at, id, entered, seen, start) && id != ClientId::ELSEWHERE {
            // Meanwhile the connection has ended.
            self.submit(&Entry::Disconnect { session });
        }
    }

    /// A session has one connection less. If it was the user's last, the user departs: at once, or when the
    /// grace is over.
    pub(super) fn disconnect_session(&mut self, at: Now, session: SessionId, at_once: bool) {
        let Some(user) = self.users.disconnect(at.moment, session) else { return };
        let grace = self.settings.leave_grace;
        if at_once || grace.is_zero() {
            self.depart(at, user);
        } else {
            self.room.presence.begin_grace(user, at.moment.after(grace));
        }
    }

    /// The grace of a user without a connection is over.
    pub(super) fn depart(&mut self, at: Now, user: UserId) {
        if let Some(name) = self.room.presence.remove(user) {
            self.post_event(at, &name, "left chat", "leave");
        }
    }

    /// Ends a session, with its connections. If the user has no other, the room learns it at once.
    fn end_session(&mut self, at: Now, session: SessionId) {
        self.forget_connections(session);
        if let Some(user) = self.users.log_out(at.moment, session) {
            self.depart(at, user);
        }
    }

    pub(super) fn apply_mail_done(&mut self, mail: MailId, result: Result<(), MailError>) {
        for (node, id) in self.users.mail_done(mail, result) {
            let id = self.here(node, id);
            if self.clients.get_mut(id).is_some_and(|client| client.guest().is_some()) {
                self.notify(id, Notice::MailFailed);
            }
        }
    }

    pub(super) fn apply_report(&mut self, sender: &Sender<'_>, reported: &Reported) {
        let &Sender { at, from, user, ref name, reference } = sender;
        match self.users.report(at.moment, user, reported) {
            Ok(Received::New) => self.tell_moderators(&format!("@{name} reports {}", reported.text)),
            Ok(Received::Again) => {}
            Err(TooManyReports(wait)) => {
                return self.refuse_line(from, &Failure::TooManyReports(wait), reference);
            }
        }
        let text = "Your report is with the moderators. They see your name.";
        self.answer_privately(from, text, reference);
    }

    /// Changes a rule that the room is not told of.
    pub(super) fn apply_rule(&mut self, sender: &Sender<'_>, rule: Rule, answer: &str) {
        match self.users.set_rule(sender.at.moment, rule) {
            Ok(()) => self.answer_privately(sender.from, answer, sender.reference),
            Err(TableFull) => self.refuse_line(sender.from, &Failure::TooMany, sender.reference),
        }
    }

    pub(super) fn apply_act(&mut self, sender: &Sender<'_>, act: &Act) {
        if let Some(rule) = act.rule.clone()
            && let Err(TableFull) = self.users.set_rule(sender.at.moment, rule)
        {
            return self.refuse_line(sender.from, &Failure::TooMany, sender.reference);
        }
        self.post_act(sender, act);
        let Some(removal) = &act.removal else { return };
        for session in removal.users.iter().flat_map(|&user| self.users.sessions_of(user)).collect::<Vec<_>>()
        {
            for id in self.connections_of(session) {
                self.notify_removed(id, &sender.name, removal);
                self.end_membership(id, CloseReason::Removed);
            }
            self.end_session(sender.at, session);
        }
    }

    /// Replaces the lines in the log, each by a frame of the same length, and tells the room. From here on
    /// only a reader that has begun such a line receives its words.
    pub(super) fn apply_delete(&mut self, sender: &Sender<'_>, deletion: &Deletion) {
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
        self.post_deletion(sender, deletion);
    }
}
