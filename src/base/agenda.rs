//! Who has to be looked at when: one moment for each key, in order of time.

use crate::base::moment::Moment;
use std::collections::BTreeSet;

/// At most one moment for each key. The owner of a key remembers its moment and hands it back when it changes.
#[derive(Debug)]
pub struct Agenda<K> {
    entries: BTreeSet<(Moment, K)>,
}

impl<K: Ord + Copy> Default for Agenda<K> {
    fn default() -> Self {
        Self { entries: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Agenda<K> {
    /// Moves `key` from the moment in `entry` to `due`, and notes that in `entry`.
    pub fn set(&mut self, key: K, entry: &mut Option<Moment>, due: Option<Moment>) {
        if *entry == due {
            return;
        }
        if let Some(old) = entry.take() {
            let was_there = self.entries.remove(&(old, key));
            assert!(was_there, "the owner of a key knows its moment");
        }
        if let Some(new) = due {
            self.entries.insert((new, key));
        }
        *entry = due;
    }

    /// The earliest moment.
    #[must_use]
    pub fn first(&self) -> Option<Moment> {
        self.entries.first().map(|&(moment, _)| moment)
    }

    /// The earliest key.
    #[must_use]
    pub fn first_key(&self) -> Option<K> {
        self.entries.first().map(|&(_, key)| key)
    }

    /// Takes out the earliest key whose moment has come, with its moment. The owner must forget the moment.
    pub fn pop_due(&mut self, now: Moment) -> Option<(Moment, K)> {
        (self.first()? <= now).then(|| self.entries.pop_first())?
    }

    /// Takes out the earliest key, whether or not its moment has come.
    pub fn pop_first(&mut self) -> Option<(Moment, K)> {
        self.entries.pop_first()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_in_order_of_time_and_once() {
        let at = Moment::from_ms;
        let mut agenda = Agenda::default();
        let mut entries = [None; 3];
        agenda.set('a', &mut entries[0], Some(at(30)));
        agenda.set('b', &mut entries[1], Some(at(10)));
        agenda.set('c', &mut entries[2], Some(at(20)));
        agenda.set('a', &mut entries[0], Some(at(5)));
        agenda.set('c', &mut entries[2], None);
        assert_eq!((agenda.first(), agenda.first_key()), (Some(at(5)), Some('a')));
        assert_eq!(agenda.pop_due(at(4)), None);
        assert_eq!(agenda.pop_due(at(10)), Some((at(5), 'a')));
        assert_eq!(agenda.pop_due(at(10)), Some((at(10), 'b')));
        assert_eq!(agenda.pop_due(at(1_000)), None);
        assert!(agenda.is_empty());
    }
}
