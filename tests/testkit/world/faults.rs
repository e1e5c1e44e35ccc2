//! What goes wrong around a server: sockets that stall, connections that break, emails that are lost, and
//! whatever happens between two calls of the contract. A shell keeps an order of calls, but nothing makes one
//! follow the other at once: the system may stop the process between any two, and a shell may pass on what
//! else it knows first.

use super::World;
use crate::testkit::client::{Client, PING_PAYLOAD, Phase};
use crate::testkit::codec::{CLOSE, PING, frame, message};
use plume::base::time::Moment;
use plume::ids::ClientId;
use plume::limits::READS_PER_TURN;
use plume::login_email::MailError;
use plume::server::Input;
use std::time::Duration;

impl World {
    /// A gap between two calls: often nothing; sometimes time jumps and other inputs arrive.
    pub(super) fn gap(&mut self) {
        if self.nature.calls_per_gap == 0 || self.gap_events_left == 0 {
            return;
        }
        if let Some(left) = self.calls_to_gap.checked_sub(1) {
            self.calls_to_gap = left;
            return;
        }
        self.plan_gap();
        self.was_interrupted = true;
        for _ in 0..=self.choices.below(4) {
            self.gap_events_left = self.gap_events_left.saturating_sub(1);
            self.interrupt();
        }
    }

    pub(super) fn plan_gap(&mut self) {
        self.calls_to_gap = match self.nature.calls_per_gap {
            0 => 0,
            calls => self.choices.below(2 * calls),
        };
    }

    fn interrupt(&mut self) {
        self.tally.count("input in a gap", 1);
        match self.choices.below(100) {
            0..30 => self.jump(),
            30..55 => self.read_from_any(),
            55..80 => {
                self.with_client(Self::behave);
                self.read_from_any();
            }
            80..85 => self.tick(),
            85..91 => self.bring_mail(),
            91..94 => self.connect(),
            94..96 => self.end_peer(),
            96..98 => self.depart(),
            _ => self.reset(),
        }
    }

    /// Time passes, and the server does not learn of it until the next input.
    fn jump(&mut self) {
        let wait = match self.choices.below(100) {
            0..40 => Duration::from_micros(1 + self.choices.below(5_000)),
            40..60 => Duration::from_millis(1 + self.choices.below(1_000)),
            60..68 => Duration::from_secs(1 + self.choices.below(30)),
            68..70 => Duration::from_secs(30 + self.choices.below(270)),
            // Up to the moment at which something is due: a pause ends, for one.
            _ => self.until_next_deadline(),
        };
        self.stop(wait);
    }

    fn until_next_deadline(&self) -> Duration {
        let wait = self.shell.driver.server.next_deadline().map(|next: Moment| next.since(self.now()));
        wait.filter(|&wait| wait < Duration::from_secs(20)).unwrap_or_default()
    }

    /// All that some client has sent arrives, as far as the server wants to read it.
    fn read_from_any(&mut self) {
        let ids: Vec<ClientId> =
            self.clients.keys().copied().filter(|&id| self.shell.unread(id) > 0).collect();
        if !ids.is_empty() {
            let id = self.choices.pick(&ids);
            while self.read_some(id) > 0 {}
        }
    }

