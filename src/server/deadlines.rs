//! What happens when time has passed: deadlines of connections, graces, expiry, overdue emails, and the end of the server.

use super::clients::Role;
use super::{Life, Server};
use crate::close_reason::CloseReason;
use crate::ids::{ClientId, MailId};
use crate::limits::{CATCH_UP, CATCH_UP_AGAIN, LATE_MIN, SHUTDOWN_TIMEOUT};
use crate::log_event::LogEvent;
use crate::login_email::MailError;
use crate::message::{Notice, ServerMessage};
use crate::server::connection::{Clock, Timer};

impl Server {
    /// A tick that comes late says that the process was stopped: what peers sent meanwhile lies in the sockets and is read first.
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
            self.settle(id);
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
        let now = self.now.moment;
        while let Some(name) = self.room.presence.pop_left(now) {
            self.post_event(&name, "left chat", "leave");
        }
        if self.users.next_deadline().is_some_and(|deadline| deadline <= now) {
            while let Some(mail) = self.users.overdue_mail(now) {
                self.mail_done(mail, Err(MailError::Late));
            }
            self.users.forget_expired(now);
        }
        self.addresses.forget_expired(now);
    }

    /// Does what the deadlines of a connection ask for. Each arm moves its deadline.
    pub(super) fn expire(&mut self, id: ClientId) {
        let now = self.now.moment;
        let clock = self.clock();
        while let Some(client) = self.clients.get_mut(id) {
            match client.connection.expired(now, clock) {
                None => return,
                Some(Timer::Request) => client.connection.request_is_overdue(&self.room.log, now),
                Some(Timer::Ping) => client.connection.ping(now),
                Some(Timer::Pause) => client.connection.resume(now),
                Some(Timer::Probe) => {
                    client.connection.probe(now);
                    self.clients.make_ready(id);
                }
                Some(Timer::Guest) => self.end(id, CloseReason::GuestTooLong),
                Some(Timer::Silence) => self.remove(id, CloseReason::Silent),
                Some(Timer::Progress) => self.remove(id, CloseReason::Stalled),
                Some(Timer::End) => {
                    let reason = client.connection.reason().unwrap_or(CloseReason::PeerGone);
                    self.remove(id, reason);
                }
            }
        }
    }

    pub(super) fn mail_done(&mut self, mail: MailId, result: Result<(), MailError>) {
        if let Err(fault) = result {
            self.note(LogEvent::MailFailed(mail, fault));
        }
        for id in self.users.mail_done(mail, result) {
            if let Some(client) = self.clients.get_mut(id)
                && matches!(client.role, Role::Guest(_))
            {
                client.connection.send(
                    &self.room.log,
                    &mut self.frame,
                    &ServerMessage::notice(Notice::MailFailed),
                );
                self.settle(id);
            }
        }
    }

    pub(super) fn shut_down(&mut self) {
        if self.life != Life::Serving {
            return;
        }
        self.life = Life::Stopping(self.now.moment.after(SHUTDOWN_TIMEOUT));
        self.note(LogEvent::Stopping { connections: self.clients.len() });
        for id in self.clients.ids() {
            if let Some(client) = self.clients.get_mut(id)
                && matches!(client.role, Role::Guest(_) | Role::Member(_))
            {
                client.connection.send(
                    &self.room.log,
                    &mut self.frame,
                    &ServerMessage::notice(Notice::Restarting),
                );
            }
            self.end(id, CloseReason::Restarting);
            self.settle(id);
        }
    }
}
