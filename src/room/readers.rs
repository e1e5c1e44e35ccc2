//! The room's readers, and the order in which they are written to. Owns connection ids and the position of the
//! current round of writes; never touches a connection or its unsent bytes.
//!
//! A broadcast line begins a round: each member is polled once for unsent bytes. Lines that arrive during a round
//! schedule one more round after it, so batches grow under load and no member is polled more than once for the same
//! lines.

use crate::ids::ClientId;

#[derive(Debug, Default)]
pub(crate) struct Readers {
    ids: Vec<ClientId>,
    /// Index of the next member to poll; equal to the number of members when no round is in progress.
    next: usize,
    /// Whether another round was requested, because a line arrived after members before `next` were polled.
    again: bool,
}

impl Readers {
    /// Returns the member's index. A member that joins between rounds is not polled before the next line.
    pub(crate) fn add(&mut self, id: ClientId) -> u32 {
        let is_idle = self.next == self.ids.len() && !self.again;
        let place = place_u32(self.ids.len());
        self.ids.push(id);
        if is_idle {
            self.next = self.ids.len();
        }
        place
    }

    /// Removes the member at an index, if there is one. Returns the member that was moved to that index.
    pub(crate) fn remove(&mut self, place: u32) -> Option<(ClientId, u32)> {
        let at = place as usize;
        if at >= self.ids.len() {
            return None;
        }
        self.ids.swap_remove(at);
        self.next = self.next.min(self.ids.len());
        self.ids.get(at).map(|&moved| (moved, place))
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

fn place_u32(place: usize) -> u32 {
    u32::try_from(place).expect("a connection has a slot of 24 bits, and one place")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(serial: u64) -> ClientId {
        ClientId::new(0, serial)
    }

    fn round(members: &mut Readers) -> Vec<u64> {
        std::iter::from_fn(|| members.next_in_round()).map(ClientId::serial).collect()
    }

    #[test]
    fn each_is_asked_once_for_a_line() {
        let mut members = Readers::default();
        for serial in 0..3 {
            assert_eq!(members.add(id(serial)), u32::try_from(serial).unwrap());
        }
        assert!(round(&mut members).is_empty());
        members.begin_round();
        assert_eq!(round(&mut members), [0, 1, 2]);
        assert!(round(&mut members).is_empty());
    }

    #[test]
    fn a_line_during_a_round_begins_another_behind_it() {
        let mut members = Readers::default();
        for serial in 0..3 {
            members.add(id(serial));
        }
        members.begin_round();
        assert_eq!(members.next_in_round(), Some(id(0)));
        members.begin_round();
        members.begin_round();
        assert_eq!(round(&mut members), [1, 2, 0, 1, 2]);
    }

    #[test]
    fn who_takes_the_place_of_another_is_named() {
        let mut members = Readers::default();
        for serial in 0..3 {
            members.add(id(serial));
        }
        members.begin_round();
        assert_eq!(members.next_in_round(), Some(id(0)));
        assert_eq!(members.remove(0), Some((id(2), 0)));
        assert_eq!(members.remove(1), None);
        assert!(round(&mut members).is_empty());
        assert_eq!(members.remove(1), None, "nobody has that place");
        members.add(id(3));
        assert_eq!(members.remove(0), Some((id(3), 0)));
        assert_eq!(members.remove(0), None);
        members.begin_round();
        assert!(round(&mut members).is_empty());
    }
}
