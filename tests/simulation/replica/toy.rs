//! A state that nodes share, which is simpler than a room.

use super::NAME_TTL;
use plume::base::digest::Digest;
use plume::base::time::{Moment, Now};
use plume::ids::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The state that the nodes share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Toy {
    pub(super) run: u64,
    pub(super) at_us: u64,
    /// Of each node: how many commands were applied, and which was the last.
    pub(super) applied: BTreeMap<NodeId, (u64, u64)>,
    /// Names, with the node that owns each, and until when.
    pub(super) names: BTreeMap<String, (NodeId, u64)>,
    pub(super) connections: BTreeSet<(NodeId, u64)>,
    /// How often anything has changed, and a digest of it.
    pub(super) changes: u64,
    pub(super) chain: String,
}

impl Toy {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("toy {} {} {} {}\n", self.run, self.at_us, self.changes, self.chain);
        for (node, (count, last)) in &self.applied {
            writeln!(text, "applied {} {count} {last}", node.0).expect("a text takes everything");
        }
        for (name, (node, until)) in &self.names {
            writeln!(text, "name {name} {} {until}", node.0).expect("a text takes everything");
        }
        for (node, connection) in &self.connections {
            writeln!(text, "connection {} {connection}", node.0).expect("a text takes everything");
        }
        text.into_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut toy = Self::default();
        let mut lines = str::from_utf8(bytes).ok()?.lines();
        let head: Vec<&str> = lines.next()?.strip_prefix("toy ")?.split(' ').collect();
        let &[run, at_us, changes, chain] = head.as_slice() else { return None };
        (toy.run, toy.at_us, toy.changes) = (run.parse().ok()?, at_us.parse().ok()?, changes.parse().ok()?);
        chain.clone_into(&mut toy.chain);
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words.get(at)?.parse::<u64>().ok();
            match *words.first()? {
                "applied" => drop(toy.applied.insert(NodeId(number(1)?), (number(2)?, number(3)?))),
                "name" => drop(toy.names.insert(words.get(1)?.to_string(), (NodeId(number(2)?), number(3)?))),
                "connection" => drop(toy.connections.insert((NodeId(number(1)?), number(2)?))),
                _ => return None,
            }
        }
        Some(toy)
    }

    /// Gives how late the latest was that expired.
    pub(super) fn pass(&mut self, at: Now) -> Option<u64> {
        let us = at.moment.as_us();
        assert!(us >= self.at_us, "the time of the log goes back");
        self.at_us = us;
        let late = self.names.values().filter(|(_, until)| *until <= us).map(|(_, until)| us - until).max();
        if late.is_some() {
            self.change(&format!("expired {us}"));
        }
        self.names.retain(|_, (_, until)| *until > us);
        late
    }

    pub(super) fn change(&mut self, what: &str) {
        self.changes += 1;
        self.chain = Digest::of(format!("{} {what}", self.chain).as_bytes()).to_string();
    }

    /// Gives whether a name was claimed, and by whom it is owned.
    pub(super) fn apply(&mut self, at: Now, node: NodeId, command: &str) -> Option<(String, NodeId)> {
        let words: Vec<&str> = command.split(' ').collect();
        let n = number_in(words[0]);
        let (count, last) = self.applied.entry(node).or_default();
        assert!(n > *last, "command {n} of {node} is applied behind {last}");
        (*count, *last) = (*count + 1, n);
        self.change(&format!("{node} {command}"));
        match words[1] {
            "claim" => {
                let until = at.moment.after(NAME_TTL).as_us();
                let owner = self.names.entry(words[2].to_owned()).or_insert((node, until)).0;
                return Some((words[2].to_owned(), owner));
            }
            "open" => drop(self.connections.insert((node, number_in(words[2])))),
            "close" => drop(self.connections.remove(&(node, number_in(words[2])))),
            _ => {}
        }
        None
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.names.values().map(|&(_, until)| Moment::from_us(until)).min()
    }
}

pub(super) fn number_in(word: &str) -> u64 {
    word.parse().expect("commands hold numbers")
}
