//! Presence: which users are in the room, and since when. Owns names, order of entering and the leave grace.
//! Never touches connections: the server reports a user's first and last one.
//!
//! A user whose last connection ends stays present for a grace period, so that a page reload does not
//! broadcast "left" and "entered".

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
    since: Moment,
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
    /// A connection of the user has joined. Returns whether the user enters: a further connection, or a
    /// return within the grace, does not count as entering.
    pub(crate) fn arrive(&mut self, now: Moment, user: U, name: &Rc<str>) -> bool {
        if let Some(present) = self.present.get_mut(&user) {
            self.grace.set(user, &mut present.grace_ends, None);
            return false;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.present.insert(user, Present { name: name.clone(), order, since: now, grace_ends: None });
        self.by_order.insert(order, user);
        true
    }

    /// The user's last connection has ended: the user stays present until the grace expires.
    pub(crate) fn begin_grace(&mut self, user: U, ends: Moment) {
        if let Some(present) = self.present.get_mut(&user) {
            self.grace.set(user, &mut present.grace_ends, Some(ends));
        }
    }

    /// Whether the user is present without a connection.
    pub(crate) fn is_in_grace(&self, user: U) -> bool {
        self.present.get(&user).is_some_and(|present| present.grace_ends.is_some())
    }

    /// Since when the user is present.
    pub(crate) fn since(&self, user: U) -> Option<Moment> {
        self.present.get(&user).map(|present| present.since)
    }

    /// A user whose grace has expired, once.
    pub(crate) fn pop_expired(&mut self, now: Moment) -> Option<U> {
        let (_, user) = self.grace.pop_due(now)?;
        self.present.get_mut(&user)?.grace_ends = None;
        Some(user)
    }

    /// Removes a user. Returns the name, or `None` if the user is not present.
    pub(crate) fn remove(&mut self, user: U) -> Option<Rc<str>> {
        let mut present = self.present.remove(&user)?;
        self.grace.set(user, &mut present.grace_ends, None);
        self.by_order.remove(&present.order);
        Some(present.name)
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
        assert!(room.arrive(at(0), ada, &name("ada")));
        assert!(room.arrive(at(0), bob, &name("bob")));
        room.begin_grace(ada, at(10));
        assert_eq!(room.count(), 2, "still in, for the others");
        assert!(!room.arrive(at(0), ada, &name("ada")));
        assert_eq!(room.next_deadline(), None);
        assert!(!room.arrive(at(5), ada, &name("ada")));
        assert_eq!((room.since(ada), room.since('c')), (Some(at(0)), None), "since the first arrival");

        room.begin_grace(ada, at(20));
        assert_eq!(room.pop_expired(at(19)), None);
        assert_eq!(room.pop_expired(at(20)), Some(ada));
        assert_eq!(room.pop_expired(at(20)), None);
        assert_eq!(room.remove(ada), Some(name("ada")));
        assert_eq!(room.remove(ada), None);
        assert!(room.arrive(at(0), ada, &name("ada")));
        assert_eq!(room.names().collect::<Vec<_>>(), ["bob", "ada"], "in order of entering");

        assert!(!room.is_in_grace(bob), "a connection is left");
        room.begin_grace(bob, at(30));
        assert!(room.is_in_grace(bob));
        assert_eq!(room.remove(bob), Some(name("bob")));
        assert_eq!(room.remove(ada), Some(name("ada")));
        assert_eq!((room.count(), room.next_deadline()), (0, None));
    }
}
