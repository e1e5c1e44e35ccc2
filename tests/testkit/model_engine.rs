//! A model of the engine that holds the log of several nodes, and of the wires to it: sans-I/O, with faults
//! on demand. What it takes and says is `plume::engine`, so it serves replicas and whole servers alike.
//!
//! Each wire belongs to one node. Over it goes one connection at a time ([`Ask::Check`] begins another), with
//! a delay in each direction that differs from message to message, but never reorders those of a connection.
//! A connection has two halves, as in life: answers to requests, and the tail of the log, which overtake each
//! other.

use super::choices::Choices;
use plume::base::time::Moment;
use plume::engine::{Ask, EntryId, LogEntry, Say};
use plume::limits::{ENTRIES_PER_READ, HANDED_STATE_TTL, RECENT_ENTRIES_MAX, TAIL_BLOCK};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Faults of which one is injected; each of these includes the one before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Faults {
    /// A connection breaks, or the engine is away for all.
    SteadyWire,
    /// A wire swallows what it is given, or connects nobody, for a while.
    Wires,
    /// The engine loses entries, or has foreign ones.
    Log,
    /// The engine's clock is set.
    LogAndClock,
}

pub(crate) struct ModelEngine {
    log: VecDeque<LogEntry>,
    last: EntryId,
    /// The last entry that another engine has taken.
    began_behind: EntryId,
    /// What it is known by; another one after each loss.
    stamp: u64,
    /// What the engine's clock shows at the start of the monotonic one, in milliseconds.
    epoch_ms: u64,
    values: BTreeMap<u64, (Moment, Vec<u8>)>,
    /// Most entries that the log keeps.
    entries_max: usize,
    /// Nobody reaches it until then.
    away_until: Moment,
    wires: Vec<Wire>,
    requests: Vec<Request>,
    serials: u64,
    /// The longest ordinary delay, in microseconds.
    delay_us_max: u64,
    /// Of a thousand additions, so many fail.
    refusals: u64,
    /// How often entries were lost that somebody had read.
    pub(crate) losses: u64,
}

#[derive(Default)]
struct Wire {
    connection: Option<Connection>,
    says: VecDeque<(Moment, Say)>,
    /// The tail's half.
    entries: VecDeque<(Moment, Say)>,
    /// Nothing gets through until then, and nobody notices.
    hole_until: Option<Moment>,
    /// No connection is made until then.
    unreachable_until: Option<Moment>,
}

struct Connection {
    serial: u64,
    /// When the newest request arrives.
    arrives_at: Moment,
    tail: Option<Tail>,
}

/// Where a connection reads the log.
struct Tail {
    after: EntryId,
    /// What stands there, if it is known.
    entry: Option<Vec<u8>>,
    /// When it reads again.
    reads_at: Moment,
    /// Whether it waits for the next entry until then, which it gets at once.
    is_waiting: bool,
}

struct Request {
    at: Moment,
    wire: usize,
    serial: u64,
    ask: Ask,
}

impl ModelEngine {
    pub(crate) fn new(wires: usize, choices: &mut Choices) -> Self {
        Self {
            log: VecDeque::new(),
            last: EntryId::default(),
            began_behind: EntryId::default(),
            stamp: 1,
            epoch_ms: 1_600_000_000_000,
            values: BTreeMap::new(),
            entries_max: choices.pick(&[100_000, 100_000, 300, 40]),
            away_until: Moment::from_ms(0),
            wires: (0..wires).map(|_| Wire::default()).collect(),
            requests: Vec::new(),
            serials: 0,
            delay_us_max: choices.pick(&[300, 5_000, 100_000]),
            refusals: 0,
            losses: 0,
        }
    }

    /// The engine keeps everything that it has taken, and everybody who reads without a pause gets it.
    pub(crate) fn keep_all(&mut self) {
        self.entries_max = usize::MAX;
    }

