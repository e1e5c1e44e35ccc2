//! A slab whose items expire: each has a key that is never used twice, and may have a moment at which it is dropped.

use crate::base::time::Moment;
use crate::base::timer_queue::TimerQueue;
use slab::Slab;

/// A thing on a shelf: its slot, and a serial number that makes it unlike all that had the slot before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    slot: u32,
    serial: u32,
}

impl Key {
    /// The slot, for those who hand out a part of a key and come back with it.
    pub(crate) const fn slot(self) -> u32 {
        self.slot
    }
}

/// At most so many things. When it is full, those go first that would go first by themselves.
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
    /// When it goes; `None`: it stays until it is taken.
    expires: Option<Moment>,
    value: T,
}

impl<T> ExpiringSlab<T> {
    /// An empty shelf for `items_max` things. Things that may not go yet find room beyond that.
    pub(crate) fn new(items_max: usize) -> Self {
        Self { items: Slab::new(), expiry: TimerQueue::default(), next_serial: 0, items_max }
    }

    /// Puts a thing on the shelf; gives its key, and the thing that had to make room.
    ///
    /// # Panics
    /// If there are more than four thousand million things.
    pub(crate) fn insert(&mut self, value: T, expires: Option<Moment>) -> (Key, Option<T>) {
        let evicted = if self.items.len() >= self.items_max { self.take_first() } else { None };
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let slot = self.items.insert(Item { serial, expires: None, value });
        let key = Key { slot: u32::try_from(slot).expect("a slot fits"), serial };
        self.set_expiry(key, expires);
        (key, evicted)
    }

    /// The thing with this key, if it is still there.
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.items.get(key.slot as usize).filter(|item| item.serial == key.serial).map(|item| &item.value)
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let item = self.items.get_mut(key.slot as usize).filter(|item| item.serial == key.serial);
        item.map(|item| &mut item.value)
    }

    /// What stands in a slot.
    pub(crate) fn in_slot(&self, slot: u32) -> Option<(Key, &T)> {
        self.items.get(slot as usize).map(|item| (Key { slot, serial: item.serial }, &item.value))
    }

    /// Changes when a thing goes.
    pub(crate) fn set_expiry(&mut self, key: Key, expires: Option<Moment>) {
        let item = self.items.get_mut(key.slot as usize).filter(|item| item.serial == key.serial);
        if let Some(item) = item {
            self.expiry.set(key.slot, &mut item.expires, expires);
        }
    }

    /// Takes a thing from the shelf.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.set_expiry(key, None);
        Some(self.items.remove(key.slot as usize).value)
    }

    /// Takes a thing whose moment has come.
    pub(crate) fn pop_expired(&mut self, now: Moment) -> Option<T> {
        let (_, slot) = self.expiry.pop_due(now)?;
        Some(self.items.remove(slot as usize).value)
    }

    /// When the next thing goes.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.expiry.first()
    }

    /// How many things there are.
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
