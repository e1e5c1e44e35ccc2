//! A node's part in the log that several nodes share: a sans-I/O state machine that knows nothing of chat.
//! Commands and the state that follows from them are bytes to it.
//!
//! # How it is driven
//! The server submits commands, passes on what the engine says, and after each of these, and at each tick,
//! takes the steps until there is none: [`Replica::next_step`]. Steps are carried out one at a time, in
//! order, for a step may be a question ([`Step::Freeze`], [`Step::Adopt`]) that is answered before the next
//! one. It moves to another process when no step is left.
//!
//! What the log says is taken up only as steps are taken, so a question is always about one place.
//!
//! # The protocol
//! All nodes apply the same entries in the same order, and come to the same state at the same place. A
//! command is sent to the log at once, and again over each further connection, in order, until it has come
//! back; of two with one number the second is skipped, and so is one that was sent over an earlier connection
//! than another that the log has already.
//!
//! After each connection, the entry at the place that was applied last is compared with what is remembered of
//! it. If it is there, the node reads on from it. If not, or if the node knows nothing of the room, it joins:
//! it adds a `envelope::Kind::Join`, and one of the nodes that are alive hands it the state of that place.
//!
//! If nobody is alive, one of the nodes that join adds what it remembers of the room, as
//! `envelope::Kind::Base`. It counts if no node has shown life behind the place that it names, which is as
//! far as its author has read; so of several the first one counts. Everybody adopts it, its author, too.
//! Who knows nothing waits until those who do have had time to connect again.
//!
//! Each entry bears the stamp of the engine to which its author has connected. Where it is not that of the
//! state, the engine has begun another history, and entries that a node has applied may be missing in it: a
//! new run begins, on all nodes at the same entry. See `envelope::Kind::Alive`.
//!
//! # What it does not promise
//! If all nodes that know the room are cut off for longer than [`crate::limits::NODE_TIMEOUT`] while another
//! one that does not is connected, that one begins the room anew: from there, it cannot tell the others from
//! dead ones. If the engine's clock is set back, the time of the log stands still until it is reached again.
//!
//! # What it does not defend against
//! Anyone who can write to the log can do everything that a node can: forge commands, let a node's commands
//! be skipped (by one of its number that is higher than all), replace the state. No bytes make it panic or
//! use more memory than its limits.

mod envelope;
mod joining;
mod link;
mod shared;
mod steps;

use crate::base::digest::Digest;
use crate::base::frost::{Frost, Frozen, frost};
use crate::base::time::{Moment, Now};
use crate::engine::{Ask, EntryId, LogEntry, Say};
pub use crate::ids::NodeId;
use crate::limits::{HANDED_STATE_POLL, PENDING_BYTES_MAX, PENDING_ENTRIES_MAX};
use envelope::{Envelope, Kind};
use joining::{Joining, View};
use link::Link;
use shared::{Base, Shared, mix};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// What the server carries out. Each time that comes with a step is the log's, and has passed then, on all
/// nodes alike: what is due by it comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask the engine.
    Ask(Ask),
    /// Apply a command.
    Apply {
        /// The time of the log, and the engine's clock.
        at: Now,
        /// The node that submitted it.
        node: NodeId,
        /// The command.
        command: Vec<u8>,
    },
    /// Time has passed.
    Passed(Now),
    /// Another node has other settings.
    OtherSettings {
        /// The node.
        node: NodeId,
    },
    /// The connections of a node are gone, perhaps of this one.
    NodeGone {
        /// The time.
        at: Now,
        /// The node.
        node: NodeId,
        /// Whether it was not heard for too long: then its people had time enough to come back elsewhere.
        was_silent: bool,
    },
    /// A new run begins.
    NewRun {
        /// The time.
        at: Now,
        /// Its number, another for each, never zero.
        run: u64,
    },
    /// Freeze the shared state, and give it to [`Replica::frozen`].
    Freeze,
    /// Take this state in place of the own, and call [`Replica::adopted`]. If it is none, the own one stays.
    Adopt {
        /// The state.
        state: Vec<u8>,
    },
    /// What members say waits until the log can be reached again.
    Apart,
    /// The log is reached again.
    Back,
    /// It has taken too long: members are to be closed.
    CloseApart,
}

