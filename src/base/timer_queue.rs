//! A timer queue: at most one deadline per key, in order of time.

use crate::base::time::Moment;
use std::collections::BTreeSet;

/// At most one moment for each key. The owner of a key remembers its moment and hands it back when it
/// changes.
#[derive(Debug)]
pub(crate) struct TimerQueue<K> {
    entries: BTreeSet<(Moment, K)>,
}

impl<K: Ord + Copy> Default for TimerQueue<K> {
    fn default() -> Self {
        Self { entries: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> TimerQueue<K> {
    /// Moves `key` from the moment in `entry` to `due`, and notes that in `entry`.
    pub(crate) fn set(&mut self, key: K, entry: &mut Option<Moment>, due: Option<Moment>) {
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
    pub(crate) fn first(&self) -> Option<Moment> {
        self.entries.first().map(|&(moment, _)| moment)
    }

    /// Takes out the earliest key whose moment has come, with its moment. The owner must forget the moment.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<(Moment, K)> {
        (self.first()? <= now).then(|| self.entries.pop_first())?
    }

    /// Takes out the earliest key, whether or not its moment has come.
    pub(crate) fn pop_first(&mut self) -> Option<(Moment, K)> {
        self.entries.pop_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_in_order_of_time_and_once() {
        let at = Moment::from_ms;
        let mut timers = TimerQueue::default();
        let mut entries = [None; 3];
        timers.set('a', &mut entries[0], Some(at(30)));
        timers.set('b', &mut entries[1], Some(at(10)));
        timers.set('c', &mut entries[2], Some(at(20)));
        timers.set('a', &mut entries[0], Some(at(5)));
        timers.set('c', &mut entries[2], None);
        assert_eq!(timers.first(), Some(at(5)));
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.pop_due(at(10)), Some((at(5), 'a')));
        assert_eq!(timers.pop_due(at(10)), Some((at(10), 'b')));
        assert_eq!(timers.pop_due(at(1_000)), None);
        assert_eq!(timers.first(), None);
    }
}
