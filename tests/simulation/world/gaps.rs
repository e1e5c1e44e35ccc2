//! What happens between two calls of the contract. A shell keeps an order of calls, but nothing makes one follow the other
//! at once: the system may stop the process between any two, and a shell may pass on what else it knows first.

use super::World;
use crate::client::{Client, Phase};
use crate::frames::frame;
use plume::base::time::Moment;
use plume::limits::READS_PER_TURN;
use rand::RngExt;
use std::time::Duration;

impl World {
    /// A gap between two calls: often nothing; sometimes time jumps and other inputs arrive.
    pub(super) fn gap(&mut self) {
        if self.gap_events_left == 0 || !self.rng.random_bool(self.nature.gaps) {
            return;
        }
        for _ in 0..self.rng.random_range(1..=4) {
            self.gap_events_left = self.gap_events_left.saturating_sub(1);
            self.interrupt();
        }
    }

    fn interrupt(&mut self) {
        self.tally.count("input in a gap", 1);
        match self.rng.random_range(0..100) {
            0..30 => self.jump(),
            30..55 => self.receive_from_any(),
            55..80 => {
                self.with_client(Self::behave);
                self.receive_from_any();
            }
            80..85 => self.tick(),
            85..91 => self.bring_mail(),
            91..94 => self.connect(),
            94..96 => self.hang_up(),
            96..98 => self.depart(),
            _ => self.reset(),
        }
    }

    /// Time passes, and the server does not hear of it until the next input.
    fn jump(&mut self) {
        let wait = match self.rng.random_range(0..100) {
            0..40 => Duration::from_micros(self.rng.random_range(1..5_000)),
            40..60 => Duration::from_millis(self.rng.random_range(1..1_000)),
            60..68 => Duration::from_secs(self.rng.random_range(1..30)),
            68..70 => Duration::from_secs(self.rng.random_range(30..300)),
            // Up to the moment at which something is due: a pause ends, for one.
            _ => self.until_next_deadline(),
        };
        self.now.moment = self.now.moment.after(wait);
    }

    fn until_next_deadline(&self) -> Duration {
        let wait = self.server.next_deadline().map(|next: Moment| next.since(self.now.moment));
        wait.filter(|&wait| wait < Duration::from_secs(20)).unwrap_or_default()
    }

    /// All that some client has sent arrives, as far as the server wants to read it.
    fn receive_from_any(&mut self) {
        let sent: Vec<_> = self
            .clients
            .values()
            .filter(|client| !client.outgoing.is_empty())
            .map(|client| client.id)
            .collect();
        if sent.is_empty() {
            return;
        }
        let id = sent[self.rng.random_range(0..sent.len())];
        while self.deliver(id) {}
    }

    /// A member logs out or closes, and the server reads it at once.
    fn depart(&mut self) {
        let members = self.clients.values().filter(|client| client.phase == Phase::Member);
        let members: Vec<_> = members.filter(|client| !client.has_ended).map(|client| client.id).collect();
        if members.is_empty() {
            return;
        }
        let id = members[self.rng.random_range(0..members.len())];
        let Some(mut client) = self.clients.remove(&id) else { return };
        if self.rng.random_bool(0.5) {
            client.has_left = !client.is_garbled;
            self.send(&mut client, r#"{"type":8,"text":""}"#);
        } else {
            client.outgoing.extend(frame(0x88, &1000_u16.to_be_bytes(), [1; 4]));
            client.is_garbled = true;
        }
        self.clients.insert(id, client);
        while self.deliver(id) {}
    }

    /// In some worlds, once: while a member is written to, another one says more than the ring holds.
    pub(super) fn flood(&mut self) {
        if self.floods_left == 0 || self.gap_events_left == 0 {
            return;
        }
        let talks = |client: &&Client| {
            client.phase == Phase::Member
                && !client.is_garbled
                && !client.has_ended
                && client.outgoing.is_empty()
        };
        let Some(id) = self.clients.values().find(talks).map(|client| client.id) else { return };
        let Some(mut client) = self.clients.remove(&id) else { return };
        for _ in 0..FLOOD_LINES {
            let text = self.new_text(&mut client, FLOOD_LINE_BYTES);
            self.send(&mut client, &format!(r#"{{"type":1,"text":"{text}"}}"#));
        }
        self.clients.insert(id, client);
        let reads = (0..READS_PER_TURN).take_while(|_| self.deliver(id)).count();
        self.floods_left -= 1;
        self.tally.count("flood in a gap", u64::from(reads > 1));
    }
}

/// Together more than the smallest ring holds.
const FLOOD_LINES: usize = 28;
const FLOOD_LINE_BYTES: usize = 60_000;
const _: () = assert!(FLOOD_LINES * FLOOD_LINE_BYTES > plume::limits::BACKLOG_BYTES_MIN);
