//! The room's readers, and the order in which they are written to. Owns connection ids and the position of
//! the current round of writes; never touches a connection or its unsent bytes.
//!
//! A broadcast line begins a round: each member is polled once for unsent bytes. Lines that arrive during a
//! round schedule one more round after it, so batches grow under load and no member is polled more than once
//! for the same lines.

use crate::base::frost::frost;
use crate::ids::ClientId;

#[derive(Debug, Default)]
pub(crate) struct Readers {
    ids: Vec<ClientId>,
    /// Index in `ids` by slot; only valid for clients in `ids`.
    index: Vec<u32>,
    /// Index of the next member to poll; equal to the number of members when no round is in progress.
    next: usize,
    /// Whether another round was requested, because a line arrived after members before `next` were polled.
    again: bool,
}

frost!(struct Readers { ids, next, again } but { index: Vec::new() });

impl Readers {
    /// Derives the index. `None`: the list is not exactly that of the `count` connections of which
    /// `is_reader` is true.
    pub(crate) fn derive(&mut self, count: usize, is_reader: impl Fn(ClientId) -> bool) -> Option<()> {
        let is_exact = self.ids.len() == count && self.ids.iter().all(|&id| is_reader(id));
        if !is_exact || self.next > self.ids.len() {
            return None;
        }
        let slots = self.ids.iter().map(|id| id.slot() + 1).max().unwrap_or(0);
        self.index = vec![u32::MAX; slots];
        for at in 0..self.ids.len() {
            self.note_index(at);
        }
        // One that is twice in the list has one index only.
        let is_indexed = |(at, id): (u32, &ClientId)| self.index.get(id.slot()) == Some(&at);
        (0..).zip(&self.ids).all(is_indexed).then_some(())
    }

    /// A member that joins between rounds is not polled before the next line.
    pub(crate) fn add(&mut self, id: ClientId) {
        let is_idle = self.next == self.ids.len() && !self.again;
        if self.index.len() <= id.slot() {
            self.index.resize(id.slot() + 1, 0);
        }
        self.ids.push(id);
        self.note_index(self.ids.len() - 1);
        if is_idle {
            self.next = self.ids.len();
        }
    }

    /// Removes a member, if it is one. Members that were polled in this round stay in front of the others.
    pub(crate) fn remove(&mut self, id: ClientId) {
        let Some(&index) = self.index.get(id.slot()) else { return };
        let mut at = index as usize;
        if self.ids.get(at) != Some(&id) {
            return;
        }
        if at < self.next {
            // The gap moves to the end of the polled members, or the last member would lose its turn.
            self.next -= 1;
            self.ids.swap(at, self.next);
            self.note_index(at);
            at = self.next;
        }
        self.ids.swap_remove(at);
        self.note_index(at);
    }

    fn note_index(&mut self, at: usize) {
        let Some(place) = self.ids.get(at).and_then(|id| self.index.get_mut(id.slot())) else { return };
        // Slots have 24 bits, and each is in the list once.
        *place = u32::try_from(at).unwrap_or(u32::MAX);
    }

    /// Begins a round, or schedules another one after the round in progress.
    pub(crate) fn begin_round(&mut self) {
        if self.next == self.ids.len() {
            self.next = 0;
        } else {
            self.again = true;
        }
    }

    pub(crate) fn next_in_round(&mut self) -> Option<ClientId> {
        if self.next == self.ids.len() && std::mem::take(&mut self.again) {
            self.next = 0;
        }
        let id = *self.ids.get(self.next)?;
        self.next += 1;
        Some(id)
    }

    /// In no particular order.
    pub(crate) fn ids(&self) -> &[ClientId] {
        &self.ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: usize) -> ClientId {
        ClientId::new(slot, 7)
    }

    fn round(members: &mut Readers) -> Vec<usize> {
        std::iter::from_fn(|| members.next_in_round()).map(ClientId::slot).collect()
    }

    fn members(slots: std::ops::Range<usize>) -> Readers {
        let mut members = Readers::default();
        slots.for_each(|slot| members.add(id(slot)));
        members
    }

    #[test]
    fn each_is_polled_once_for_a_line() {
        let mut members = members(0..3);
        assert!(round(&mut members).is_empty());
        members.begin_round();
        assert_eq!(round(&mut members), [0, 1, 2]);
        assert!(round(&mut members).is_empty());
    }

    #[test]
    fn a_line_during_a_round_begins_another_after_it() {
        let mut members = members(0..3);
        members.begin_round();
        assert_eq!(members.next_in_round(), Some(id(0)));
        members.begin_round();
        members.begin_round();
        assert_eq!(round(&mut members), [1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_member_that_leaves_during_a_round_costs_no_other_its_turn() {
        for polled in 0..=4 {
            for leaving in 0..4 {
                let mut members = members(0..4);
                members.begin_round();
                let mut seen: Vec<usize> =
                    (0..polled).filter_map(|_| members.next_in_round()).map(ClientId::slot).collect();
                members.remove(id(leaving));
                members.remove(id(leaving));
                seen.extend(round(&mut members));
                seen.sort_unstable();
                let expected: Vec<usize> = (0..4).filter(|&slot| slot != leaving || slot < polled).collect();
                assert_eq!(seen, expected, "{polled} polled, {leaving} leaves");
                members.begin_round();
                let mut left = round(&mut members);
                left.sort_unstable();
                assert_eq!(left, (0..4).filter(|&slot| slot != leaving).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_slot_that_another_client_has_now_removes_nobody() {
        let mut members = members(0..2);
        members.remove(ClientId::new(1, 8));
        members.remove(id(9));
        assert_eq!(members.ids(), [id(0), id(1)]);
        members.remove(id(0));
        members.remove(id(1));
        members.add(id(1));
        members.begin_round();
        assert_eq!(round(&mut members), [1]);
    }
}
