//! A node that joins: what it has seen of the log, by which it finds out who is alive, and what it keeps
//! until another node hands it a state.

use super::envelope::{Envelope, Kind};
use super::link::Link;
use super::shared::millis;
use crate::base::digest::Digest;
use crate::base::time::Moment;
use crate::engine::{EntryId, LogEntry};
use crate::ids::NodeId;
use crate::limits::{BASE_WAIT, BASE_WAIT_MIN, BASE_WAIT_SECOND, NODE_TIMEOUT, RECENT_ENTRIES_MAX};
use std::time::Duration;

/// What a node without a state has seen of the log.
#[derive(Debug, Default)]
pub(super) struct View {
    /// From here on it has seen every entry.
    begin: Option<EntryId>,
    pub(super) newest: EntryId,
    last_live: EntryId,
    nodes: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    node: NodeId,
    heard_ms: u64,
    noted_at: Moment,
    last: Last,
}

/// What a node has said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Lives,
    Joins { memory: EntryId },
    Leaves,
}

impl View {
    /// Takes up an entry behind all others.
    pub(super) fn note(&mut self, now: Moment, entry: &LogEntry, envelope: Option<&Envelope>) {
        self.begin = self.begin.or(Some(entry.id));
        self.newest = self.newest.max(entry.id);
        let Some(envelope) = envelope else { return };
        let last = match envelope.kind {
            // Whether a state counts may be unknown here. If it does not, its author joins again.
            Kind::Command { .. } | Kind::Alive { .. } | Kind::Base { .. } => Last::Lives,
            Kind::Join { memory, .. } => Last::Joins { memory },
            Kind::Leave => Last::Leaves,
        };
        if last == Last::Lives {
            self.last_live = entry.id;
        }
        let seen = Seen { node: envelope.node, heard_ms: entry.id.ms, noted_at: now, last };
        if let Some(known) = self.nodes.iter_mut().find(|known| known.node == envelope.node) {
            *known = seen;
        } else if self.nodes.len() < RECENT_ENTRIES_MAX {
            self.nodes.push(seen);
        }
    }

    /// Whether a state counts that a node remembers and has added behind all that is seen. If in doubt it
    /// does not: a node that does not adopt it is handed a state that does.
    pub(super) fn counts(&self, after: EntryId) -> bool {
        self.begin.is_some_and(|begin| begin <= after) && self.last_live <= after
    }

    /// Until when another node may be alive. `None`: none is.
    pub(super) fn alive_until(&self, own: NodeId, link: &Link) -> Option<Moment> {
        let alive = self.nodes.iter().filter(|seen| seen.node != own && seen.last == Last::Lives);
        let until = alive.map(|seen| {
            // An engine whose clock was set back gives times that are still to come.
            let latest = seen.noted_at.after(NODE_TIMEOUT);
            let until = link.moment_of(seen.heard_ms.saturating_add(millis(NODE_TIMEOUT)));
            until.map_or(latest, |until| until.min(latest))
        });
        until.max()
    }

    /// How long to leave it to others to say what they remember.
    pub(super) fn wait(&self, own: NodeId, memory: EntryId) -> Duration {
        let others = || self.nodes.iter().filter(|seen| seen.node != own);
        let have_all_left = others().count() > 0 && others().all(|seen| seen.last == Last::Leaves);
        let best = others().filter_map(|seen| match seen.last {
            Last::Joins { memory } => Some((memory, seen.node)),
            Last::Lives | Last::Leaves => None,
        });
        let is_best = best.max().is_none_or(|best| best < (memory, own));
        // Of what was kept on disk another may know more, who has had it in memory all the time.
        let remembers = memory.ms > 0;
        match (remembers, is_best) {
            (true, true) => BASE_WAIT_MIN,
            (true, false) => BASE_WAIT_SECOND,
            (false, _) if have_all_left => BASE_WAIT_MIN,
            (false, true) => BASE_WAIT,
            (false, false) => BASE_WAIT + BASE_WAIT_SECOND,
        }
    }
}

/// A node that has asked for a state.
#[derive(Debug, Default)]
pub(super) struct Joining {
    pub(super) view: View,
    pub(super) nonce: u64,
    pub(super) attempt: u64,
    /// The own request, when it has come back.
    pub(super) joined: Option<Joined>,
    /// When the first own request came back.
    pub(super) waits_since: Option<Moment>,
    /// What has come since it did.
    pub(super) kept: Vec<LogEntry>,
    pub(super) kept_bytes: usize,
    /// When to look for the state.
    pub(super) look_at: Option<Moment>,
    pub(super) is_looking: bool,
    /// Whether the own state is on its way to the log.
    pub(super) has_offered: bool,
    /// Whether it was asked again for a new run that had to begin first.
    pub(super) has_asked_again: bool,
}

/// The entry by which a node joins.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) id: EntryId,
    pub(super) entry: Digest,
    pub(super) at: Moment,
}

impl Joining {
    pub(super) fn new(view: View) -> Self {
        Self { view, ..Self::default() }
    }

    /// The own request has come back.
    pub(super) fn begin_to_wait(&mut self, now: Moment, entry: &LogEntry) {
        self.joined = Some(Joined { id: entry.id, entry: Digest::of(&entry.bytes), at: now });
        self.waits_since = self.waits_since.or(Some(now));
        self.look_at = Some(now);
        self.kept.clear();
        self.kept_bytes = 0;
    }

    /// Keeps an entry if the own request has come back.
    pub(super) fn keep(&mut self, entry: LogEntry) {
        if self.joined.is_some() {
            self.kept_bytes = self.kept_bytes.saturating_add(entry.bytes.len());
            self.kept.push(entry);
        }
    }
}