    /// A node asks for something.
    pub(crate) fn ask(&mut self, choices: &mut Choices, now: Moment, wire: usize, ask: Ask) {
        let delay = self.delay(choices);
        if matches!(ask, Ask::Check { .. }) {
            self.close(wire);
            self.serials += 1;
            let is_away = now < self.away_until;
            let wire = &mut self.wires[wire];
            if is_away || wire.unreachable_until.is_some_and(|until| now < until) {
                wire.says.push_back((now.after(delay), Say::Lost));
                return;
            }
            wire.connection = Some(Connection { serial: self.serials, arrives_at: now, tail: None });
        }
        let own = &mut self.wires[wire];
        let Some(connection) = &mut own.connection else {
            if own.says.is_empty() {
                own.says.push_back((now, Say::Lost));
            }
            return;
        };
        let start = own.hole_until.map_or(now, |until| until.max(now));
        connection.arrives_at = connection.arrives_at.max(start.after(delay));
        let (at, serial) = (connection.arrives_at, connection.serial);
        self.requests.push(Request { at, wire, serial, ask });
    }

    /// When something happens next that was begun.
    pub(crate) fn next_event(&self) -> Option<Moment> {
        let requests = self.requests.iter().map(|request| request.at);
        let says =
            self.wires.iter().flat_map(|wire| wire.says.front().into_iter().chain(wire.entries.front()));
        let tails =
            self.wires.iter().filter_map(|wire| Some(wire.connection.as_ref()?.tail.as_ref()?.reads_at));
        requests.chain(says.map(|&(at, _)| at)).chain(tails).min()
    }

    /// What a node hears now, if there is something.
    pub(crate) fn say(&mut self, choices: &mut Choices, now: Moment, wire: usize) -> Option<Say> {
        self.advance(choices, now);
        let wire = &mut self.wires[wire];
        let is_due = |half: &VecDeque<(Moment, Say)>| half.front().is_some_and(|&(at, _)| at <= now);
        let half = match (is_due(&wire.says), is_due(&wire.entries)) {
            // The loss is last.
            (true, false) if wire.says.len() > 1 || wire.entries.is_empty() || wire.connection.is_some() => {
                &mut wire.says
            }
            (true, true) if choices.chance(500) && wire.connection.is_some() => &mut wire.says,
            (_, true) => &mut wire.entries,
            (_, false) => return None,
        };
        half.pop_front().map(|(_, say)| say)
    }

    /// Does what has arrived by now, in order.
    pub(crate) fn advance(&mut self, choices: &mut Choices, now: Moment) {
        loop {
            let next =
                self.requests.iter().enumerate().min_by_key(|(_, request)| (request.at, request.serial));
            let request = next.filter(|(_, request)| request.at <= now).map(|(at, _)| at);
            let tails = self.wires.iter().enumerate().filter_map(|(wire, own)| {
                let reads_at = own.connection.as_ref()?.tail.as_ref()?.reads_at;
                (reads_at <= now).then_some((reads_at, wire))
            });
            match (request, tails.min()) {
                (None, None) => return,
                (Some(at), Some((reads_at, wire))) if reads_at <= self.requests[at].at => {
                    self.read_on(choices, reads_at, wire);
                }
                (None, Some((reads_at, wire))) => self.read_on(choices, reads_at, wire),
                (Some(at), _) => {
                    // Those of one connection keep their order, which is that of their arrival.
                    let request = self.requests.remove(at);
                    self.carry_out(choices, request);
                }
            }
        }
    }

