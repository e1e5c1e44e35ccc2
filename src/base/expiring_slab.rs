//! A slab whose items expire: each has a key that is never used twice, and may have a moment at which it is
//! dropped.

use crate::base::frost::{Frost, Frozen, Refill, freeze_fields, frost};
use crate::base::sorted::set_of;
use crate::base::time::Moment;
use crate::base::timer_queue::TimerQueue;
use std::cmp::Ordering;
use std::collections::BTreeMap;
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

    /// Slot and serial number in one.
    pub(crate) const fn to_bits(self) -> u64 {
        (self.slot as u64) << u32::BITS | self.serial as u64
    }

    /// The serial number: of two items, the one that came first has the smaller one.
    pub(crate) const fn serial(self) -> u32 {
        self.serial
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

impl<T> Frost for Id<T> {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.slot.freeze(to);
        self.serial.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        Some(Self::new(u32::thaw(from)?, u32::thaw(from)?))
    }
}

/// At most so many items. When it is full, the item that would expire first makes room; an item without a
/// deadline never does.
#[derive(Debug)]
pub(crate) struct ExpiringSlab<T> {
    slots: Vec<Option<Item<T>>>,
    /// Empty slots; the last is used next. Tokens tell people their slot, so it is state: a successor must
    /// hand out the same.
    free: Vec<u32>,
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

frost!([T: Frost] struct Item<T> { serial, expires, value });

impl<T: Frost> Refill for ExpiringSlab<T> {
    fn freeze_state(&self, to: &mut Vec<u8>) {
        let Self { slots, free, expiry: _, next_serial, items_max: _ } = self;
        freeze_fields(to, |to| {
            slots.freeze(to);
            free.freeze(to);
            next_serial.freeze(to);
        });
    }

    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        let mut fields = from.fields()?;
        self.slots = fields.field()?;
        self.free = fields.field()?;
        self.next_serial = fields.field()?;
        self.expiry = TimerQueue::default();
        for (slot, item) in (0..).zip(&mut self.slots) {
            if let Some(item) = item {
                let expires = item.expires.take();
                self.expiry.set(slot, &mut item.expires, expires);
            }
        }
        let is_empty = |slot: &u32| self.slots.get(*slot as usize).is_some_and(Option::is_none);
        let distinct = set_of(self.free.iter().copied().filter(is_empty));
        let empty = self.slots.iter().filter(|item| item.is_none()).count();
        let is_sound = distinct.len() == self.free.len() && empty == self.free.len();
        is_sound.then_some(())
    }
}

