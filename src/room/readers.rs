//! The readers of the room, in the order in which they are written to.
//!
//! A line begins a round: each member is asked once for unsent bytes. Lines that come during a round begin another one
//! behind it, so that batches grow by themselves and nobody is asked more than once for the same lines.

use crate::ids::ClientId;

/// All members, and how far the round is.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    ids: Vec<ClientId>,
    /// The place of the next to be asked; the number of members where no round is on.
    next: usize,
    /// Whether those before `next` must be asked again.
    again: bool,
}

impl Readers {
    /// Adds a member; gives its place.
    pub(crate) fn add(&mut self, id: ClientId) -> u32 {
        let is_idle = self.next == self.ids.len() && !self.again;
        let place = place_u32(self.ids.len());
        self.ids.push(id);
        if is_idle {
            self.next = self.ids.len();
        }
        place
    }

    /// Removes the member at a place, if there is one. Returns the member that has the place now.
    pub(crate) fn remove(&mut self, place: u32) -> Option<(ClientId, u32)> {
        let at = place as usize;
        if at >= self.ids.len() {
            return None;
        }
        self.ids.swap_remove(at);
        self.next = self.next.min(self.ids.len());
        self.ids.get(at).map(|&moved| (moved, place))
    }

    /// Begins a round, or another one behind the one that is on.
    pub(crate) fn begin_round(&mut self) {
        if self.next == self.ids.len() {
            self.next = 0;
        } else {
            self.again = true;
        }
    }

    /// The next to be asked in this round.
    pub(crate) fn next_in_round(&mut self) -> Option<ClientId> {
        if self.next == self.ids.len() && std::mem::take(&mut self.again) {
            self.next = 0;
        }
        let id = *self.ids.get(self.next)?;
        self.next += 1;
        Some(id)
    }

    /// The members, in no particular order.
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