/// Whether the node takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does not know the state of the room yet.
    Joining,
    /// It does.
    Live,
    /// It did, and does not reach the log at present.
    Apart,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Nodes that are alive, with this one.
    pub nodes: usize,
    /// Own commands that have not come back.
    pub pending: usize,
    /// The same in bytes.
    pub pending_bytes: usize,
    /// How long the last own entry took to come back.
    pub lag: Duration,
    /// Connections to the engine that were lost or never made.
    pub lost: u64,
}

/// A node's part in the shared log; see the module's documentation.
#[derive(Debug)]
pub struct Replica {
    node: NodeId,
    /// What the settings are known by that must be the same on all nodes.
    settings: u64,
    /// The nodes that have other ones, as far as is known.
    others: BTreeSet<NodeId>,
    random: u64,
    /// The number of the next command.
    next_n: u64,
    shared: Shared,
    /// Whether the server's state is that of the room at the place of `shared`.
    has_state: bool,
    /// What it remembers of the room before it has a state: more than nothing, if something was kept on disk.
    kept: EntryId,
    /// Whether the log goes on with a state that cannot be read here.
    must_join: bool,
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    phase: Phase,
    link: Link,
    /// What the log has said, not taken up yet.
    inbox: VecDeque<LogEntry>,
    asks: VecDeque<Ask>,
    steps: VecDeque<Step>,
    question: Option<Question>,
    /// Since when nothing shows that own entries come back.
    trouble_since: Option<Moment>,
    apart_since: Option<Moment>,
    has_closed: bool,
    leave: Leave,
    shared_deadline: Option<Moment>,
    deadline_tried_at: Option<Moment>,
    lost: u64,
    /// The time of the newest call.
    now: Moment,
}

/// An own command that has not come back.
#[derive(Debug)]
struct Pending {
    n: u64,
    command: Vec<u8>,
}

/// How far the connection to the engine is.
#[derive(Debug)]
enum Phase {
    /// There is none; the next one is made then.
    Down { until: Moment },
    /// It is asked whether the own place is still there.
    Checking,
    /// It is asked what has happened last.
    Looking,
    /// A state is asked for.
    Joining(Box<Joining>),
    /// The log is read on.
    Live,
}

/// What the server was asked.
#[derive(Debug)]
enum Question {
    /// The state, for a node that joins.
    Hand { nonce: u64 },
    /// The state, to begin the room again.
    Remember,
    /// Whether it takes a state that was handed over.
    AdoptHanded(Box<Shared>),
    /// Whether it takes a state that counts in the log.
    AdoptBase(Box<Base>),
}

/// How far an orderly stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    No,
    Asked,
    Done,
}

frost!(struct Pending { n, command });
frost!(enum Leave { 0 = No, 1 = Asked, 2 = Done });
// A connection does not outlive the process: its successor connects anew, and reads on from the same place.
frost!(struct Replica {
    node, random, next_n, shared, has_state, must_join, pending, pending_bytes, link, trouble_since, apart_since,
    has_closed, leave, shared_deadline, lost, kept,
} but {
    phase: Phase::Down { until: Moment::from_us(0) }, inbox: VecDeque::new(), asks: VecDeque::new(),
    steps: VecDeque::new(), question: None, deadline_tried_at: None, now: Moment::from_us(0), settings: 0,
    others: BTreeSet::new(),
});