    /// A member logs out or closes, and the server reads it at once.
    fn depart(&mut self) {
        let is_member = |client: &&Client| client.phase == Phase::Member;
        let members: Vec<ClientId> =
            self.clients.values().filter(is_member).map(|client| client.id).collect();
        if members.is_empty() {
            return;
        }
        let id = self.choices.pick(&members);
        let Some(client) = self.clients.get_mut(&id) else { return };
        if self.choices.chance(500) {
            client.has_left = !client.is_garbled;
            let session = client.session.clone();
            self.leave(id, session.as_deref());
            self.shell.send(id, &message(r#"{"type":8,"text":""}"#));
        } else {
            client.is_garbled = true;
            self.offers.excuse(id);
            self.shell.send(id, &frame(CLOSE, &1000_u16.to_be_bytes(), [1; 4]));
        }
        while self.read_some(id) > 0 {}
    }

    /// In some worlds, once: while a member is written to, another one says more than the ring holds.
    pub(super) fn flood(&mut self) {
        if self.floods_left == 0 || self.gap_events_left == 0 {
            return;
        }
        let talks = |client: &&Client| {
            let is_idle = self.shell.unread(client.id) == 0;
            client.phase == Phase::Member && !client.is_garbled && is_idle
        };
        let Some(id) = self.clients.values().find(talks).map(|client| client.id) else { return };
        let Some(mut client) = self.clients.remove(&id) else { return };
        for _ in 0..FLOOD_LINES {
            self.say(&mut client, FLOOD_LINE_BYTES);
        }
        self.clients.insert(id, client);
        let reads = (0..READS_PER_TURN).take_while(|_| self.read_some(id) > 0).count();
        self.floods_left -= 1;
        self.tally.count("flood in a gap", u64::from(reads > 1));
    }

    /// While a member has received a part of a line, and the server does not know yet of how much of it, the
    /// line is deleted.
    pub(super) fn delete_half(&mut self, reader: ClientId) {
        if self.nature.calls_per_gap == 0 || self.gap_events_left == 0 || !self.shell.is_in_a_frame(reader) {
            return;
        }
        let half = self.clients.get(&reader).and_then(|client| client.newest).map(|newest| newest + 1);
        let Some((id, author)) = half.and_then(|id| Some((id, self.lines.author(id)?.to_owned()))) else {
            return;
        };
        let may_delete = |client: &&Client| {
            let name = client.person.name;
            client.phase == Phase::Member
                && !client.is_garbled
                && (name == author || self.lines.is_moderator(name))
                && self.shell.unread(client.id) == 0
        };
        let Some(client) = self.clients.values().find(may_delete).map(|client| client.id) else { return };
        if self.choices.chance(300) {
            self.shell.send(client, &message(&format!(r#"{{"type":1,"text":"/delete #{id}"}}"#)));
            while self.read_some(client) > 0 {}
            self.tally.count("deleted in a gap", 1);
        }
    }

    /// A socket takes nothing any more, or something again.
    pub(super) fn stall(&mut self) {
        self.with_client(|world, client| {
            let is_stalled = !client.is_steady && world.choices.chance(700);
            if let Some(socket) = world.shell.sockets.get_mut(&client.id) {
                socket.is_stalled = is_stalled;
            }
            if is_stalled {
                world.offers.excuse(client.id);
            }
        });
    }

    /// Some of the sockets that were full have room again.
    pub(super) fn recover(&mut self) {
        let full = self.shell.sockets.iter().filter(|(_, socket)| socket.is_full && socket.pace.is_none());
        let full: Vec<ClientId> = full.map(|(&id, _)| id).collect();
        if !full.is_empty() {
            let which = self.choices.below(256);
            for (place, id) in full.into_iter().enumerate() {
                if which >> (place % 8) & 1 == 1 {
                    self.shell.drain(id, usize::MAX);
                }
            }
        }
    }

    /// Steady clients ping, as the page does.
    pub(super) fn keep_alive(&mut self) {
        let now = self.now();
        for client in self.clients.values_mut().filter(|client| client.is_steady && !client.is_garbled) {
            if now.since(client.pinged_at) >= PING_EVERY {
                client.pinged_at = now;
                self.shell.send(client.id, &frame(PING, PING_PAYLOAD, [1; 4]));
            }
        }
    }

    pub(super) fn bring_mail(&mut self) {
        if self.mails.is_empty() {
            return;
        }
        let mail = self.mails.swap_remove(self.choices.index(self.mails.len()));
        let is_fault = self.choices.chance(self.nature.mail_faults);
        let result = match self.choices.below(7) {
            _ if !is_fault => Ok(()),
            0 => Err(MailError::Refused(500)),
            1 => Err(MailError::QueueFull),
            2 => Err(MailError::Unreachable),
            3 => Err(MailError::BrokenOff),
            4 => Err(MailError::Late),
            // Lost: the worker never tells.
            _ => return self.tally.count("mail lost", 1),
        };
        self.ledger.mail_done(mail, result, self.now());
        self.shell.driver.handle(Input::MailDone { mail, result });
    }

    /// A peer sends nothing more.
    pub(super) fn end_peer(&mut self) {
        self.with_client(|world, client| {
            client.is_steady = false;
            world.shell.end(client.id);
            world.offers.excuse(client.id);
        });
    }

    pub(super) fn reset(&mut self) {
        self.with_client(|world, client| world.shell.driver.handle(Input::Broken(client.id)));
    }
}

/// Together more than the smallest ring holds.
const FLOOD_LINES: usize = 28;
const FLOOD_LINE_BYTES: usize = 60_000;
const _: () = assert!(FLOOD_LINES * FLOOD_LINE_BYTES > plume::limits::BACKLOG_BYTES_MIN);
/// As the page does.
const PING_EVERY: Duration = Duration::from_secs(20);
