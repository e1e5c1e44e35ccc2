//! The part of the shared state that is the protocol's own: the place in the log, its time, and who is alive.
//! A function of the entries alone, so that it is the same on every node at the same place.

use super::Step;
use super::envelope::{Envelope, Kind};
use crate::base::digest::Digest;
use crate::base::frost::{Frost, Frozen, frost};
use crate::base::time::{Moment, Now};
use crate::engine::{EntryId, LogEntry};
use crate::ids::NodeId;
use crate::limits::{ENGINE_REPLY_BYTES_MAX, NODE_TIMEOUT, NODES_MAX};
use std::collections::VecDeque;
use std::time::Duration;

/// See the module's documentation.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// The entry that was applied last.
    pub(super) place: EntryId,
    /// What it was, so that another entry in its place is noticed.
    pub(super) entry: Digest,
    /// The time of the log, in milliseconds. It never goes back.
    at_ms: u64,
    /// How much it is ahead of the engine's clock: an engine that starts anew may have an earlier one.
    ahead_ms: u64,
    stamp: u64,
    pub(super) run: u64,
    /// The last entry that shows a node alive. See [`Kind::Base`].
    pub(super) last_live: EntryId,
    /// In the order of their ids.
    peers: Vec<Peer>,
}

/// A node of which the log has had something.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    epoch: u64,
    /// Its command that was applied last.
    pub(super) n: u64,
    heard_ms: u64,
    /// Whether it may have connections.
    is_present: bool,
}

frost!(struct Shared { place, entry, at_ms, ahead_ms, stamp, run, last_live, peers });
frost!(struct Peer { node, epoch, n, heard_ms, is_present });

/// A state that counts: the entry that it was in, and what of it is the protocol's own.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) id: EntryId,
    pub(super) entry: Digest,
    pub(super) author: NodeId,
    pub(super) epoch: u64,
    pub(super) stamp: u64,
    pub(super) remembered: Shared,
}

/// What the node itself has to do about an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing beyond what the steps say.
    Done,
    /// It was skipped: a late request, or one that another should have come before.
    Skipped,
    /// A state is wanted under this key, and the node at this place among those that can give one gives it.
    Wanted { nonce: u64, by: Option<NodeId> },
}

impl Shared {
    /// Of a node that knows nothing of the room.
    pub(super) fn blank() -> Self {
        Self {
            place: EntryId::default(),
            entry: Digest::of(&[]),
            at_ms: 0,
            ahead_ms: 0,
            stamp: 0,
            run: 0,
            last_live: EntryId::default(),
            peers: Vec::new(),
        }
    }

    /// The time of the log, and the engine's clock at the same entry.
    pub(super) fn now(&self) -> Now {
        Now { moment: Moment::from_ms(self.at_ms), wall_ms: self.place.ms }
    }

    /// Which history of the engine the state follows.
    pub(super) const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// How much the time of the log is ahead of the engine's clock, in milliseconds.
    pub(super) const fn ahead_ms(&self) -> u64 {
        self.ahead_ms
    }

    /// Whether this is the entry that was applied last.
    pub(super) fn stands_at_place(&self, entry: &[u8]) -> bool {
        Digest::of(entry) == self.entry
    }

    /// Passes over an entry that nobody can read.
    pub(super) fn skip(&mut self, entry: &LogEntry) {
        (self.place, self.entry) = (entry.id, Digest::of(&entry.bytes));
    }

