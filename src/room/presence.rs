//! Presence: which users are in the room, and since when. Owns names, order of entering and the leave grace. Never
//! touches connections: the server reports a user's first and last one.
//!
//! A user whose last connection ends stays present for a grace period, so that a page reload does not broadcast
//! "left" and "entered".

use crate::base::time::Moment;
use crate::base::timer_queue::TimerQueue;
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Debug)]
pub(crate) struct Presence<U> {
    present: BTreeMap<U, Present>,
    by_order: BTreeMap<u64, U>,
    /// Expiry of the leave graces.
    grace: TimerQueue<U>,
    next_order: u64,
}

#[derive(Debug)]
struct Present {
    name: Rc<str>,
    order: u64,
    grace_ends: Option<Moment>,
}

impl<U: Ord + Copy> Default for Presence<U> {
    fn default() -> Self {
        Self {
            present: BTreeMap::new(),
            by_order: BTreeMap::new(),
            grace: TimerQueue::default(),
            next_order: 0,
        }
    }
}

impl<U: Ord + Copy> Presence<U> {
    /// A connection of the user has joined. Returns whether the user enters: a further connection, or a return within
    /// the grace, does not count as entering.
    pub(crate) fn arrive(&mut self, user: U, name: &Rc<str>) -> bool {
        if let Some(present) = self.present.get_mut(&user) {
            self.grace.set(user, &mut present.grace_ends, None);
            return false;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.present.insert(user, Present { name: name.clone(), order, grace_ends: None });
        self.by_order.insert(order, user);
        true
    }

    /// The user's last connection has ended. Returns the name if the user leaves at once; otherwise the user leaves
    /// when the grace expires.
    pub(crate) fn depart(&mut self, user: U, grace_ends: Moment, at_once: bool) -> Option<Rc<str>> {
        if at_once {
            return self.remove(user);
        }
        let present = self.present.get_mut(&user)?;
        self.grace.set(user, &mut present.grace_ends, Some(grace_ends));
        None
    }

    /// Ends a user's grace early. Does nothing while a connection of the user is left.
    pub(crate) fn leave_now(&mut self, user: U) -> Option<Rc<str>> {
        let is_gone = self.present.get(&user)?.grace_ends.is_some();
        if is_gone { self.remove(user) } else { None }
    }

    /// Removes a user whose grace has expired, and returns the name.
    pub(crate) fn pop_left(&mut self, now: Moment) -> Option<Rc<str>> {
        let (_, user) = self.grace.pop_due(now)?;
        self.present.get_mut(&user)?.grace_ends = None;
        self.remove(user)
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.grace.first()
    }

    pub(crate) fn count(&self) -> usize {
        self.present.len()
    }

    /// In order of entering.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_order.values().filter_map(|user| self.present.get(user)).map(|present| &*present.name)
    }

    fn remove(&mut self, user: U) -> Option<Rc<str>> {
        let mut present = self.present.remove(&user)?;
        self.grace.set(user, &mut present.grace_ends, None);
        self.by_order.remove(&present.order);
        Some(present.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_neither_leaving_nor_entering() {
        let (ada, bob) = ('a', 'b');
        let name = |typed: &str| Rc::<str>::from(typed);
        let at = Moment::from_ms;
        let mut room = Presence::default();
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