impl<T> ExpiringSlab<T> {
    /// An empty slab for `items_max` items. Items without a deadline find room beyond that.
    pub(crate) fn new(items_max: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), expiry: TimerQueue::default(), next_serial: 0, items_max }
    }

    /// Puts a thing on the shelf; gives its id, and the thing that had to make room.
    ///
    /// # Panics
    /// If there are more than four thousand million items.
    pub(crate) fn insert(&mut self, value: T, expires: Option<Moment>) -> (Id<T>, Option<T>) {
        let evicted = if self.len() >= self.items_max { self.take_first() } else { None };
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let item = Some(Item { serial, expires: None, value });
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = item;
            slot
        } else {
            self.slots.push(item);
            u32::try_from(self.slots.len() - 1).expect("a slot fits")
        };
        let id = Id::new(slot, serial);
        self.set_expiry(id, expires);
        (id, evicted)
    }

    /// The thing with this id, if it is still there.
    pub(crate) fn get(&self, id: Id<T>) -> Option<&T> {
        self.item(id.slot).filter(|item| item.serial == id.serial).map(|item| &item.value)
    }

    pub(crate) fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        let item = self.slots.get_mut(id.slot as usize).and_then(Option::as_mut);
        item.filter(|item| item.serial == id.serial).map(|item| &mut item.value)
    }

    /// The item in a slot, with its id.
    pub(crate) fn in_slot(&self, slot: u32) -> Option<(Id<T>, &T)> {
        self.item(slot).map(|item| (Id::new(slot, item.serial), &item.value))
    }

    /// All items, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().flatten().map(|item| &mut item.value)
    }

    /// All items with their ids, in order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        let numbered = (0..).zip(&self.slots).filter_map(|(slot, item)| Some((slot, item.as_ref()?)));
        numbered.map(|(slot, item)| (Id::new(slot, item.serial), &item.value))
    }

    /// When an item expires, if it does.
    pub(crate) fn expiry_of(&self, id: Id<T>) -> Option<Moment> {
        self.item(id.slot).filter(|item| item.serial == id.serial)?.expires
    }

    /// Changes when an item expires.
    pub(crate) fn set_expiry(&mut self, id: Id<T>, expires: Option<Moment>) {
        let item = self.slots.get_mut(id.slot as usize).and_then(Option::as_mut);
        if let Some(item) = item.filter(|item| item.serial == id.serial) {
            self.expiry.set(id.slot, &mut item.expires, expires);
        }
    }

    pub(crate) fn remove(&mut self, id: Id<T>) -> Option<T> {
        self.get(id)?;
        self.set_expiry(id, None);
        self.empty(id.slot)
    }

    /// Removes an item that has expired.
    pub(crate) fn pop_expired(&mut self, now: Moment) -> Option<T> {
        self.pop_expired_item(now).map(|(_, item)| item)
    }

    /// The same, with its id.
    pub(crate) fn pop_expired_item(&mut self, now: Moment) -> Option<(Id<T>, T)> {
        let (_, slot) = self.expiry.pop_due(now)?;
        let (id, _) = self.in_slot(slot)?;
        self.empty(slot).map(|item| (id, item))
    }

    /// An empty slab is filled with items in these slots, as far as they are below `slots_max`. The
    /// first to expire make room for others.
    pub(crate) fn fill(&mut self, items: BTreeMap<u32, (T, Option<Moment>)>, slots_max: u32) {
        let fitting = items.into_iter().take_while(|&(slot, _)| slot < slots_max);
        for (slot, (value, expires)) in fitting {
            self.slots.resize_with(slot as usize, || None);
            let serial = self.next_serial;
            self.next_serial = self.next_serial.wrapping_add(1);
            self.slots.push(Some(Item { serial, expires: None, value }));
            self.set_expiry(Id::new(slot, serial), expires);
        }
        self.free = (0..).zip(&self.slots).filter(|(_, item)| item.is_none()).map(|(slot, _)| slot).collect();
        // The lowest is used first.
        self.free.reverse();
        while self.len() > self.items_max && self.take_first().is_some() {}
    }

    /// When the next item expires.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.expiry.first()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn item(&self, slot: u32) -> Option<&Item<T>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Empties a slot, whose item has no deadline any more.
    fn empty(&mut self, slot: u32) -> Option<T> {
        let item = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(item.value)
    }

    fn take_first(&mut self) -> Option<T> {
        let (_, slot) = self.expiry.pop_first()?;
        self.empty(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frost::frozen;

    #[test]
    fn a_successor_hands_out_the_same_slots_and_forgets_at_the_same_times() {
        let at = |ms| Some(Moment::from_ms(ms));
        let mut before = ExpiringSlab::new(9);
        let ids: Vec<Id<u64>> = (0..5).map(|n| before.insert(n, at(100 - n)).0).collect();
        for n in [3, 0, 4] {
            before.remove(ids[n]);
        }
        let bytes = frozen(&before);
        let mut after = ExpiringSlab::new(9);
        assert_eq!(after.refill(&mut Frozen::new(&bytes)), Some(()));
        for n in 5..10 {
            assert_eq!(before.insert(n, None), after.insert(n, None));
        }
        assert!(after.iter().eq(before.iter()));
        assert_eq!(after.next_deadline(), at(98));
        assert_eq!(after.pop_expired(Moment::from_ms(98)), Some(2));
        for end in 0..bytes.len() {
            let mut cut = ExpiringSlab::<u64>::new(9);
            assert_eq!(cut.refill(&mut Frozen::new(&bytes[..end])), None);
        }
    }

    #[test]
    fn a_free_list_that_is_not_one_is_refused() {
        // Which slots have an item, and the free list.
        let rows: [(&[bool], Vec<u32>); 4] =
            [(&[true], vec![0]), (&[false, false], vec![1, 1]), (&[false], vec![]), (&[], vec![7])];
        for (slots, free) in rows {
            let item = |is_there: &bool| is_there.then_some(Item { serial: 0, expires: None, value: 1_u64 });
            let slots: Vec<_> = slots.iter().map(item).collect();
            let mut bytes = Vec::new();
            freeze_fields(&mut bytes, |to| {
                slots.freeze(to);
                free.freeze(to);
                0_u32.freeze(to);
            });
            let mut slab = ExpiringSlab::<u64>::new(9);
            assert_eq!(slab.refill(&mut Frozen::new(&bytes)), None, "{free:?}");
        }
    }

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