    fn carry_out(&mut self, choices: &mut Choices, Request { at, wire, serial, ask }: Request) {
        let is_open = self.wires[wire].connection.as_ref().is_some_and(|own| own.serial == serial);
        let say = match ask {
            Ask::Check { at: place } => {
                let entry = place.and_then(|place| self.find(place)).map(|entry| entry.bytes.clone());
                Say::Checked { stamp: self.stamp, now_ms: self.engine_ms(at), entry }
            }
            Ask::Recent => {
                let from = self.log.len().saturating_sub(RECENT_ENTRIES_MAX);
                Say::Recent(self.log.range(from..).cloned().collect())
            }
            Ask::Add(_) if is_open && choices.chance(self.refusals) => {
                // What is behind it in the pipeline is still done.
                return self.lose_connection(choices, at, wire);
            }
            Ask::Add(bytes) => {
                self.append(choices, at, bytes);
                Say::Added
            }
            Ask::Read { after } => {
                if is_open {
                    self.set_tail(wire, Tail { after, entry: None, reads_at: at, is_waiting: false });
                }
                return;
            }
            Ask::Put { key, value } => {
                self.values.insert(key, (at.after(HANDED_STATE_TTL), value));
                return;
            }
            Ask::Get { key } => {
                self.values.retain(|_, (until, _)| *until > at);
                Say::Got(self.values.get(&key).map(|(_, value)| value.clone()))
            }
        };
        if is_open {
            self.answer(choices, at, wire, say);
        }
    }

    fn append(&mut self, choices: &mut Choices, at: Moment, bytes: Vec<u8>) {
        let ms = self.engine_ms(at);
        let next = EntryId { ms: self.last.ms, seq: self.last.seq + 1 };
        self.last = EntryId { ms, seq: 0 }.max(next);
        self.log.push_back(LogEntry { id: self.last, bytes });
        while self.log.len() > self.entries_max {
            self.log.pop_front();
        }
        for wire in 0..self.wires.len() {
            let tail = self.wires[wire].connection.as_ref().and_then(|own| own.tail.as_ref());
            // Who waits behind a place that the log has not reached again gets nothing.
            if tail.is_some_and(|tail| tail.is_waiting && tail.after < self.last) {
                self.read_on(choices, at, wire);
            }
        }
    }

    /// A tail asks again, or one that waits gets an answer. Its last entry must be there then, or others may
    /// be missing.
    fn read_on(&mut self, choices: &mut Choices, at: Moment, wire: usize) {
        let Some(tail) = self.wires[wire].connection.as_mut().and_then(|own| own.tail.as_mut()) else {
            return;
        };
        let after = tail.after;
        let has_more = self.log.back().is_some_and(|newest| newest.id > after);
        if !has_more && !tail.is_waiting {
            (tail.reads_at, tail.is_waiting) = (at.after(TAIL_BLOCK), true);
            return;
        }
        let entry = tail.entry.take();
        let found = self.find(after);
        let is_there = found.is_some_and(|found| entry.as_ref().is_none_or(|entry| *entry == found.bytes));
        if after > EntryId::default() && !is_there {
            return self.lose_connection(choices, at, wire);
        }
        let begin = self.log.partition_point(|entry| entry.id <= after);
        let count = if choices.chance(100) { 1 } else { ENTRIES_PER_READ };
        let entries: Vec<_> = self.log.range(begin..).take(count).cloned().collect();
        let reads_at = at.after(self.delay(choices));
        let last = entries.last().map(|last| (last.id, Some(last.bytes.clone())));
        let (after, entry) = last.unwrap_or((after, entry));
        self.set_tail(wire, Tail { after, entry, reads_at, is_waiting: false });
        if !entries.is_empty() {
            let delay = self.delay(choices);
            let own = &mut self.wires[wire];
            let start = own.hole_until.map_or(at, |until| until.max(at)).after(delay);
            let start = own.entries.back().map_or(start, |&(last, _)| last.max(start));
            own.entries.push_back((start, Say::Entries(entries)));
        }
    }

    fn set_tail(&mut self, wire: usize, tail: Tail) {
        if let Some(connection) = &mut self.wires[wire].connection {
            connection.tail = Some(tail);
        }
    }

    fn answer(&mut self, choices: &mut Choices, at: Moment, wire: usize, say: Say) {
        let delay = self.delay(choices);
        let own = &mut self.wires[wire];
        let start = own.hole_until.map_or(at, |until| until.max(at)).after(delay);
        let start = own.says.back().map_or(start, |&(last, _)| last.max(start));
        own.says.push_back((start, say));
    }