impl Replica {
    /// A node that knows nothing of the room. The seed is for jitter and for telling requests apart; nothing
    /// is secret. It connects at the first tick.
    #[must_use]
    pub fn new(node: NodeId, rng_seed: [u8; 32], settings: u64) -> Self {
        let seed = rng_seed.chunks(8).fold(node.0, |seed, chunk| {
            chunk.iter().fold(mix(seed), |seed, byte| seed.rotate_left(8) ^ u64::from(*byte))
        });
        Self {
            node,
            settings,
            others: BTreeSet::new(),
            random: mix(seed),
            next_n: 1,
            shared: Shared::blank(),
            has_state: false,
            kept: EntryId::default(),
            must_join: false,
            pending: VecDeque::new(),
            pending_bytes: 0,
            phase: Phase::Down { until: Moment::from_us(0) },
            link: Link::default(),
            inbox: VecDeque::new(),
            asks: VecDeque::new(),
            steps: VecDeque::new(),
            question: None,
            trouble_since: None,
            apart_since: None,
            has_closed: false,
            leave: Leave::No,
            shared_deadline: None,
            deadline_tried_at: None,
            lost: 0,
            now: Moment::from_us(0),
        }
    }

    /// What the settings of this process are known by, which are its predecessor's no more.
    pub const fn set_settings(&mut self, settings: u64) {
        self.settings = settings;
    }

    /// The server has something of the room that was kept on disk: it is better than nothing.
    pub const fn remember(&mut self) {
        self.kept = EntryId { ms: 0, seq: 1 };
    }

    /// This node.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Whether the node takes part.
    #[must_use]
    pub const fn status(&self) -> Status {
        match (self.apart_since, self.has_state) {
            (Some(_), _) => Status::Apart,
            (None, true) => Status::Live,
            (None, false) => Status::Joining,
        }
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        Numbers {
            nodes: self.shared.alive().count(),
            pending: self.pending.len(),
            pending_bytes: self.pending_bytes,
            lag: self.link.lag,
            lost: self.lost,
        }
    }

