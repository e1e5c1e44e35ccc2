//! What was lived through, and how often.

use std::collections::BTreeMap;

/// How often which kind of thing came.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

/// What bad days bring. Each must have come in a long enough run, or the simulation has become too kind.
pub(crate) const KINDS: [&str; 42] = [
    "act",
    "address full",
    "any command",
    "attack",
    "bytes",
    "closed without a word",
    "deleted",
    "deleted in a gap",
    "deleted while it was received",
    "flood in a gap",
    "follower",
    "follower lapped",
    "gap",
    "input in a gap",
    "lapped",
    "line",
    "line refused",
    "login",
    "mail-limited",
    "mail lost",
    "name changed hands",
    "name refused",
    "not admitted",
    "offered to all",
    "place of a deleted line",
    "place refused",
    "removed",
    "restart",
    "resume",
    "resumed after a restart",
    "said again",
    "short write",
    "shutdown",
    "slow reader",
    "slow reader for a minute",
    "stop of a minute",
    "storm",
    "too-many-tries",
    "unfinished",
    "user with many connections",
    "wall clock jumped",
    "wrong code",
];

impl Tally {
    pub(crate) fn count(&mut self, kind: &'static str, times: u64) {
        *self.0.entry(kind).or_default() += times;
    }

    pub(crate) fn has(&self, kind: &str) -> bool {
        self.0.get(kind).is_some_and(|&times| times > 0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, times) in &other.0 {
            self.count(kind, *times);
        }
    }

    pub(crate) fn assert_that_all_came(&self, kinds: &[&str]) {
        for kind in kinds {
            assert!(self.has(kind), "never came: {kind} in {self:?}");
        }
    }
}
