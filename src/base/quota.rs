//! So many events within any window of time, exactly: unlike a bucket, which lets a full burst and a window's worth of refill
//! through together. It remembers a moment for each event, so it is for few events.

use crate::base::moment::Moment;
use std::time::Duration;

/// How many events there may be within any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Events within a window.
    pub events_max: usize,
    /// How long an event counts.
    pub window: Duration,
}

/// The events that may still count, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events(Vec<Moment>);

impl Events {
    /// How long until there may be one more.
    #[must_use]
    pub fn wait(&self, now: Moment, quota: Quota) -> Duration {
        let freed_by = self.0.len().checked_sub(quota.events_max).and_then(|at| self.0.get(at));
        freed_by.map_or(Duration::ZERO, |event| event.after(quota.window).since(now))
    }

    /// Counts one more, and forgets those that count no more.
    pub fn add(&mut self, now: Moment, quota: Quota) {
        self.0.retain(|event| now.since(*event) < quota.window);
        self.0.push(now);
    }

    /// Counts one of that moment no more.
    pub fn take_back(&mut self, at: Moment) {
        if let Some(place) = self.0.iter().position(|&event| event == at) {
            self.0.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { events_max: 2, window: Duration::from_mins(1) };

    fn at(second: u64) -> Moment {
        Moment::from_ms(second * 1_000)
    }

    #[test]
    fn no_window_has_more_events_than_it_may() {
        let mut events = Events::default();
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
        let mut events = Events::default();
        events.add(at(0), QUOTA);
        events.add(at(10), QUOTA);
        assert_eq!(events.wait(at(20), QUOTA), Duration::from_secs(40));
        events.take_back(at(10));
        assert_eq!(events.wait(at(20), QUOTA), Duration::ZERO);
        events.add(at(20), QUOTA);
        assert_eq!(events.wait(at(59), QUOTA), Duration::from_secs(1));
        assert_eq!(events.wait(at(60), QUOTA), Duration::ZERO);
    }
}
