//! A sliding-window limiter: at most N events within any window of time, exactly. A token bucket lets a full
//! burst and a window of refill through together. It remembers a moment for each event, so it is for few
//! events.

use crate::base::expiring_slab::{ExpiringSlab, Id};
use crate::base::frost::{Frost, frost, refill};
use crate::base::sorted::map_of;
use crate::base::time::Moment;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many events there may be within any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowLimit {
    /// Events within a window.
    pub(crate) events_max: usize,
    /// How long an event counts.
    pub(crate) window: Duration,
}

/// The events that may still count, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlidingWindow(Vec<Moment>);

impl SlidingWindow {
    /// How long until there may be one more.
    pub(crate) fn wait(&self, now: Moment, quota: WindowLimit) -> Duration {
        let freed_by = self.0.len().checked_sub(quota.events_max).and_then(|at| self.0.get(at));
        freed_by.map_or(Duration::ZERO, |event| event.after(quota.window).since(now))
    }

    /// Counts one more, and forgets those that count no more. Keeps no more events than the quota has, even
    /// where the caller does not ask before: the newest decide how long to wait.
    pub(crate) fn add(&mut self, now: Moment, quota: WindowLimit) {
        self.0.retain(|event| now.since(*event) < quota.window);
        if self.0.len() >= quota.events_max.max(1) {
            self.0.remove(0);
        }
        self.0.push(now);
    }

    /// Counts one of that moment no more.
    pub(crate) fn take_back(&mut self, at: Moment) {
        if let Some(place) = self.0.iter().position(|&event| event == at) {
            self.0.remove(place);
        }
    }
}

frost!(struct SlidingWindow(events));

/// Sliding-window counters by key, with one window for all. The number of keys is bounded: the one whose last
/// event is oldest makes room.
#[derive(Debug)]
pub(crate) struct SlidingWindows<K> {
    window: Duration,
    counted: ExpiringSlab<(K, SlidingWindow)>,
    by_key: BTreeMap<K, Id<(K, SlidingWindow)>>,
}

refill!([K: Frost + Ord + Clone] struct SlidingWindows<K> { counted } but { window, by_key } then Self::index);

impl<K: Ord + Clone> SlidingWindows<K> {
    /// No events; at most `keys_max` keys.
    pub(crate) fn new(window: Duration, keys_max: usize) -> Self {
        Self { window, counted: ExpiringSlab::new(keys_max), by_key: BTreeMap::new() }
    }

    /// How long until the key may have one more event, if it may have `events_max` within the window.
    pub(crate) fn wait(&self, now: Moment, key: &K, events_max: usize) -> Duration {
        let events = self.by_key.get(key).and_then(|&key| self.counted.get(key));
        events.map_or(Duration::ZERO, |(_, events)| events.wait(now, self.quota(events_max)))
    }

    /// Counts one more event of the key, and keeps at most `events_max`.
    pub(crate) fn add(&mut self, now: Moment, key: &K, events_max: usize) {
        let (quota, expires) = (self.quota(events_max), Some(now.after(self.window)));
        if let Some(&place) = self.by_key.get(key)
            && let Some((_, events)) = self.counted.get_mut(place)
        {
            events.add(now, quota);
            self.counted.set_expiry(place, expires);
            return;
        }
        let mut events = SlidingWindow::default();
        events.add(now, quota);
        let (place, evicted) = self.counted.insert((key.clone(), events), expires);
        if let Some((evicted, _)) = evicted {
            self.by_key.remove(&evicted);
        }
        self.by_key.insert(key.clone(), place);
    }

    /// Counts an event of that moment no more.
    pub(crate) fn take_back(&mut self, at: Moment, key: &K) {
        if let Some((_, events)) = self.by_key.get(key).and_then(|&place| self.counted.get_mut(place)) {
            events.take_back(at);
        }
    }

    /// The events of a key are those of another one, which has none, from now on.
    pub(crate) fn rename(&mut self, key: &K, other: &K) {
        if let Some(place) = self.by_key.remove(key)
            && let Some((own, _)) = self.counted.get_mut(place)
        {
            *own = other.clone();
            self.by_key.insert(other.clone(), place);
        }
    }

    /// Forgets the keys that had no event within the window.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        while let Some((key, _)) = self.counted.pop_expired(now) {
            self.by_key.remove(&key);
        }
    }

    /// When the next key is forgotten.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.counted.next_deadline()
    }

    pub(crate) fn len(&self) -> usize {
        self.counted.len()
    }

    fn index(&mut self) -> Option<()> {
        self.by_key = map_of(self.counted.iter().map(|(place, (key, _))| (key.clone(), place)));
        (self.by_key.len() == self.counted.len()).then_some(())
    }

    const fn quota(&self, events_max: usize) -> WindowLimit {
        WindowLimit { events_max, window: self.window }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: WindowLimit = WindowLimit { events_max: 2, window: Duration::from_mins(1) };

    fn at(second: u64) -> Moment {
        Moment::from_ms(second * 1_000)
    }

    #[test]
    fn no_window_has_more_events_than_it_may() {
        let mut events = SlidingWindow::default();
        let mut allowed = Vec::new();
        for second in 0..200 {
            if events.wait(at(second), QUOTA).is_zero() {
                events.add(at(second), QUOTA);
                allowed.push(second);
            }
        }
        assert_eq!(allowed, [0, 1, 60, 61, 120, 121, 180, 181]);
    }

    #[test]
    fn the_wait_is_told_and_what_is_taken_back_counts_no_more() {
        let mut events = SlidingWindow::default();
        events.add(at(0), QUOTA);
        events.add(at(10), QUOTA);
        assert_eq!(events.wait(at(20), QUOTA), Duration::from_secs(40));
        events.take_back(at(10));
        assert_eq!(events.wait(at(20), QUOTA), Duration::ZERO);
        events.add(at(20), QUOTA);
        assert_eq!(events.wait(at(59), QUOTA), Duration::from_secs(1));
        assert_eq!(events.wait(at(60), QUOTA), Duration::ZERO);
    }

    #[test]
    fn events_that_nobody_asked_for_do_not_grow_without_bound() {
        let mut events = SlidingWindow::default();
        for ms in 0..1_000 {
            events.add(Moment::from_ms(ms), QUOTA);
            assert!(events.0.len() <= QUOTA.events_max);
        }
        let wait = events.wait(Moment::from_ms(999), QUOTA);
        assert_eq!(wait, Duration::from_millis(59_999), "the newest two count");
    }

    #[test]
    fn counters_count_each_key_and_are_bounded() {
        let mut counters = SlidingWindows::new(QUOTA.window, 3);
        for key in 0..3 {
            counters.add(at(key), &key, 1);
        }
        assert_eq!(counters.wait(at(10), &0, 1), Duration::from_secs(50));
        assert_eq!(counters.wait(at(10), &0, 2), Duration::ZERO);
        counters.take_back(at(0), &0);
        assert_eq!(counters.wait(at(10), &0, 1), Duration::ZERO);
        counters.add(at(11), &9, 1);
        assert_eq!((counters.len(), counters.by_key.len()), (3, 3), "the oldest made room");
        assert_eq!(counters.wait(at(12), &1, 1), Duration::from_secs(49));
        assert_eq!(counters.next_deadline(), Some(at(61)));
        counters.forget_expired(at(80));
        assert!(counters.len() == 0 && counters.by_key.is_empty());
    }
}
