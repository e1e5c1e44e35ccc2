//! A slab whose items expire: each has a key that is never used twice, and may have a moment at which it is
//! dropped.

use crate::base::time::Moment;
use crate::base::timer_queue::TimerQueue;
use slab::Slab;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// The id of an item: its slot, and a serial number, so that no id is used twice. It is typed, so that an id
/// of one kind of item cannot be passed for an id of another.
pub(crate) struct Id<T> {
    slot: u32,
    serial: u32,
    item: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    const fn new(slot: u32, serial: u32) -> Self {
        Self { slot, serial, item: PhantomData }
    }

    /// An id of an item that is nowhere, for tests of what only passes ids on.
    #[cfg(test)]
    pub(crate) const fn made_up(slot: u32) -> Self {
        Self::new(slot, 0)
    }

    /// The slot, for tokens that name it.
    pub(crate) const fn slot(self) -> u32 {
        self.slot
    }
}

// By hand, for a derive would ask the same of `T`.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.slot, self.serial) == (other.slot, other.serial)
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.slot, self.serial).cmp(&(other.slot, other.serial))
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.slot, self.serial).hash(state);
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.serial, self.slot)
    }
}

/// At most so many items. When it is full, the item that would expire first makes room; an item without a
/// deadline never does.
#[derive(Debug)]
pub(crate) struct ExpiringSlab<T> {
    items: Slab<Item<T>>,
    expiry: TimerQueue<u32>,
    next_serial: u32,
    items_max: usize,
}

#[derive(Debug)]
struct Item<T> {
    serial: u32,
    /// When it expires; `None`: it stays until it is removed.
    expires: Option<Moment>,
    value: T,
}

impl<T> ExpiringSlab<T> {
    /// An empty slab for `items_max` items. Items without a deadline find room beyond that.
    pub(crate) fn new(items_max: usize) -> Self {
        Self { items: Slab::new(), expiry: TimerQueue::default(), next_serial: 0, items_max }
    }

    /// Puts a thing on the shelf; gives its id, and the thing that had to make room.
    ///
    /// # Panics
    /// If there are more than four thousand million items.
    pub(crate) fn insert(&mut self, value: T, expires: Option<Moment>) -> (Id<T>, Option<T>) {
        let evicted = if self.items.len() >= self.items_max { self.take_first() } else { None };
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let slot = self.items.insert(Item { serial, expires: None, value });
        let id = Id::new(u32::try_from(slot).expect("a slot fits"), serial);
        self.set_expiry(id, expires);
        (id, evicted)
    }

    /// The thing with this id, if it is still there.
    pub(crate) fn get(&self, id: Id<T>) -> Option<&T> {
        self.items.get(id.slot as usize).filter(|item| item.serial == id.serial).map(|item| &item.value)
    }

    pub(crate) fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        let item = self.items.get_mut(id.slot as usize).filter(|item| item.serial == id.serial);
        item.map(|item| &mut item.value)
    }

    /// The item in a slot, with its id.
    pub(crate) fn in_slot(&self, slot: u32) -> Option<(Id<T>, &T)> {
        self.items.get(slot as usize).map(|item| (Id::new(slot, item.serial), &item.value))
    }

    /// All items with their ids, in order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        let numbered = self.items.iter().filter_map(|(slot, item)| Some((u32::try_from(slot).ok()?, item)));
        numbered.map(|(slot, item)| (Id::new(slot, item.serial), &item.value))
    }

    /// Changes when an item expires.
    pub(crate) fn set_expiry(&mut self, id: Id<T>, expires: Option<Moment>) {
        let item = self.items.get_mut(id.slot as usize).filter(|item| item.serial == id.serial);
        if let Some(item) = item {
            self.expiry.set(id.slot, &mut item.expires, expires);
        }
    }

    /// Removes an item.
    pub(crate) fn remove(&mut self, id: Id<T>) -> Option<T> {
        self.get(id)?;
        self.set_expiry(id, None);
        Some(self.items.remove(id.slot as usize).value)
    }

    /// Removes an item that has expired.
    pub(crate) fn pop_expired(&mut self, now: Moment) -> Option<T> {
        let (_, slot) = self.expiry.pop_due(now)?;
        Some(self.items.remove(slot as usize).value)
    }

    /// When the next item expires.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.expiry.first()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    fn take_first(&mut self) -> Option<T> {
        let (_, slot) = self.expiry.pop_first()?;
        Some(self.items.remove(slot as usize).value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_for_one_thing() {
        let mut shelf = ExpiringSlab::new(10);
        let (first, _) = shelf.insert("first", None);
        assert_eq!(shelf.remove(first), Some("first"));
        let (second, _) = shelf.insert("second", None);
        assert_eq!(first.slot(), second.slot());
        assert_eq!(shelf.remove(first), None);
        assert_eq!((shelf.get(first), shelf.get(second)), (None, Some(&"second")));
    }

    #[test]
    fn the_first_to_go_makes_room_and_what_may_not_go_stays() {
        let at = |ms| Some(Moment::from_ms(ms));
        let mut shelf = ExpiringSlab::new(2);
        shelf.insert("late", at(20));
        let (stays, _) = shelf.insert("stays", at(10));
        shelf.set_expiry(stays, None);
        assert_eq!(shelf.insert("early", at(15)).1, Some("late"));
        shelf.set_expiry(shelf.in_slot(0).unwrap().0, None);
        assert_eq!(shelf.insert("one more", None).1, None, "nothing may go");
        assert_eq!(shelf.len(), 3);
        shelf.set_expiry(stays, at(30));
        assert_eq!((shelf.pop_expired(Moment::from_ms(29)), shelf.next_deadline()), (None, at(30)));
        assert_eq!(shelf.pop_expired(Moment::from_ms(30)), Some("stays"));
        assert_eq!(shelf.pop_expired(Moment::from_ms(99)), None);
    }
}
