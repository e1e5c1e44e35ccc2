//! Liveness of the room: each line is offered to each member within a number of writes.

use plume::ids::ClientId;
use std::collections::BTreeSet;

/// Lines that have not been offered to all who must be. A line has been offered when a member that takes
/// everything has it.
#[derive(Default)]
pub(crate) struct Offers {
    pub(crate) members: BTreeSet<ClientId>,
    lines: Vec<Line>,
    /// The longest wait so far, in writes.
    pub(crate) longest: u64,
}

struct Line {
    number: usize,
    /// The connection that says it; posted once that has been read.
    talker: ClientId,
    posted_at: Option<u64>,
    waiting: BTreeSet<ClientId>,
}

impl Offers {
    /// From now on the line of this number, which `talker` has just sent, has to be offered in time.
    pub(crate) fn expect(&mut self, talker: ClientId, number: usize) {
        self.lines.push(Line { number, talker, posted_at: None, waiting: self.members.clone() });
    }

    /// All that a connection has sent is read, and its lines are posted.
    pub(crate) fn read(&mut self, talker: ClientId, writes: u64) {
        for line in self.lines.iter_mut().filter(|line| line.talker == talker) {
            line.posted_at.get_or_insert(writes);
        }
    }

    pub(crate) fn receive(&mut self, id: ClientId, number: usize) {
        for line in self.lines.iter_mut().filter(|line| line.number == number) {
            line.waiting.remove(&id);
        }
    }

    /// Asserts that after so many writes no line has waited for more of them than `bound`.
    pub(crate) fn check(&mut self, writes: u64, bound: u64) {
        self.lines.retain(|line| !line.waiting.is_empty());
        for line in &self.lines {
            let Some(posted_at) = line.posted_at else { continue };
            let waited = writes - posted_at;
            self.longest = self.longest.max(waited);
            let Line { number, waiting, .. } = line;
            assert!(waited <= bound, "line {number} was not offered to {waiting:?} within {bound} writes");
        }
    }

    /// Nothing is promised to this connection any more, and what it has said may be lost if it was not read.
    pub(crate) fn excuse(&mut self, id: ClientId) {
        self.members.remove(&id);
        self.lines.retain(|line| line.talker != id || line.posted_at.is_some());
        for line in &mut self.lines {
            line.waiting.remove(&id);
        }
    }

    /// Nothing is promised of these lines any more: nobody may ever receive them.
    pub(crate) fn forget(&mut self, is_forgotten: impl Fn(usize) -> bool) {
        self.lines.retain(|line| !is_forgotten(line.number));
    }

    /// Whether all lines have been offered to all members.
    pub(crate) fn are_complete(&self) -> bool {
        self.lines.iter().all(|line| line.waiting.is_empty())
    }

    /// Asserts that no line waits which was posted: the server has nothing more to say.
    pub(crate) fn check_idle(&self) {
        let late = self.lines.iter().find(|line| line.posted_at.is_some() && !line.waiting.is_empty());
        let late = late.map(|line| (line.number, &line.waiting));
        assert_eq!(late, None, "nothing more is said, and a line was not offered to all");
    }
}
