//! How a replica connects, joins, and takes up what the log says.

use super::envelope::{Envelope, Kind};
use super::joining::{Joining, View};
use super::shared::{Base, Shared, Taken, millis, mix};
use super::{Leave, Pending, Phase, Question, Replica, Step};
use crate::base::digest::Digest;
use crate::base::time::Moment;
use crate::engine::{Ask, EntryId, LogEntry};
use crate::limits::{
    ALIVE_INTERVAL, APART_AFTER, APART_CLOSE_AFTER, ENGINE_REPLY_BYTES_MAX, ENGINE_REPLY_TIMEOUT,
    JOIN_TIMEOUT, KEPT_ENTRIES_BYTES_MAX, SHARED_DEADLINE_INTERVAL, STATE_REPLY_TIMEOUT,
};
use std::collections::VecDeque;

impl Replica {
    /// The next step, if there is one.
    pub fn next_step(&mut self, now: Moment) -> Option<Step> {
        self.now = now;
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Some(step);
            }
            if let Some(ask) = self.asks.pop_front() {
                return Some(Step::Ask(ask));
            }
            if self.question.is_some() {
                return None;
            }
            let entry = self.inbox.pop_front()?;
            match &self.phase {
                Phase::Joining(_) => self.take_joining(entry),
                Phase::Live => self.take_live(&entry),
                // What came over a connection that is lost comes again.
                Phase::Down { .. } | Phase::Checking | Phase::Looking => {}
            }
        }
    }

    /// The answer to [`Step::Freeze`].
    pub fn frozen(&mut self, state: &[u8]) {
        match (self.question.take(), &mut self.phase) {
            (Some(Question::Hand { nonce: key }), Phase::Live) => {
                let value = self.shared.seal(state);
                if value.len() <= ENGINE_REPLY_BYTES_MAX {
                    self.link.sent(self.now, value.len());
                    self.asks.push_back(Ask::Put { key, value });
                }
            }
            (Some(Question::Remember), Phase::Joining(joining)) => {
                let (after, state) = (joining.view.newest, self.shared.seal(state));
                joining.has_offered = true;
                self.add(self.now, Kind::Base { after, state });
            }
            // The connection was lost meanwhile.
            (None | Some(Question::Hand { .. } | Question::Remember), _) => {}
            (question @ Some(Question::AdoptHanded(_) | Question::AdoptBase(_)), _) => {
                self.question = question;
            }
        }
    }

    /// The answer to [`Step::Adopt`]: whether it was a state.
    pub fn adopted(&mut self, is_read: bool) {
        match (self.question.take(), is_read) {
            (Some(Question::AdoptHanded(shared)), true) => {
                self.shared = *shared;
                self.has_state = true;
                self.must_join = false;
                if let Phase::Joining(joining) = &mut self.phase {
                    let mut entries: VecDeque<_> = std::mem::take(&mut joining.kept).into();
                    entries.append(&mut self.inbox);
                    self.inbox = entries;
                    self.go_live();
                }
            }
            (Some(Question::AdoptHanded(_)), false) => {
                // Another node may have one that can be read.
                if let Phase::Joining(joining) = &mut self.phase {
                    joining.look_at = None;
                }
            }
            (Some(Question::AdoptBase(base)), true) => {
                let is_own = base.author == self.node;
                self.shared.adopt(*base, &mut self.steps);
                self.has_state = true;
                self.must_join = false;
                match self.phase {
                    Phase::Joining(_) => self.go_live(),
                    Phase::Live => {
                        self.drop_pending();
                        if !is_own {
                            self.say_alive(Some(self.shared.stamp()));
                        }
                    }
                    Phase::Down { .. } | Phase::Checking | Phase::Looking => {}
                }
            }
            (Some(Question::AdoptBase(_)), false) => {
                self.must_join = true;
                self.disconnect(self.now);
            }
            (question @ (None | Some(Question::Hand { .. } | Question::Remember)), _) => {
                self.question = question;
            }
        }
    }

    pub(super) fn connect(&mut self, now: Moment) {
        if self.has_state {
            self.trouble_since = self.trouble_since.or(Some(now));
        }
        self.link.begin(now);
        self.phase = Phase::Checking;
        let place = self.shared.place;
        self.asks.push_back(Ask::Check { at: (place > EntryId::default()).then_some(place) });
    }

    /// The connection is of no use any more, if it is not lost already.
    pub(super) fn disconnect(&mut self, now: Moment) {
        self.random = mix(self.random);
        self.phase = Phase::Down { until: now.after(self.link.wait(self.random)) };
        self.asks.clear();
        self.inbox.clear();
        self.lost = self.lost.saturating_add(1);
        if self.has_state {
            self.trouble_since = self.trouble_since.or(Some(now));
        }
        if self.leave == Leave::Asked {
            self.leave = Leave::Done;
        }
    }

    /// The engine is connected, and has said whether the own place is still there.
    pub(super) fn checked(&mut self, now: Moment, is_there: bool) {
        if self.has_state && is_there && !self.must_join {
            self.asks.push_back(Ask::Read { after: self.shared.place });
            self.go_live();
        } else {
            self.phase = Phase::Looking;
            self.link.asked(now, ENGINE_REPLY_TIMEOUT, 0);
            self.asks.push_back(Ask::Recent);
        }
    }

    pub(super) fn begin_to_join(&mut self, view: View) {
        self.asks.push_back(Ask::Read { after: view.newest });
        self.phase = Phase::Joining(Box::new(Joining::new(view)));
        self.ask_for_state(0);
    }

    fn ask_for_state(&mut self, attempt: u64) {
        self.random = mix(self.random);
        let nonce = self.random;
        let memory = self.memory();
        if let Phase::Joining(joining) = &mut self.phase {
            (joining.nonce, joining.attempt, joining.joined, joining.look_at) = (nonce, attempt, None, None);
            self.add(self.now, Kind::Join { nonce, attempt, memory });
        }
    }

    /// How far the node remembers the room.
    const fn memory(&self) -> EntryId {
        if self.has_state { self.shared.place } else { self.kept }
    }

    /// What lies under the nonce: a state of the place of the own request, or nothing that helps.
    pub(super) fn take_handed(&mut self, value: &[u8]) {
        let Phase::Joining(joining) = &self.phase else { return };
        let Some(joined) = joining.joined.as_ref().filter(|_| self.question.is_none()) else { return };
        if let Some((shared, state)) = Shared::open(value)
            && shared.place == joined.id
            && shared.entry == joined.entry
        {
            self.steps.push_back(Step::Adopt { state: state.to_vec() });
            self.question = Some(Question::AdoptHanded(Box::new(shared)));
        }
    }

    /// From here on the state follows the log, and what is pending is sent again.
    fn go_live(&mut self) {
        self.phase = Phase::Live;
        self.drop_pending();
        if self.leave != Leave::No {
            return;
        }
        self.say_alive(Some(self.shared.stamp()));
        let pending = std::mem::take(&mut self.pending);
        let mut after = 0;
        for Pending { n, command } in &pending {
            self.add(self.now, Kind::Command { n: *n, after, bytes: command.clone() });
            after = *n;
        }
        self.pending = pending;
    }

    /// Forgets the commands that are applied.
    fn drop_pending(&mut self) {
        let applied = self.shared.n_of(self.node);
        while let Some(first) = self.pending.pop_front_if(|first| first.n <= applied) {
            self.pending_bytes = self.pending_bytes.saturating_sub(first.command.len());
        }
        self.next_n = self.next_n.max(applied.saturating_add(1));
    }

    pub(super) fn add(&mut self, now: Moment, kind: Kind) {
        let n = kind.command_number();
        let envelope = Envelope { node: self.node, epoch: self.link.epoch, stamp: self.link.stamp, kind };
        let bytes = envelope.write();
        self.link.added(now, bytes.len(), n);
        self.asks.push_back(Ask::Add(bytes));
    }

    fn say_alive(&mut self, over: Option<u64>) {
        if self.leave == Leave::No {
            self.add(self.now, Kind::Alive { over, settings: Some(self.settings) });
        }
    }

    fn is_own(&self, envelope: &Envelope) -> bool {
        (envelope.node, envelope.epoch) == (self.node, self.link.epoch)
    }

    /// Takes up an entry without having the state that it changes.
    fn take_joining(&mut self, entry: LogEntry) {
        let envelope = Envelope::read(&entry.bytes);
        let own = envelope.as_ref().filter(|envelope| self.is_own(envelope));
        let is_own = own.is_some();
        if let Some(own) = own
            && !self.link.returned(self.now, entry.id, own.kind.command_number())
        {
            return self.disconnect(self.now);
        }
        let Phase::Joining(joining) = &mut self.phase else { return };
        if entry.id <= joining.view.newest {
            return;
        }
        if let Some(envelope @ Envelope { kind: Kind::Base { after, state }, .. }) = &envelope {
            if joining.view.counts(*after)
                && let Some((remembered, state)) = Shared::open(state)
            {
                return self.ask_to_adopt(&entry, envelope, remembered, state);
            }
            joining.has_offered &= !is_own;
        }
        joining.view.note(self.now, &entry, envelope.as_ref());
        let begun = match &envelope {
            Some(Envelope { stamp, kind: Kind::Alive { over: Some(over), .. }, .. }) => Some((*stamp, *over)),
            _ => None,
        };
        if let Some(Envelope { kind: Kind::Join { nonce, .. }, .. }) = envelope
            && is_own
            && nonce == joining.nonce
        {
            joining.begin_to_wait(self.now, &entry);
        } else {
            joining.keep(entry);
        }
        // A request is not heard before a new run has begun, if one has to.
        let is_heard_now = matches!(begun, Some((stamp, over)) if stamp == self.link.stamp && over != stamp);
        if is_heard_now && joining.joined.is_some() && !std::mem::replace(&mut joining.has_asked_again, true)
        {
            let attempt = joining.attempt;
            return self.ask_for_state(attempt);
        }
        if joining.kept_bytes > KEPT_ENTRIES_BYTES_MAX {
            self.disconnect(self.now);
        }
    }

    /// Asks the server to adopt a state that counts in the log, which the author of an entry remembers.
    fn ask_to_adopt(&mut self, entry: &LogEntry, envelope: &Envelope, remembered: Shared, state: &[u8]) {
        let &Envelope { node: author, epoch, stamp, .. } = envelope;
        let (id, digest) = (entry.id, Digest::of(&entry.bytes));
        let base = Base { id, entry: digest, author, epoch, stamp, remembered };
        self.steps.push_back(Step::Adopt { state: state.to_vec() });
        self.question = Some(Question::AdoptBase(Box::new(base)));
    }

    /// Takes up an entry behind the state.
    fn take_live(&mut self, entry: &LogEntry) {
        if entry.id <= self.shared.place {
            return;
        }
        let Some(envelope) = Envelope::read(&entry.bytes) else { return self.shared.skip(entry) };
        let is_own = self.is_own(&envelope);
        if is_own && !self.link.returned(self.now, entry.id, envelope.kind.command_number()) {
            return self.disconnect(self.now);
        }
        if let Kind::Base { after, state } = &envelope.kind
            && *after >= self.shared.last_live
            && let Some((remembered, state)) = Shared::open(state)
        {
            return self.ask_to_adopt(entry, &envelope, remembered, state);
        }
        self.compare_settings(&envelope);
        let (node, is_leave) = (envelope.node, matches!(envelope.kind, Kind::Leave));
        let taken = self.shared.take(entry, envelope, &mut self.steps);
        self.drop_pending();
        match taken {
            Taken::Skipped if is_own => return self.disconnect(self.now),
            Taken::Wanted { nonce, by }
                if node != self.node && self.leave == Leave::No && self.is_fresh(entry) =>
            {
                self.say_alive(None);
                if by == Some(self.node) {
                    self.steps.push_back(Step::Freeze);
                    self.question = Some(Question::Hand { nonce });
                }
            }
            Taken::Done | Taken::Skipped | Taken::Wanted { .. } => {}
        }
        if is_own {
            self.recover();
            if is_leave {
                self.leave = Leave::Done;
            }
        }
    }

    /// Says once of each node that is alive that it has other settings.
    fn compare_settings(&mut self, envelope: &Envelope) {
        let &Envelope { node, kind: Kind::Alive { settings: Some(settings), .. }, .. } = envelope else {
            return;
        };
        if settings == self.settings || node == self.node {
            self.others.remove(&node);
        } else if self.others.insert(node) {
            self.others.retain(|other| *other == node || self.shared.alive().any(|alive| alive == *other));
            self.steps.push_back(Step::OtherSettings { node });
        }
    }

    /// Whether a request is so new that its author still waits.
    fn is_fresh(&self, entry: &LogEntry) -> bool {
        let now_ms = self.link.engine_ms(self.now).unwrap_or(0);
        now_ms.saturating_sub(entry.id.ms) <= millis(JOIN_TIMEOUT)
    }

    pub(super) fn tick_connected(&mut self, now: Moment) {
        let is_due = |due: Option<Moment>| due.is_some_and(|due| due <= now);
        let Phase::Joining(joining) = &self.phase else {
            if is_due(self.deadline_due()) {
                self.deadline_tried_at = Some(now);
                self.say_alive(None);
            } else if is_due(self.alive_due()) {
                self.say_alive(None);
            }
            return;
        };
        let (nonce, attempt) = (joining.nonce, joining.attempt);
        let (is_base_due, is_join_due) = (is_due(self.base_due(joining)), is_due(Self::join_due(joining)));
        let is_look_due = is_due(Self::look_due(joining));
        if is_base_due {
            self.question = Some(Question::Remember);
            self.steps.push_back(Step::Freeze);
        }
        if is_join_due {
            self.ask_for_state(attempt.wrapping_add(1));
        } else if is_look_due && let Phase::Joining(joining) = &mut self.phase {
            joining.is_looking = true;
            self.link.asked(now, STATE_REPLY_TIMEOUT, 0);
            self.asks.push_back(Ask::Get { key: nonce });
        }
    }

    pub(super) fn become_apart(&mut self, now: Moment) {
        if self.apart_since.is_none() {
            self.apart_since = Some(now);
            self.steps.push_back(Step::Apart);
        }
        self.trouble_since = self.trouble_since.or(Some(now));
    }

    /// An own entry has come back.
    fn recover(&mut self) {
        self.link.works();
        self.trouble_since = None;
        self.has_closed = false;
        if self.apart_since.take().is_some() {
            self.steps.push_back(Step::Back);
        }
    }

    pub(super) fn apart_due(&self) -> Option<Moment> {
        let since = self.trouble_since.filter(|_| self.has_state && self.apart_since.is_none())?;
        Some(since.after(APART_AFTER))
    }

    pub(super) fn close_due(&self) -> Option<Moment> {
        self.apart_since.filter(|_| !self.has_closed).map(|since| since.after(APART_CLOSE_AFTER))
    }

    pub(super) fn look_due(joining: &Joining) -> Option<Moment> {
        joining.look_at.filter(|_| !joining.is_looking)
    }

    pub(super) fn join_due(joining: &Joining) -> Option<Moment> {
        let joined = joining.joined.as_ref().filter(|_| !joining.is_looking)?;
        Some(joined.at.after(JOIN_TIMEOUT))
    }

    /// When to begin the room again, if nobody is heard of until then.
    pub(super) fn base_due(&self, joining: &Joining) -> Option<Moment> {
        let since = joining.waits_since.filter(|_| !joining.has_offered && self.question.is_none())?;
        let wait = since.after(joining.view.wait(self.node, self.memory()));
        Some(joining.view.alive_until(self.node, &self.link).map_or(wait, |until| until.max(wait)))
    }

    pub(super) fn alive_due(&self) -> Option<Moment> {
        let added_at = self.link.added_at.filter(|_| self.leave == Leave::No)?;
        Some(added_at.after(ALIVE_INTERVAL))
    }

    /// When to add an entry so that the time of the log passes, if it is up to this node.
    pub(super) fn deadline_due(&self) -> Option<Moment> {
        let deadline = self.shared_deadline.filter(|&deadline| deadline > self.shared.now().moment)?;
        let is_first = self.leave == Leave::No && self.shared.alive().next() == Some(self.node);
        let engine_ms = deadline.as_us().div_ceil(1_000).saturating_sub(self.shared.ahead_ms());
        let due = self.link.moment_of(engine_ms).filter(|_| is_first)?;
        let again = self.deadline_tried_at.map(|at| at.after(SHARED_DEADLINE_INTERVAL));
        Some(again.map_or(due, |again| again.max(due)))
    }
}
