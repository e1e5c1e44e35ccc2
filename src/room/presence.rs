//! Presence: which users are in the room, and since when. Owns names, order of entering and the leave grace.
//! Never touches connections: the server reports a user's first and last one.
//!
//! A user whose last connection ends stays present for a grace period, so that a page reload does not
//! broadcast "left" and "entered".

use crate::base::frost::{Frost, Frozen, freeze_fields, frost};
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

frost!(struct Present { name, order, since, grace_ends });

impl<U: Ord + Copy + Frost> Frost for Presence<U> {
    fn freeze(&self, to: &mut Vec<u8>) {
        let Self { present, by_order: _, grace: _, next_order } = self;
        freeze_fields(to, |to| {
            present.freeze(to);
            next_order.freeze(to);
        });
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let mut fields = from.fields()?;
        let mut presence = Self { present: fields.field()?, next_order: fields.field()?, ..Self::default() };
        for (&user, present) in &mut presence.present {
            let grace_ends = present.grace_ends.take();
            presence.grace.set(user, &mut present.grace_ends, grace_ends);
            presence.by_order.insert(present.order, user);
        }
        let has_order = presence.by_order.len() == presence.present.len();
        let is_past = presence.by_order.keys().next_back().is_none_or(|&order| order < presence.next_order);
        // No run comes so far.
        (has_order && is_past && presence.next_order < u64::MAX / 2).then_some(presence)
    }
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

    /// All users who are present, each with whether it is so without a connection.
    pub(crate) fn users(&self) -> impl Iterator<Item = (U, bool)> {
        self.present.iter().map(|(&user, present)| (user, present.grace_ends.is_some()))
    }

    /// Shares the names that `name_of` gives with whoever else has them.
    pub(crate) fn share_names(&mut self, name_of: impl Fn(U) -> Option<Rc<str>>) {
        for (&user, present) in &mut self.present {
            if let Some(name) = name_of(user).filter(|name| *name == present.name) {
                present.name = name;
            }
        }
    }

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

        assert!(room.users().any(|present| present == (bob, false)), "a connection is left");
        room.begin_grace(bob, at(30));
        assert!(room.users().any(|present| present == (bob, true)));
        assert_eq!(room.remove(bob), Some(name("bob")));
        assert_eq!(room.remove(ada), Some(name("ada")));
        assert_eq!((room.count(), room.next_deadline()), (0, None));
    }
}