    /// The nodes that are alive, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.shared.alive()
    }

    /// The run of the shared state; zero if it is not known yet.
    #[must_use]
    pub const fn run(&self) -> u64 {
        self.shared.run
    }

    /// The entry of the log that was applied last.
    #[must_use]
    pub const fn place(&self) -> (EntryId, Digest) {
        (self.shared.place, self.shared.entry)
    }

    /// The shared state as one node hands it to another, from what the server has frozen of it.
    #[must_use]
    pub fn seal(&self, state: &[u8]) -> Vec<u8> {
        self.shared.seal(state)
    }

    /// The time of the log at the place that was applied last.
    #[must_use]
    pub fn shared_now(&self) -> Now {
        self.shared.now()
    }

    /// Whether nothing more should be submitted that can wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.has_state
            || self.pending.len() >= PENDING_ENTRIES_MAX
            || self.pending_bytes >= PENDING_BYTES_MAX
    }

    /// Submits a command. It is pending until it comes back as [`Step::Apply`], even if the replica is full.
    pub fn submit(&mut self, now: Moment, command: Vec<u8>) {
        self.now = now;
        let (n, after) = (self.next_n, self.pending.back().map_or(0, |last| last.n));
        self.next_n = n.saturating_add(1);
        self.pending_bytes = self.pending_bytes.saturating_add(command.len());
        if matches!(self.phase, Phase::Live) && self.leave == Leave::No {
            self.add(now, Kind::Command { n, after, bytes: command.clone() });
        }
        self.pending.push_back(Pending { n, command });
    }

    /// When the server wants the time of the log to have passed, by the clock of the log: without any entry
    /// it would stand still. One node adds one then.
    pub const fn set_shared_deadline(&mut self, deadline: Option<Moment>) {
        self.shared_deadline = deadline;
    }

    /// Leaves, after everything that was submitted. Nothing is to be submitted after it.
    pub fn leave(&mut self, now: Moment) {
        if self.leave != Leave::No {
            return;
        }
        let is_live = matches!(self.phase, Phase::Live);
        self.leave = if is_live { Leave::Asked } else { Leave::Done };
        if is_live {
            self.add(now, Kind::Leave);
        }
    }

    /// Whether all nodes know that it has left, or cannot be told.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.leave == Leave::Done
    }

    /// What the engine says.
    pub fn hear(&mut self, now: Moment, say: &Say) {
        self.now = now;
        match (say, &mut self.phase) {
            (_, Phase::Down { .. })
            // Of the connection before.
            | (Say::Entries(_) | Say::Added | Say::Got(_) | Say::Recent(_), Phase::Checking) => {}
            (Say::Lost, Phase::Checking | Phase::Looking | Phase::Joining(_) | Phase::Live) => {
                self.disconnect(now);
            }
            (Say::Checked { stamp, now_ms, entry }, Phase::Checking) => {
                self.link.answered(now);
                self.link.stamp = *stamp;
                self.link.set_clock(now, *now_ms);
                let is_there = entry.as_ref().is_some_and(|entry| self.shared.stands_at_place(entry));
                self.checked(now, is_there);
            }
            (Say::Recent(entries), Phase::Looking) => {
                self.link.answered(now);
                let mut view = View::default();
                for entry in entries {
                    view.note(now, entry, Envelope::read(&entry.bytes).as_ref());
                }
                self.begin_to_join(view);
            }
            (Say::Entries(entries), Phase::Joining(_) | Phase::Live) => {
                self.inbox.extend(entries.iter().cloned());
            }
            (Say::Got(value), Phase::Joining(joining)) => {
                joining.is_looking = false;
                joining.look_at = Some(now.after(HANDED_STATE_POLL));
                self.link.answered(now);
                if let Some(value) = value {
                    self.take_handed(value);
                }
            }
            (Say::Added, Phase::Joining(_) | Phase::Live) | (Say::Got(_), Phase::Live) => {
                self.link.answered(now);
            }
            // An engine that answers what it was not asked.
            (Say::Checked { .. }, Phase::Looking | Phase::Joining(_) | Phase::Live)
            | (Say::Recent(_), Phase::Joining(_) | Phase::Live)
            | (Say::Entries(_) | Say::Added | Say::Got(_), Phase::Looking) => self.disconnect(now),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) {
        self.now = now;
        let is_due = |due: Option<Moment>| due.is_some_and(|due| due <= now);
        match &self.phase {
            Phase::Down { until } if *until <= now => self.connect(now),
            Phase::Down { .. } => {}
            Phase::Checking | Phase::Looking | Phase::Joining(_) | Phase::Live => {
                if is_due(self.link.entry_due()) && self.has_state {
                    self.become_apart(now);
                }
                if is_due(self.link.entry_given_up()) {
                    self.link.is_late();
                    self.disconnect(now);
                } else if is_due(self.link.answer_due) {
                    self.disconnect(now);
                } else {
                    self.tick_connected(now);
                }
            }
        }
        if is_due(self.apart_due()) {
            self.become_apart(now);
        }
        if is_due(self.close_due()) {
            self.has_closed = true;
            self.steps.push_back(Step::CloseApart);
        }
    }

    /// The next time at which [`Replica::tick`] must be called, if there is one.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let of_phase = match &self.phase {
            Phase::Down { until } => Some(*until),
            Phase::Checking | Phase::Looking => None,
            Phase::Joining(joining) => {
                [Self::look_due(joining), Self::join_due(joining), self.base_due(joining)]
                    .into_iter()
                    .flatten()
                    .min()
            }
            Phase::Live => [self.alive_due(), self.deadline_due()].into_iter().flatten().min(),
        };
        let of_link = match &self.phase {
            Phase::Down { .. } => [None; 3],
            Phase::Checking | Phase::Looking | Phase::Joining(_) | Phase::Live => {
                // Who is apart already waits for the connection to be given up.
                let apart = self.link.entry_due().filter(|_| self.has_state && self.apart_since.is_none());
                [self.link.answer_due, self.link.entry_given_up(), apart]
            }
        };
        let others = [of_phase, self.apart_due(), self.close_due()];
        of_link.into_iter().chain(others).flatten().min()
    }

    /// All of it as bytes, for the next process.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.freeze(&mut bytes);
        bytes
    }

    /// The replica that these bytes hold. It connects at the next tick.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::thaw(&mut Frozen::new(bytes))
    }
}

#[cfg(test)]
mod tests;
