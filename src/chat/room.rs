//! Who is in the room. One who is gone stays in for a grace, so that a reload is not "left, entered".

use crate::base::agenda::Agenda;
use crate::base::moment::Moment;
use crate::base::shelf::Key;
use crate::chat::user_name::UserName;
use std::collections::BTreeMap;

/// The people in the room, in order of entering.
#[derive(Debug, Default)]
pub struct Room {
    guests: BTreeMap<Key, Guest>,
    by_order: BTreeMap<u64, Key>,
    /// When the grace of those who are gone ends.
    grace: Agenda<Key>,
    next_order: u64,
}

#[derive(Debug)]
struct Guest {
    name: UserName,
    order: u64,
    grace_ends: Option<Moment>,
}

impl Room {
    /// Somebody has a first connection. Whether that is entering; coming back within the grace is not.
    pub fn arrive(&mut self, person: Key, name: &UserName) -> bool {
        if let Some(guest) = self.guests.get_mut(&person) {
            self.grace.set(person, &mut guest.grace_ends, None);
            return false;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.guests.insert(person, Guest { name: name.clone(), order, grace_ends: None });
        self.by_order.insert(order, person);
        true
    }

    /// Somebody's last connection is gone. Gives the name if that is leaving at once; else it is when the grace ends.
    pub fn depart(&mut self, person: Key, grace_ends: Moment, at_once: bool) -> Option<UserName> {
        if at_once {
            return self.remove(person);
        }
        let guest = self.guests.get_mut(&person)?;
        self.grace.set(person, &mut guest.grace_ends, Some(grace_ends));
        None
    }

    /// Somebody leaves without a grace, unless a connection is left.
    pub fn leave_now(&mut self, person: Key) -> Option<UserName> {
        let is_gone = self.guests.get(&person)?.grace_ends.is_some();
        if is_gone { self.remove(person) } else { None }
    }

    /// Somebody whose grace has ended.
    pub fn pop_left(&mut self, now: Moment) -> Option<UserName> {
        let (_, person) = self.grace.pop_due(now)?;
        self.guests.get_mut(&person)?.grace_ends = None;
        self.remove(person)
    }

    /// When the next grace ends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.grace.first()
    }

    /// How many people are in.
    #[must_use]
    pub fn count(&self) -> usize {
        self.guests.len()
    }

    /// The names of those who are in, those who are in longest first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_order.values().filter_map(|person| self.guests.get(person)).map(|guest| guest.name.as_str())
    }

    fn remove(&mut self, person: Key) -> Option<UserName> {
        let mut guest = self.guests.remove(&person)?;
        self.grace.set(person, &mut guest.grace_ends, None);
        self.by_order.remove(&guest.order);
        Some(guest.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::shelf::Shelf;

    #[test]
    fn a_reload_is_neither_leaving_nor_entering() {
        let mut keys = Shelf::new(9);
        let (ada, bob) = (keys.insert((), None).0, keys.insert((), None).0);
        let name = |typed| UserName::parse(typed).unwrap();
        let at = Moment::from_ms;
        let mut room = Room::default();
        assert!(room.arrive(ada, &name("ada")));
        assert!(room.arrive(bob, &name("bob")));
        assert_eq!(room.depart(ada, at(10), false), None);
        assert_eq!(room.count(), 2, "still in, for the others");
        assert!(!room.arrive(ada, &name("ada")));
        assert_eq!(room.next_deadline(), None);

        assert_eq!(room.depart(ada, at(20), false), None);
        assert_eq!(room.pop_left(at(19)), None);
        assert_eq!(room.pop_left(at(20)), Some(name("ada")));
        assert_eq!(room.pop_left(at(20)), None);
        assert!(room.arrive(ada, &name("ada")));
        assert_eq!(room.names().collect::<Vec<_>>(), ["bob", "ada"], "in order of entering");

        assert_eq!(room.leave_now(bob), None, "a connection is left");
        assert_eq!(room.depart(bob, at(30), false), None);
        assert_eq!(room.leave_now(bob), Some(name("bob")));
        assert_eq!(room.depart(ada, at(30), true), Some(name("ada")));
        assert_eq!((room.count(), room.next_deadline()), (0, None));
    }
}