    /// Takes up an entry behind the place, which is no state that counts ([`Shared::adopt`]).
    pub(super) fn take(&mut self, entry: &LogEntry, envelope: Envelope, steps: &mut VecDeque<Step>) -> Taken {
        self.skip(entry);
        let Envelope { node, epoch, stamp, kind } = envelope;
        // Even a late request: a node without a state cannot tell, and comes to the same conclusion.
        if kind.shows_life() {
            self.last_live = entry.id;
        }
        let begins_run = stamp != self.stamp;
        let may_begin_run = matches!(kind, Kind::Alive { over: Some(over), .. } if over == self.stamp);
        if begins_run && !may_begin_run || !self.knows(node, epoch) {
            return Taken::Skipped;
        }
        self.stamp = stamp;
        self.at_ms = self.at_ms.max(entry.id.ms.saturating_add(self.ahead_ms));
        if begins_run {
            self.begin_run(steps);
        }
        steps.push_back(Step::Passed(self.now()));
        self.remove_silent(steps);
        let (at, now) = (self.at_ms, self.now());
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return Taken::Skipped };
        peer.epoch = epoch;
        if !kind.shows_life() && peer.is_present {
            steps.push_back(Step::NodeGone { at: now, node, was_silent: false });
        }
        peer.is_present = kind.shows_life();
        peer.heard_ms = at;
        match kind {
            Kind::Command { n, after, bytes: command } => {
                if n <= peer.n || after > peer.n {
                    return if n <= peer.n { Taken::Done } else { Taken::Skipped };
                }
                peer.n = n;
                steps.push_back(Step::Apply { at: now, node, command });
            }
            Kind::Join { nonce, attempt, .. } => {
                return Taken::Wanted { nonce, by: self.by_turn(attempt) };
            }
            Kind::Alive { .. } | Kind::Base { .. } | Kind::Leave => {}
        }
        Taken::Done
    }

    /// Takes a state in place of the own, which a node remembered and which counts in the log. The
    /// connections of all nodes are gone, and a new run begins.
    pub(super) fn adopt(&mut self, base: Base, steps: &mut VecDeque<Step>) {
        let Base { id, entry, author, epoch, stamp, remembered } = base;
        *self = remembered;
        (self.place, self.entry, self.last_live) = (id, entry, id);
        let at_ms = id.ms.saturating_add(self.ahead_ms);
        self.ahead_ms = self.ahead_ms.saturating_add(self.at_ms.saturating_sub(at_ms));
        self.at_ms = self.at_ms.max(at_ms);
        let (at, at_ms) = (self.now(), self.at_ms);
        for peer in self.peers.iter_mut().filter(|peer| peer.is_present) {
            peer.is_present = false;
            steps.push_back(Step::NodeGone { at, node: peer.node, was_silent: false });
        }
        self.stamp = stamp;
        if self.knows(author, epoch)
            && let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == author)
        {
            (peer.epoch, peer.heard_ms, peer.is_present) = (epoch, at_ms, true);
        }
        self.begin_run(steps);
    }

    /// A node's command that was applied last; zero if there is none.
    pub(super) fn n_of(&self, node: NodeId) -> u64 {
        self.peers.iter().find(|peer| peer.node == node).map_or(0, |peer| peer.n)
    }

    /// The nodes that are alive.
    pub(super) fn alive(&self) -> impl Iterator<Item = NodeId> {
        self.peers.iter().filter(|peer| peer.is_present).map(|peer| peer.node)
    }

    /// Whose turn it is to answer.
    fn by_turn(&self, attempt: u64) -> Option<NodeId> {
        let count = u64::try_from(self.alive().count()).unwrap_or(u64::MAX);
        let turn = attempt.checked_rem(count)?;
        self.alive().nth(usize::try_from(turn).unwrap_or(usize::MAX))
    }

    fn remove_silent(&mut self, steps: &mut VecDeque<Step>) {
        let at = self.now();
        let is_silent = |peer: &Peer| has_passed(peer.heard_ms, NODE_TIMEOUT, self.at_ms);
        for peer in self.peers.iter_mut().filter(|peer| peer.is_present && is_silent(peer)) {
            peer.is_present = false;
            steps.push_back(Step::NodeGone { at, node: peer.node, was_silent: true });
        }
    }

    /// Whether the node has a place among the peers, and has not connected anew since. A new one takes the
    /// place of one that is gone.
    fn knows(&mut self, node: NodeId, epoch: u64) -> bool {
        let at = match self.peers.binary_search_by_key(&node, |peer| peer.node) {
            Ok(at) => return self.peers.get(at).is_some_and(|peer| peer.epoch <= epoch),
            Err(at) => at,
        };
        let mut at = at;
        if self.peers.len() >= NODES_MAX {
            let gone = self.peers.iter().filter(|peer| !peer.is_present).min_by_key(|peer| peer.heard_ms);
            let Some(gone) = gone.map(|peer| peer.node) else { return false };
            self.peers.retain(|peer| peer.node != gone);
            at = self.peers.partition_point(|peer| peer.node < node);
        }
        self.peers.insert(at, Peer { node, epoch, n: 0, heard_ms: self.at_ms, is_present: false });
        true
    }

    fn begin_run(&mut self, steps: &mut VecDeque<Step>) {
        let parts = [self.place.ms, self.place.seq, self.entry.low_bits()];
        // Zero is no run.
        self.run = parts.into_iter().fold(self.stamp, |run, part| mix(run ^ part)).max(1);
        steps.push_back(Step::NewRun { at: self.now(), run: self.run });
    }

    /// Puts this in front of what the server has frozen.
    pub(super) fn seal(&self, state: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        FORMAT.freeze(&mut bytes);
        self.freeze(&mut bytes);
        bytes.extend_from_slice(state);
        bytes
    }

    /// Takes it off again. `None`: these bytes are no state.
    pub(super) fn open(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let rest = bytes.strip_prefix(MAGIC).filter(|_| bytes.len() <= ENGINE_REPLY_BYTES_MAX)?;
        let mut from = Frozen::new(rest);
        let format = u8::thaw(&mut from)?;
        let shared = (format == FORMAT).then(|| Self::thaw(&mut from))??;
        let is_in_order = shared
            .peers
            .windows(2)
            .all(|two| two.first().map(|peer| peer.node) < two.last().map(|peer| peer.node));
        let is_sound = is_in_order && shared.peers.len() <= NODES_MAX;
        let state = from.rest();
        is_sound.then_some((shared, state))
    }
}

impl Kind {
    /// Whether a node that adds this has the state of the room.
    pub(super) const fn shows_life(&self) -> bool {
        match self {
            Self::Command { .. } | Self::Alive { .. } => true,
            Self::Join { .. } | Self::Base { .. } | Self::Leave => false,
        }
    }
}

/// Whether so much time has passed since then.
pub(super) fn has_passed(then_ms: u64, wait: Duration, now_ms: u64) -> bool {
    now_ms.saturating_sub(then_ms) >= millis(wait)
}

pub(super) fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// A number that looks random, for each number another (the finalizer of `SplitMix64`).
pub(super) const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What every state begins with that one node hands to another.
const MAGIC: &[u8] = b"plume state";
/// The number of the format.
const FORMAT: u8 = 1;