    fn find(&self, place: EntryId) -> Option<&LogEntry> {
        self.log.binary_search_by_key(&place, |entry| entry.id).ok().and_then(|at| self.log.get(at))
    }

    fn engine_ms(&self, at: Moment) -> u64 {
        self.epoch_ms + at.as_ms()
    }

    fn delay(&self, choices: &mut Choices) -> Duration {
        // One of a hundred is late.
        let most = if choices.chance(10) { 10 * self.delay_us_max } else { self.delay_us_max };
        Duration::from_micros(50 + choices.below(most))
    }

    fn close(&mut self, wire: usize) {
        let own = &mut self.wires[wire];
        own.connection = None;
        own.says.clear();
        own.entries.clear();
    }

    /// The connection of a wire is lost. What it was asked still arrives; what is said may not.
    pub(crate) fn lose_connection(&mut self, choices: &mut Choices, now: Moment, wire: usize) {
        let delay = self.delay(choices);
        let own = &mut self.wires[wire];
        if own.connection.take().is_none() {
            return;
        }
        if choices.chance(500) {
            own.says.clear();
            own.entries.clear();
        }
        let last = own.says.back().into_iter().chain(own.entries.back()).map(|&(at, _)| at).max();
        let at = last.map_or(now, |last| last.max(now)).after(delay);
        own.says.push_back((at, Say::Lost));
    }

    /// The same, and requests of it that have not arrived yet do so only after others, or never.
    pub(crate) fn cut(&mut self, choices: &mut Choices, now: Moment, wire: usize) {
        self.lose_connection(choices, now, wire);
        let late = Duration::from_millis(choices.pick(&[1, 100, 1_000, 8_000, 30_000]));
        let is_lost = choices.chance(300);
        self.requests.retain(|request| request.wire != wire || !is_lost);
        for request in self.requests.iter_mut().filter(|request| request.wire == wire) {
            request.at = request.at.after(late);
        }
    }

    /// Nothing gets through in either direction, and nobody notices; afterwards everything arrives.
    pub(crate) fn open_hole(&mut self, now: Moment, wire: usize, lasts: Duration) {
        let until = now.after(lasts);
        let own = &mut self.wires[wire];
        own.hole_until = Some(until);
        for (at, _) in own.says.iter_mut().chain(&mut own.entries) {
            *at = until.max(*at);
        }
        for request in self.requests.iter_mut().filter(|request| request.wire == wire) {
            request.at = request.at.max(until);
        }
    }

    /// One node cannot connect.
    pub(crate) fn isolate(&mut self, choices: &mut Choices, now: Moment, wire: usize, lasts: Duration) {
        self.lose_connection(choices, now, wire);
        self.wires[wire].unreachable_until = Some(now.after(lasts));
    }

    /// Nobody can connect.
    pub(crate) fn black_out(&mut self, choices: &mut Choices, now: Moment, lasts: Duration) {
        self.away_until = now.after(lasts);
        for wire in 0..self.wires.len() {
            self.lose_connection(choices, now, wire);
        }
    }

    /// Another engine takes its place, which lacks the newest entries.
    pub(crate) fn fail_over(&mut self, choices: &mut Choices, now: Moment, lost: usize) {
        self.advance(choices, now);
        self.losses += u64::from(lost > 0);
        self.log.truncate(self.log.len().saturating_sub(lost));
        self.last = self.log.back().map_or(EntryId::default(), |newest| newest.id);
        self.begin_anew(choices, now);
    }

    /// It begins anew with nothing, and perhaps another clock.
    pub(crate) fn lose_all(&mut self, choices: &mut Choices, now: Moment) {
        self.losses += 1;
        self.log.clear();
        self.last = EntryId::default();
        self.values.clear();
        let step = choices.pick(&[0, 0, 3_600_000, 3_000]);
        self.step_clock(step, choices.chance(500));
        self.begin_anew(choices, now);
    }

