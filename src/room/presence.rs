//! Who is present. A user whose last connection is gone stays for a grace, so that a reload is not "left, entered".

use crate::base::time::Moment;
use crate::base::timer_queue::TimerQueue;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The users who are present, in order of entering.
#[derive(Debug)]
pub(crate) struct Presence<U> {
    present: BTreeMap<U, Present>,
    by_order: BTreeMap<u64, U>,
    /// When the graces end.
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
    /// A user has a connection. Whether that is entering: a further one, or coming back within the grace, is not.
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

    /// A user's last connection is gone. Gives the name if that is leaving at once; otherwise it is when the grace ends.
    pub(crate) fn depart(&mut self, user: U, grace_ends: Moment, at_once: bool) -> Option<Rc<str>> {
        if at_once {
            return self.remove(user);
        }
        let present = self.present.get_mut(&user)?;
        self.grace.set(user, &mut present.grace_ends, Some(grace_ends));
        None
    }

    /// A user leaves without a grace, unless a connection is left.
    pub(crate) fn leave_now(&mut self, user: U) -> Option<Rc<str>> {
        let is_gone = self.present.get(&user)?.grace_ends.is_some();
        if is_gone { self.remove(user) } else { None }
    }

    /// The name of a user whose grace has ended.
    pub(crate) fn pop_left(&mut self, now: Moment) -> Option<Rc<str>> {
        let (_, user) = self.grace.pop_due(now)?;
        self.present.get_mut(&user)?.grace_ends = None;
        self.remove(user)
    }

    /// When the next grace ends.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.grace.first()
    }

    /// How many users are present.
    pub(crate) fn count(&self) -> usize {
        self.present.len()
    }

    /// The names of the users who are present, in order of entering.
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
