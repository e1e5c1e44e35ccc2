//! What happens when time has passed: deadlines of connections, graces, expiry, overdue emails, and the end
//! of the server.

use super::client::Timer;
use super::connection::Clock;
use super::entry::Entry;
use super::{Output, Server};
use crate::base::frost::frost;
use crate::base::time::{Moment, Now};
use crate::close_reason::CloseReason;
use crate::http::site::Refusal;
use crate::ids::{ClientId, MailId};
use crate::limits::{CATCH_UP, CATCH_UP_AGAIN, LATE_MIN, SHUTDOWN_TIMEOUT};
use crate::log_event::LogEvent;
use crate::login_email::MailError;
use crate::message::Notice;

/// Whether the server still serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    /// Everyone is notified; at this time the connections that are left are closed.
    Stopping(Moment),
    Stopped,
}

frost!(enum Life { 0 = Serving, 1 = Stopping(until), 2 = Stopped });

impl Server {
    /// The next time at which [`super::Input::Tick`] must be handled, if there is one.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let stop = match self.life {
            Life::Stopped => return None,
            Life::Stopping(until) if !self.clients.is_empty() || !self.has_left() => Some(until),
            Life::Serving | Life::Stopping(_) => None,
        };
        let deadlines = [
            self.clients.next_deadline(),
            self.next_deadline_of_people(),
            self.addresses.next_deadline(),
            stop,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// A tick that comes late says that the process was stopped: what peers sent meanwhile lies in the
    /// sockets and is read first.
    pub(super) fn notice_lateness(&mut self) {
        let now = self.now.moment;
        let is_late = self.next_deadline().is_some_and(|due| now.since(due) >= LATE_MIN);
        if is_late && now >= self.judge_from.after(CATCH_UP_AGAIN) {
            self.judge_from = now.after(CATCH_UP);
        }
    }

    pub(super) fn clock(&self) -> Clock {
        Clock { ping_after: self.settings.ping_after, judge_from: self.judge_from }
    }

    pub(super) fn fire_deadlines(&mut self) {
        let now = self.now.moment;
        while let Some(id) = self.clients.pop_due(now) {
            self.expire(id);
        }
        if let Life::Stopping(until) = self.life
            && until <= now
        {
            for id in self.clients.ids() {
                self.remove(id, CloseReason::Restarting);
            }
        }
    }

    /// Drops what has expired, before any input could use it.
    pub(super) fn forget_expired(&mut self) {
        if !self.is_shared() {
            self.forget_expired_people(self.now);
        }
        self.addresses.forget_expired(self.now.moment);
    }

    /// Drops what has expired of users and of the room.
    pub(super) fn forget_expired_people(&mut self, at: Now) {
        while let Some(user) = self.room.presence.pop_expired(at.moment) {
            self.depart(at, user);
        }
        if self.users.next_deadline().is_some_and(|deadline| deadline <= at.moment) {
            while let Some((mail, node)) = self.users.overdue_mail(at.moment) {
                if node == self.node() {
                    self.note(LogEvent::MailFailed(mail, MailError::Late));
                }
                self.apply_mail_done(mail, Err(MailError::Late));
            }
            self.users.forget_expired(at.moment);
        }
    }

    /// Acts on a client's deadlines that have passed. Each arm moves its deadline or ends the client.
    fn expire(&mut self, id: ClientId) {
        let now = self.now.moment;
        let clock = self.clock();
        while let Some(client) = self.clients.get_mut(id) {
            match client.expired(now, clock) {
                None => return,
                // Half a request gets a response, silence gets none.
                Some(Timer::Request) if client.is_in_request() => {
                    self.refuse(id, Refusal::Timeout, CloseReason::BadRequest);
                }
                Some(Timer::Request) => self.close(id, CloseReason::HttpDone),
                Some(Timer::Ping) => client.connection.ping(now),
                Some(Timer::EmptyLine) => client.queue_empty_line(now, &self.room.log),
                Some(Timer::Pause) => client.connection.resume(now),
                Some(Timer::Probe) => client.connection.probe(now),
                Some(Timer::Guest) => self.close(id, CloseReason::GuestTooLong),
                Some(Timer::Silence) => self.remove(id, CloseReason::Silent),
                Some(Timer::Progress) => self.remove(id, CloseReason::Stalled),
                Some(Timer::Closing) => {
                    let reason = client.close_reason().unwrap_or(CloseReason::PeerGone);
                    self.remove(id, reason);
                }
            }
        }
    }

    pub(super) fn mail_done(&mut self, mail: MailId, result: Result<(), MailError>) {
        match result {
            Ok(()) => self.counters.count_sent(),
            Err(error) => self.note(LogEvent::MailFailed(mail, error)),
        }
        self.submit(&Entry::MailDone { mail, result });
    }

    pub(super) fn stop_if_empty(&mut self) {
        if let Life::Stopping(until) = self.life
            && self.clients.is_empty()
            && (self.has_left() || until <= self.now.moment)
        {
            self.life = Life::Stopped;
            self.note(LogEvent::Stopped { unknown_messages: self.unknown_messages });
            self.outputs.push_back(Output::Stopped);
        }
    }

    pub(super) fn shut_down(&mut self) {
        if self.life != Life::Serving {
            return;
        }
        self.life = Life::Stopping(self.now.moment.after(SHUTDOWN_TIMEOUT));
        self.note(LogEvent::Stopping { connections: self.clients.len() });
        self.leave_nodes();
        for id in self.clients.ids() {
            let Some(client) = self.clients.get_mut(id) else { continue };
            if client.is_websocket() {
                self.notify(id, Notice::Restarting);
            } else if client.is_streaming() {
                // It ends behind its last line.
                client.end_stream_at(self.room.log.end());
                continue;
            } else if client.is_in_body() {
                self.refuse(id, Refusal::Restarting, CloseReason::Restarting);
                continue;
            }
            self.close(id, CloseReason::Restarting);
        }
    }
}