    fn begin_anew(&mut self, choices: &mut Choices, now: Moment) {
        self.stamp += 1;
        self.began_behind = self.last;
        // A connection leads to one engine.
        self.requests.clear();
        let lasts = Duration::from_millis(choices.pick(&[0, 50, 1_000, 6_000]));
        if choices.chance(500) {
            self.values.clear();
        }
        self.black_out(choices, now, lasts);
    }

    /// Somebody deletes the log. No connection is lost by that.
    pub(crate) fn flush(&mut self) {
        self.losses += 1;
        // That nobody adds as much again in the same millisecond is all that tells old ids from new ones.
        self.epoch_ms += 1;
        self.log.clear();
        self.last = EntryId::default();
        self.values.clear();
    }

    /// Only so many entries are kept.
    pub(crate) fn trim(&mut self, entries: usize) {
        while self.log.len() > entries {
            self.log.pop_front();
        }
    }

    /// The engine's clock is set.
    pub(crate) fn step_clock(&mut self, ms: u64, is_back: bool) {
        self.epoch_ms = if is_back { self.epoch_ms - ms } else { self.epoch_ms + ms };
    }

    /// Of a thousand additions, so many fail.
    pub(crate) fn refuse(&mut self, thousandths: u64) {
        self.refusals = thousandths;
    }

    /// Somebody else adds something.
    pub(crate) fn forge(&mut self, choices: &mut Choices, now: Moment, bytes: Vec<u8>) {
        self.advance(choices, now);
        self.append(choices, now, bytes);
    }

    /// An entry that was added to this engine before is added again.
    pub(crate) fn replay(&mut self, choices: &mut Choices, now: Moment) {
        let begin = self.log.partition_point(|entry| entry.id <= self.began_behind);
        let begin = begin.max(self.log.len().saturating_sub(REPLAYED_ENTRIES));
        if begin < self.log.len() {
            let at = begin + choices.index(self.log.len() - begin);
            let bytes = self.log[at].bytes.clone();
            self.forge(choices, now, bytes);
        }
    }

    /// Injects one of these faults.
    pub(crate) fn inject_fault(&mut self, choices: &mut Choices, now: Moment, wire: usize, faults: Faults) {
        let seconds = Duration::from_secs(choices.pick(&[0, 1, 3, 10, 12]));
        let long = Duration::from_secs(choices.pick(&[1, 10, 25, 60]));
        let kinds = match faults {
            Faults::SteadyWire => 3,
            Faults::Wires => 5,
            Faults::Log => 13,
            Faults::LogAndClock => 14,
        };
        match choices.below(kinds) {
            0 | 1 => self.cut(choices, now, wire),
            2 => self.black_out(choices, now, long),
            3 => self.open_hole(now, wire, seconds),
            4 => self.isolate(choices, now, wire, long),
            5 => self.isolate(choices, now, wire, seconds),
            6 | 7 => {
                let lost = choices.pick(&[0, 1, 2, 5, 50]);
                self.fail_over(choices, now, lost);
            }
            8 => self.lose_all(choices, now),
            9 => self.flush(),
            10 => {
                let entries = choices.index(5);
                self.trim(entries);
            }
            11 => self.replay(choices, now),
            12 => {
                let bytes = choices.literal(80);
                self.forge(choices, now, bytes);
            }
            _ => {
                let (ms, is_back) = (choices.pick(&[10, 2_000, 30_000]), choices.chance(500));
                self.step_clock(ms, is_back);
            }
        }
    }

    /// Faults end, but for what is under way.
    pub(crate) fn calm_down(&mut self, now: Moment) {
        self.refusals = 0;
        self.away_until = self.away_until.min(now);
        self.delay_us_max = self.delay_us_max.min(5_000);
        for wire in &mut self.wires {
            wire.unreachable_until = None;
            wire.hole_until = wire.hole_until.map(|until| until.min(now));
        }
    }
}

/// Of so many newest entries, one is added again.
const REPLAYED_ENTRIES: usize = 60;
